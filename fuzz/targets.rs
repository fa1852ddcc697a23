//! What is fuzzed: one function per parser of bytes that others have written. Each calls the parser and says what must hold of the
//! outcome, whatever the bytes are. `fuzz_targets/` drives them with libFuzzer, `tests/pure/fuzz_seeds.rs` with the kept seeds.

mod recording;
mod report;

use std::path::Path;

use concmon::config::Config;
use concmon::kernel::bpf::record::Record;
use concmon::kernel::devices::{disks, networks};
use concmon::kernel::host::cpu_times;
use concmon::kernel::links::{Disk, Link};
use concmon::kernel::parse::io::Io;
use concmon::kernel::parse::maps::Mapping;
use concmon::kernel::parse::pagemap::{ENTRY_BYTES, Page};
use concmon::kernel::parse::pid_numbers::{PidfdProcess, namespace_pids};
use concmon::kernel::parse::schedstat::Schedstat;
use concmon::kernel::parse::smaps::SmapsRollup;
use concmon::kernel::parse::stat::Stat;
use concmon::kernel::parse::statm::Statm;
use concmon::kernel::parse::status::{Status, cpus_allowed};
use concmon::kernel::parse::syscall::{SyscallLine, endpoint, epoll_targets, reason_of_function};
use concmon::kernel::parse::{cgroup, connector, file_locks, key_values, kibibytes, machine, meminfo, signed, unsigned};
use concmon::lab::control::{Notice, Order};
use concmon::lab::protocol;
use concmon::query::{Filter, SavedFilters, complete};
use concmon::text::{Charset, fit, is_invisible, sanitize, width};

/// A parser under attack.
pub type Target = fn(&[u8]);

/// All of them; the names are those of the binaries and of the directories in `seeds/`.
pub const TARGETS: &[(&str, Target)] = &[
    ("stat", stat),
    ("status", status),
    ("schedstat", schedstat),
    ("smaps_rollup", smaps_rollup),
    ("cgroup", cgroup_path),
    ("pages", pages),
    ("proc_files", proc_files),
    ("syscall", syscall),
    ("connector", connector_messages),
    ("bpf_records", bpf_records),
    ("lab_protocol", lab_protocol),
    ("config", config),
    ("filter", filter),
    ("text", text),
    ("report", report::report),
    ("recording", recording::recording),
];

/// Runs one of them.
///
/// # Panics
/// If the parser did, or what must hold of its outcome did not.
pub fn run(name: &str, bytes: &[u8]) {
    let (_, target) = TARGETS.iter().find(|(known, _)| *known == name).expect("a target of this name");
    target(bytes);
}

/// `/proc/PID/stat`: what is read is what the line says, with a name that ends at the last bracket.
fn stat(bytes: &[u8]) {
    if let Ok(stat) = Stat::parse(bytes) {
        assert!(bytes.starts_with(stat.pid.to_string().as_bytes()) || !bytes[0].is_ascii_digit() || bytes[0] == b'0');
        let name = stat.comm.as_bytes();
        assert!(name.is_empty() || bytes.windows(name.len()).any(|window| window == name), "the name is the line's");
    }
}

/// `/proc/PID/status`.
fn status(bytes: &[u8]) {
    let _ = Status::parse(bytes);
    let _ = cpus_allowed(bytes);
}

/// `/proc/PID/schedstat`.
fn schedstat(bytes: &[u8]) {
    if let Ok(schedstat) = Schedstat::parse(bytes) {
        let _ = schedstat.is_kept();
    }
}

/// `/proc/PID/smaps_rollup`: half a sum is no sum.
fn smaps_rollup(bytes: &[u8]) {
    let rollup = SmapsRollup::parse(bytes);
    if rollup.private_dirty_bytes.is_none() {
        assert_eq!(rollup.uss_bytes(), None);
    }
}

/// `/proc/PID/cgroup`.
fn cgroup_path(bytes: &[u8]) {
    if let Some(path) = cgroup::path(bytes) {
        assert!(!path.contains('\n'));
    }
}

/// `/proc/PID/pagemap` and the lines of `/proc/PID/maps`.
fn pages(bytes: &[u8]) {
    assert_eq!(Page::all(bytes).count(), bytes.len() / ENTRY_BYTES);
    for page in Page::all(bytes) {
        assert!(page.present() || page.frame().is_none(), "a page that is not there has no frame");
    }
    for line in bytes.split(|byte| *byte == b'\n') {
        let _ = Mapping::parse(line);
    }
}

