//! Dispatches the hidden `__lab-*` entries before any thread, runtime or library state exists, then the command line.

fn main() -> std::process::ExitCode {
    concmon::command::main(std::env::args_os())
}
