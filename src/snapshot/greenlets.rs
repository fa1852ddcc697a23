//! The greenlets of a Python process, read from outside: functions with stacks of their own that take turns in one thread, as gevent's.

use std::sync::Arc;

use super::{LeftOut, PythonFrame};

/// The greenlets that have started and not finished.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Greenlets {
    /// Those that were read: by thread, the one that runs first.
    pub greenlets: Vec<Greenlet>,
    /// How many there are. Of very many, not all are in `greenlets`.
    pub count: usize,
}

/// What a greenlet does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GreenletState {
    /// Its thread executes it: its frames are those of the thread.
    Running,
    /// It has switched to another one.
    Waiting,
}

impl GreenletState {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Waiting => "waiting",
        }
    }
}

/// A greenlet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Greenlet {
    /// The address of the object, as `repr()` prints it.
    pub id: u64,
    /// The name of its type, without its module.
    pub kind: Arc<str>,
    /// Whether it is the one that each thread has from the beginning.
    pub is_main: bool,
    /// What it does.
    pub state: GreenletState,
    /// The native id of its thread; `None` if that is not known.
    pub native_id: Option<u64>,
    /// The kernel's number of that thread, as it is seen from here.
    pub tid: Option<i32>,
    /// Innermost first; empty of a running one.
    pub frames: Vec<PythonFrame>,
    /// Frames that were counted but not kept.
    pub left_out: Option<LeftOut>,
    /// Whether there are outer frames that were not read.
    pub deeper: bool,
    /// Whether it ran during each of several readings, so that its frames are not given.
    pub moved: bool,
}

impl Greenlets {
    /// Those of each thread.
    pub fn by_thread(&self) -> impl Iterator<Item = &[Greenlet]> {
        self.greenlets.chunk_by(|one, next| one.native_id == next.native_id)
    }
}
