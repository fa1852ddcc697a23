//! Dispatches the hidden entries (the lab's, the BPF loader's) before any thread, runtime or library state exists, then the command line.

fn main() -> std::process::ExitCode {
    if let Some(code) = concmon::lab::entry::dispatch() {
        return code;
    }
    if let Some(code) = concmon::kernel::bpf_loader() {
        return code;
    }
    // Before any thread has a heap of its own: one shared heap keeps the resident size small.
    concmon::kernel::share_heap();
    concmon::command::main(std::env::args_os())
}
