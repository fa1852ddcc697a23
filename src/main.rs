//! Dispatches the hidden `__lab-*` entries before any thread, runtime or library state exists, then the command line.

fn main() -> std::process::ExitCode {
    if let Some(code) = concmon::lab::entry::dispatch() {
        return code;
    }
    concmon::command::main(std::env::args_os())
}
