//! The program that the lab's native `spawn`, `exec` and fork server start: only a worker, so that a run measures what the kernel and the
//! loader charge for a small program, without the relocations of concmon.

fn main() -> std::process::ExitCode {
    concmon::lab::entry::worker_main()
}
