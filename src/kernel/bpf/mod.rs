//! The privileged source: a BPF task iterator in the kernel writes one record per task, and a few read(2) calls return the whole
//! machine. Values that change only at exec, and the expensive values of visible rows, come from `/proc`.

mod assemble;
mod child;
mod hidden;
mod loader;
pub mod record;
mod sightings;

use std::sync::Arc;

pub use child::dispatch;
pub use loader::BpfUnavailable;

use self::assemble::{Assembler, Kept};
use self::hidden::Hidden;
use self::loader::TaskIterator;
use self::record::Record;
use super::error::ReadError;
use super::events::Lifecycle;
use super::exact::ExactReader;
use super::host::HostReader;
use super::identity::{IdentityReader, Known};
use super::parse::ParseError;
use super::parse::stat::Stat;
use super::pid_space::{PidSpace, is_initial};
use super::proc_fs::{ProcFs, RelPath};
use super::source::{Request, Source};
use super::system;
use crate::clock::{Clock, SystemClock, thread_cpu_ns};
use crate::snapshot::{EventTier, ProcKey, Snapshot, SourceReport, SystemInfo, Tier};

/// Bytes asked for per read; the kernel fills at most its own 32 KiB at a time.
const READ_BYTES: usize = 64 * 1024;

/// See the module.
#[derive(Debug)]
pub struct BpfSource {
    system: Arc<SystemInfo>,
    clock: system::WallClock,
    host: HostReader,
    fs: ProcFs,
    iterator: TaskIterator,
    buffer: Vec<u8>,
    assembler: Assembler,
    identities: IdentityReader,
    exact: ExactReader,
    hidden: Hidden,
    lifecycle: Lifecycle,
}

impl BpfSource {
    /// Loads the iterator and checks that its records show this machine as this process sees it.
    ///
    /// # Errors
    /// Why it does not work here.
    pub fn load() -> Result<Self, BpfUnavailable> {
        let system = system::system_info();
        let fs = ProcFs::open("/proc").map_err(|error| BpfUnavailable { why: error.to_string(), better: None })?;
        let elsewhere = not_here(&fs).map_err(|error| BpfUnavailable { why: error.to_string(), better: None })?;
        if let Some(why) = elsewhere {
            return Err(BpfUnavailable { why: why.to_owned(), better: None });
        }
        let mut source = Self {
            host: HostReader::new("/proc"),
            assembler: Assembler::new(&system),
            system: Arc::new(system),
            clock: system::WallClock::default(),
            fs,
            iterator: child::load()?,
            buffer: vec![0; READ_BYTES],
            identities: IdentityReader::default(),
            exact: ExactReader::default(),
            hidden: Hidden::default(),
            lifecycle: Lifecycle::polling("only the monitor reads the kernel's event stream"),
        };
        source.check_namespace()?;
        Ok(source)
    }

    /// Whether the iterator can be read, with the capabilities that this thread has now.
    pub fn works(&mut self) -> bool {
        self.read_records(|record, _| if record.is_group() { record.group(0).map(drop) } else { record.task().map(drop) }).is_ok()
    }

    /// Takes over what another source has read of identities.
    pub fn adopt(&mut self, identities: Vec<(ProcKey, Known)>) {
        self.assembler.adopt(identities);
    }

    /// BPF gives times since the kernel's own boot. In a time namespace those are not what `/proc` shows here: concmon must find itself
    /// under the same pid, start time and group.
    fn check_namespace(&mut self) -> Result<(), BpfUnavailable> {
        let refuse = |why: &str| BpfUnavailable { why: why.to_owned(), better: None };
        let mut buffer = [0; 4096];
        let stat = self.fs.read_once(&RelPath::top("self/stat"), &mut buffer).ok().and_then(|bytes| Stat::parse(bytes).ok());
        let stat = stat.ok_or_else(|| refuse("cannot read /proc/self/stat, so BPF's values cannot be checked"))?;
        let mut myself = None;
        let all = self.read_records(|record, _| {
            if record.is_group() {
                let group = record.group(0)?;
                myself = (group.task.tid == stat.pid).then_some(group).or(myself);
            }
            Ok(())
        });
        all.map_err(|error| refuse(&format!("cannot read the task iterator: {error}")))?;
        let start_ticks = |ns: u64| ns / self.system.tick_ns().max(1);
        match myself {
            Some(group) if start_ticks(group.task.start_ns) == stat.start_ticks && group.pgrp == stat.pgrp => Ok(()),
            _ => Err(refuse("concmon runs in a time namespace, where BPF's times differ from /proc")),
        }
    }

