//! CPU milliseconds per sweep of each source on this machine as it is: `cargo bench --bench sampling [-- SWEEPS]`.
//! Populate the machine first to see how the cost follows activity instead of population.

use concmon::clock::thread_cpu_ns;
use concmon::kernel::source::{Needs, Request, Source};
use concmon::kernel::{ProcSource, raise_descriptor_limit};

fn main() {
    let sweeps: u32 = std::env::args().filter_map(|argument| argument.parse().ok()).next().unwrap_or(20);
    raise_descriptor_limit();
    println!("{:<28} {:>9} {:>7} {:>10} {:>10}", "source, needs", "processes", "tasks", "first ms", "sweep ms");
    for (name, needs) in [
        ("proc, basics", Needs::empty()),
        ("proc, threads", Needs::THREADS),
        ("proc, threads + schedstat", Needs::THREADS | Needs::SCHEDSTAT),
        ("proc, + switches + statm", Needs::THREADS | Needs::SCHEDSTAT | Needs::SWITCHES | Needs::STATM),
    ] {
        match ProcSource::new("/proc") {
            Ok(mut source) => measure(name, &mut source, needs, sweeps),
            Err(error) => println!("{name:<28} not available: {error}"),
        }
    }
}

fn measure(name: &str, source: &mut dyn Source, needs: Needs, sweeps: u32) {
    let request = Request::basic(needs);
    let before = thread_cpu_ns();
    if let Err(error) = source.sample(&request) {
        println!("{name:<28} not available: {error}");
        return;
    }
    let first = thread_cpu_ns();
    let mut size = (0, 0);
    for _ in 0..sweeps {
        match source.sample(&request) {
            Ok(snapshot) => size = (snapshot.processes.len(), snapshot.tasks.len()),
            Err(error) => println!("{name}: {error}"),
        }
    }
    let ms = |ns: u64| ns as f64 / 1e6;
    let sweep = ms(thread_cpu_ns() - first) / f64::from(sweeps.max(1));
    println!("{name:<28} {:>9} {:>7} {:>10.2} {sweep:>10.3}", size.0, size.1, ms(first - before));
}
