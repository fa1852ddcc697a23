//! CPU milliseconds per sweep of each source on this machine: `cargo bench --bench sampling [-- [SWEEPS] [NAME]]`.
//! Start processes first to see that the cost follows activity instead of population.

use concmon::clock::thread_cpu_ns;
use concmon::kernel::source::{Needs, Request, Source};
use concmon::kernel::{AutoSource, BpfSource, ProcSource, SourceChoice, raise_descriptor_limit};
use concmon::snapshot::{ProcessSample, TaskSample};
use nix::sys::time::TimeValLike;

fn main() {
    let sweeps: u32 = std::env::args().filter_map(|argument| argument.parse().ok()).next().unwrap_or(20);
    raise_descriptor_limit();
    println!("a process is {} bytes, a task {}", size_of::<ProcessSample>(), size_of::<TaskSample>());
    println!(
        "{:<28} {:>9} {:>7} {:>10} {:>10} {:>9} {:>8}",
        "source, needs", "processes", "tasks", "first ms", "sweep ms", "user ms", "rss MiB"
    );
    // Only the lines whose name contains this.
    let wanted = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with('-') && argument.parse::<u32>().is_err())
        .unwrap_or_default();
    for (name, needs) in [
        ("bpf, basics", Needs::empty()),
        ("bpf, threads", Needs::THREADS),
        ("bpf, everything", Needs::THREADS | Needs::SCHEDSTAT),
    ] {
        if !name.contains(&wanted) {
            continue;
        }
        let before = thread_cpu_ns();
        match BpfSource::load() {
            Ok(mut source) => {
                println!("{:<28} loaded in {:.1} ms", name, (thread_cpu_ns() - before) as f64 / 1e6);
                measure(name, &mut source, needs, sweeps);
            }
            Err(error) => println!("{name:<28} not available: {error}"),
        }
    }
    if "auto, basics".contains(&wanted) {
        match AutoSource::new("/proc", SourceChoice::Auto) {
            Ok(mut source) => {
                // As the program uses it: the better tier comes in from its thread after some sweeps.
                let request = Request::basic(Needs::empty());
                while source.sample(&request).is_ok_and(|snapshot| snapshot.report.why.contains("being loaded")) {
                    std::thread::sleep(std::time::Duration::from_millis(50));
                }
                measure("auto, basics", &mut source, Needs::empty(), sweeps);
            }
            Err(error) => println!("auto, basics is not available: {error}"),
        }
    }
    for (name, needs) in [
        ("proc, basics", Needs::empty()),
        ("proc, threads", Needs::THREADS),
        ("proc, threads + schedstat", Needs::THREADS | Needs::SCHEDSTAT),
        ("proc, + switches + statm", Needs::THREADS | Needs::SCHEDSTAT | Needs::SWITCHES | Needs::STATM),
    ] {
        if !name.contains(&wanted) {
            continue;
        }
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
    let user_before = user_ns();
    let mut size = (0, 0);
    for _ in 0..sweeps {
        match source.sample(&request) {
            Ok(snapshot) => size = (snapshot.processes.len(), snapshot.tasks.len()),
            Err(error) => println!("{name}: {error}"),
        }
    }
    let ms = |ns: u64| ns as f64 / 1e6;
    let sweep = ms(thread_cpu_ns() - first) / f64::from(sweeps.max(1));
    let user = ms(user_ns() - user_before) / f64::from(sweeps.max(1));
    println!("{name:<28} {:>9} {:>7} {:>10.2} {sweep:>10.3} {user:>9.3} {:>8.1}", size.0, size.1, ms(first - before), rss_mib());
}

/// Resident memory of this program; with several sources in one run, of all so far.
fn rss_mib() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<f64>().ok()).map_or(f64::NAN, |pages| pages / 256.0)
}

/// CPU time of this thread in user mode; the rest of a sweep is the kernel's work.
fn user_ns() -> u64 {
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_THREAD);
    usage.map_or(0, |usage| u64::try_from(usage.user_time().num_microseconds()).unwrap_or(0) * 1000)
}