    /// Reads every record once; `each` also gets when it was read, `CLOCK_BOOTTIME` nanoseconds.
    fn read_records(&mut self, mut each: impl FnMut(Record<'_>, u64) -> Result<(), ParseError>) -> Result<(), ReadError> {
        let broken = |source: std::io::Error| ReadError::Io { path: "bpf task iterator".into(), source };
        let malformed = |what: ParseError| broken(std::io::Error::other(what));
        let pass = self.iterator.open().map_err(broken)?;
        let mut filled = 0;
        loop {
            let length = match rustix::io::read(&pass, &mut self.buffer[filled..]) {
                Ok(0) => return Ok(()),
                Ok(length) => length,
                Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => continue,
                Err(errno) => return Err(broken(errno.into())),
            };
            let read_ns = SystemClock.boot_ns();
            filled += length;
            let mut rest = &self.buffer[..filled];
            while let Some((record, after)) = Record::split(rest).map_err(malformed)? {
                each(record, read_ns).map_err(malformed)?;
                rest = after;
            }
            // A record may be cut by the end of a read: its beginning goes to the front.
            let left = rest.len();
            self.buffer.copy_within(filled - left..filled, 0);
            filled = left;
        }
    }

    /// One sweep without events.
    ///
    /// # Errors
    /// If the iterator cannot be read any more.
    pub fn sweep(&mut self, request: &Request<'_>) -> Result<Snapshot, ReadError> {
        let (cpu_before, taken_ns) = (thread_cpu_ns(), SystemClock.boot_ns());
        self.hidden.before(&self.fs)?;
        let mut assembler = std::mem::take(&mut self.assembler);
        assembler.begin(request, taken_ns);
        let read = self.read_records(|record, read_ns| assembler.take(record, read_ns.saturating_sub(taken_ns)));
        self.assembler = assembler;
        read?;
        let (mut processes, mut tasks) = self.assembler.finish(request, &mut self.identities, &self.fs);
        let mut states = self.assembler.states();
        let kept = self.assembler.kept();
        let moved = |index: usize| kept.get(index).is_none_or(Kept::moved);
        self.exact.fill(&self.fs, request, &mut processes, &tasks, moved);
        let hidden = self.hidden.complete(&self.fs, request, taken_ns, &mut processes, &mut tasks)?;
        hidden.iter().zip(&mut states).for_each(|(more, count)| *count += more);
        let host = self.host.read(request.all);
        self.clock.keep(&mut self.system, self.host.booted_unix_s());
        let why = match self.hidden.count() {
            0 => String::new(),
            count => format!("processes hidden from BPF, read from /proc instead: {count}"),
        };
        let report = SourceReport {
            tier: Tier::Bpf,
            why,
            better: None,
            sample_cpu_ns: thread_cpu_ns().saturating_sub(cpu_before) + self.identities.cpu_ns() + self.exact.cpu_ns(),
            sample_wall_ns: SystemClock.boot_ns().saturating_sub(taken_ns),
            events: EventTier::Polling(String::new()),
            events_lost: 0,
            denied: 0,
        };
        let (system, task_states) = (Arc::clone(&self.system), Some(states));
        Ok(Snapshot { taken_ns, system, host, processes, tasks, task_states, events: Vec::new(), report })
    }
}

/// Why BPF's records cannot be joined with what this `/proc` shows: BPF gives PIDs of the initial namespace.
fn not_here(fs: &ProcFs) -> Result<Option<&'static str>, ReadError> {
    let other = "this /proc is of another PID namespace than concmon, where BPF's PIDs are not those of /proc";
    let inner = "concmon runs in a PID namespace of its own, where BPF's PIDs are not those of its /proc";
    Ok(match PidSpace::of(fs)? {
        PidSpace::Own => (!is_initial(fs)).then_some(inner),
        PidSpace::Outer { .. } | PidSpace::Foreign => Some(other),
    })
}

impl Source for BpfSource {
    fn sample(&mut self, request: &Request<'_>) -> Result<Snapshot, ReadError> {
        let mut snapshot = self.sweep(request)?;
        snapshot.events = self.lifecycle.collect(&snapshot.processes, snapshot.taken_ns);
        snapshot.report.events = self.lifecycle.tier();
        Ok(snapshot)
    }
}