/// The small ones: `statm`, `io`, the machine's `stat`, and the numbers all are made of.
fn proc_files(bytes: &[u8]) {
    assert!(disks(bytes, |_| None).iter().all(|d| !d.name.starts_with("loop0")));
    let found = networks(bytes, |_| None);
    assert!(found.is_sorted_by(|a, b| a.name <= b.name), "in the order of their names");
    assert!(networks(bytes, |_| Some(Link::Other)).is_empty() && disks(bytes, |_| Some(Disk::Other)).is_empty());
    let zfs = meminfo::ZfsCache::parse(bytes);
    if let Some(memory) = meminfo::parse(bytes, zfs.or(Some(meminfo::ZfsCache { size: 1 << 30, least: 1 << 20 }))) {
        assert!(memory.available().is_none_or(|available| available <= memory.total_bytes));
        assert!(memory.swap_free_bytes.is_none_or(|free| memory.swap_total_bytes.is_some_and(|total| free <= total)));
    }
    let _ = (machine::load(bytes), machine::uptime_ns(bytes), machine::pressure(bytes));
    let _ = Statm::parse(bytes);
    let _ = Io::parse(bytes);
    let lines = bytes.split(|byte| *byte == b'\n').filter_map(file_locks::Entry::parse);
    assert!(lines.chain(file_locks::of_descriptor(bytes).1).all(|lock| lock.is(&lock) && lock.pid != Some(0)));
    if let Some(PidfdProcess::Pid(pid)) = PidfdProcess::parse(bytes) {
        assert!(pid > 0, "0 and -1 are no PIDs");
    }
    if let Some(numbers) = namespace_pids(bytes) {
        assert!(!numbers.is_empty() && numbers.iter().all(|pid| *pid > 0));
    }
    let _ = cpu_times(bytes, u64::MAX);
    let _ = cpu_times(bytes, 10_000_000);
    for (_, value) in key_values(bytes) {
        let _ = kibibytes(value);
    }
    if let Some(number) = unsigned(bytes) {
        assert_eq!(signed(bytes), i64::try_from(number).ok(), "an unsigned number is a signed one as far as it fits");
    }
}

/// `/proc/PID/task/TID/syscall`, and what a wait leads to.
fn syscall(bytes: &[u8]) {
    let _ = SyscallLine::parse(bytes);
    let _ = endpoint(bytes);
    let _ = epoll_targets(bytes);
    let _ = std::str::from_utf8(bytes).map(reason_of_function);
}

/// Datagrams of the proc connector: never more messages than headers fit in.
fn connector_messages(bytes: &[u8]) {
    assert!(connector::messages(bytes).count() <= bytes.len() / 16);
}

/// What the BPF task iterator writes.
fn bpf_records(bytes: &[u8]) {
    let mut rest = bytes;
    while let Ok(Some((record, after))) = Record::split(rest) {
        assert!(after.len() < rest.len(), "every record takes bytes, or reading would never end");
        rest = after;
        let task = if record.is_group() { record.group(0).map(|group| group.task) } else { record.task() };
        let Ok(task) = task else { return };
        let first = task.times.adjusted((0, 0));
        let again = task.times.adjusted(first);
        assert!(again.0 >= first.0 && again.1 >= first.1, "CPU times never go back");
    }
}

/// Lines of lab workers, and what concmon and its helper say to each other. What was understood is said again in the same words.
fn lab_protocol(bytes: &[u8]) {
    if let Ok(line) = protocol::parse_line(bytes) {
        let again = serde_json::to_vec(&line).expect("a line can be written");
        assert_eq!(protocol::parse_line(&again).ok().as_ref(), Some(&line));
    }
    if let Ok(order) = serde_json::from_slice::<Order>(bytes) {
        let again = serde_json::to_vec(&order).expect("an order can be written");
        assert_eq!(serde_json::from_slice::<Order>(&again).ok().as_ref(), Some(&order));
    }
    let _ = serde_json::from_slice::<Notice>(bytes);
}

/// The config file: a mistake is one line with its place.
fn config(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Err(error) = Config::default().apply_file(Path::new("config.toml"), text) {
        let words = error.to_string();
        assert!(words.starts_with("config.toml:"), "{words:?}");
    }
}

/// The filter language: a mistake points into the text, completion never cuts a character.
fn filter(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let saved = SavedFilters::new([("big".to_owned(), "rss>1G".to_owned())]).expect("a filter");
    match Filter::parse_with(text, &saved) {
        Ok(filter) => {
            let _ = (filter.columns(), filter.wants_threads(), filter.wants_kernel_threads());
        }
        Err(error) => assert!(!error.pointed(text).is_empty()),
    }
    assert!(text.is_char_boundary(complete(text, &saved).keep));
}

/// The sanitiser: what comes out acts on nothing, and fits.
fn text(bytes: &[u8]) {
    for charset in [Charset::Unicode, Charset::Ascii] {
        let shown = sanitize(bytes, charset);
        assert!(!shown.chars().any(|c| c.is_control() || is_invisible(c)), "{shown:?}");
        assert_eq!(sanitize(shown.as_bytes(), charset), shown, "twice is once");
        let cells = bytes.first().map_or(0, |byte| usize::from(*byte));
        assert!(width(&fit(bytes, cells, charset)) <= cells);
    }
}
