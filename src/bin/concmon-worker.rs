//! The program that the lab's native `spawn`, `exec` and fork server start: nothing but a worker, so that what is measured is what the
//! kernel and the loader charge for a small program, and not for relocating all of concmon. It does nothing by itself.

fn main() -> std::process::ExitCode {
    concmon::lab::entry::worker_main()
}
