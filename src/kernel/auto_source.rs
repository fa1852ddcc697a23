//! The source that the program uses: it starts with `/proc`, so that the first frame does not wait, and changes to the BPF task iterator
//! once a separate thread has loaded it. Events come from the kernel's stream with either source.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, TryRecvError, channel};

use super::bpf::{BpfSource, BpfUnavailable};
use super::error::ReadError;
use super::events::Lifecycle;
use super::pid_space::PidSpace;
use super::privilege::let_go_of_loading;
use super::proc_fs::ProcFs;
use super::proc_source::ProcSource;
use super::source::{Request, Source};
use crate::snapshot::Snapshot;

/// Which tier the user wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SourceChoice {
    /// The best that works.
    #[default]
    Auto,
    /// The BPF task iterator, or an error that says why not.
    Bpf,
    /// `/proc` files only.
    Proc,
}

/// Samples from the tier that was chosen, or from the best that works.
#[derive(Debug)]
pub struct AutoSource {
    root: PathBuf,
    tier: Active,
    better: Better,
    lifecycle: Option<Lifecycle>,
}

#[derive(Debug)]
enum Active {
    Proc(Box<ProcSource>),
    Bpf(Box<BpfSource>),
}

/// What is known of the better tier.
#[derive(Debug)]
enum Better {
    /// To be tried after the first sweep.
    Untried,
    Loading(Receiver<Result<BpfSource, BpfUnavailable>>),
    Unavailable(BpfUnavailable),
}

impl AutoSource {
    /// A source below `root`, `/proc` outside tests: elsewhere there is neither BPF nor an event stream.
    ///
    /// # Errors
    /// If `root` cannot be opened, or the tier that was explicitly chosen does not work here.
    pub fn new(root: impl Into<PathBuf>, choice: SourceChoice) -> Result<Self, ReadError> {
        let root = root.into();
        let live = root == Path::new("/proc");
        let space = if live { PidSpace::of(&ProcFs::open(&root)?)? } else { PidSpace::Own };
        let no_better = |why: &str| Better::Unavailable(BpfUnavailable { why: why.to_owned(), better: None });
        let (tier, better) = match choice {
            SourceChoice::Auto if live => (Active::Proc(Box::new(ProcSource::new(&root)?)), Better::Untried),
            SourceChoice::Auto => {
                (Active::Proc(Box::new(ProcSource::new(&root)?)), no_better("BPF reads the running kernel only"))
            }
            SourceChoice::Proc => {
                // Helper threads allocate too: one heap can be given back as a whole.
                super::system::share_heap();
                let_go_of_loading(|| true);
                (Active::Proc(Box::new(ProcSource::new(&root)?)), no_better("chosen with --source proc"))
            }
            SourceChoice::Bpf => {
                let mut source = BpfSource::load().map_err(|error| {
                    let mend = error.better.map(|command| format!("; try: {command}")).unwrap_or_default();
                    ReadError::Unavailable { what: "--source bpf", why: format!("{}{mend}", error.why) }
                })?;
                let_go_of_loading(|| source.works());
                (Active::Bpf(Box::new(source)), no_better(""))
            }
        };
        let deaf = match space {
            _ if !live => Some("the event stream reports the running kernel only"),
            PidSpace::Own => None,
            PidSpace::Outer { .. } | PidSpace::Foreign => Some("the event stream has PIDs of another namespace than this /proc"),
        };
        let lifecycle = deaf.map(Lifecycle::polling);
        Ok(Self { root, tier, better, lifecycle })
    }

    /// Starts loading the better tier, or takes it over when it is loaded.
    fn improve(&mut self) {
        match &self.better {
            Better::Untried => {
                super::system::share_heap();
                let (sender, receiver) = channel();
                let thread = std::thread::Builder::new().name("bpf-load".to_owned()).spawn(move || {
                    let source = BpfSource::load();
                    // The kernel's type information takes tens of megabytes while it is parsed; the allocator would keep them.
                    super::system::trim_heap();
                    // The receiver is gone if the program is ending.
                    let _ = sender.send(source);
                });
                self.better = match thread {
                    Ok(_) => Better::Loading(receiver),
                    Err(error) => unavailable(format!("cannot start a thread to load the BPF task iterator: {error}")),
                };
            }
            Better::Loading(receiver) => match receiver.try_recv() {
                Ok(Ok(mut source)) => {
                    let_go_of_loading(|| source.works());
                    if let Active::Proc(proc) = &self.tier {
                        source.adopt(proc.identities());
                    }
                    self.tier = Active::Bpf(Box::new(source));
                    self.better = unavailable(String::new());
                    // What the other source knew of each process is free now, in the middle of the heap.
                    super::system::trim_heap();
                }
                Ok(Err(why)) => {
                    let_go_of_loading(|| true);
                    self.better = Better::Unavailable(why);
                }
                Err(TryRecvError::Disconnected) => self.better = unavailable("loading the BPF task iterator failed".to_owned()),
                Err(TryRecvError::Empty) => {}
            },
            Better::Unavailable(_) => {}
        }
    }

    fn sweep(&mut self, request: &Request<'_>) -> Result<Snapshot, ReadError> {
        match &mut self.tier {
            Active::Proc(source) => source.sweep(request),
            Active::Bpf(source) => match source.sweep(request) {
                Ok(snapshot) => Ok(snapshot),
                Err(error) => {
                    // The iterator has failed, for any reason: /proc still works.
                    let mut proc = ProcSource::new(&self.root)?;
                    let snapshot = proc.sweep(request);
                    self.tier = Active::Proc(Box::new(proc));
                    self.better = unavailable(format!("the BPF task iterator stopped working: {error}"));
                    snapshot
                }
            },
        }
    }

    /// Completes a report of the `/proc` tier with why it is not the better one.
    fn explain(&self, snapshot: &mut Snapshot) {
        if matches!(self.tier, Active::Bpf(_)) {
            return;
        }
        let (why, better) = match &self.better {
            Better::Untried | Better::Loading(_) => ("the BPF task iterator is being loaded", None),
            Better::Unavailable(unavailable) => (unavailable.why.as_str(), unavailable.better.clone()),
        };
        let report = &mut snapshot.report;
        report.why = if report.why.is_empty() { why.to_owned() } else { format!("{why}; {}", report.why) };
        report.better = better.or(report.better.take());
    }
}

impl Source for AutoSource {
    fn sample(&mut self, request: &Request<'_>) -> Result<Snapshot, ReadError> {
        let first = self.lifecycle.is_none();
        if !first {
            self.improve();
        }
        let mut snapshot = self.sweep(request)?;
        // The event stream too is connected after the first sweep has been read: its thread must not delay the first frame.
        let lifecycle = self.lifecycle.get_or_insert_with(Lifecycle::start);
        snapshot.events = lifecycle.collect(&snapshot.processes, snapshot.taken_ns);
        snapshot.report.events = lifecycle.tier();
        snapshot.report.events_lost = lifecycle.lost();
        if first {
            self.improve();
        }
        self.explain(&mut snapshot);
        Ok(snapshot)
    }
}

fn unavailable(why: String) -> Better {
    Better::Unavailable(BpfUnavailable { why, better: None })
}
