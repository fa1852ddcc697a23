//! `/proc/PID/schedstat` (Documentation/scheduler/sched-stats.rst): a task's time on a CPU, time waiting for one, and number of time slices.

use super::{Fields, ParseError};

/// One task's scheduling figures. All three are 0 where the kernel does not keep them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Schedstat {
    /// Nanoseconds on a CPU.
    pub run_ns: u64,
    /// Nanoseconds runnable but waiting for a CPU.
    pub run_delay_ns: u64,
    /// How often it was given a CPU. It moves as soon as the task runs, so it is what the gate of the sampler watches.
    pub turns: u64,
}

impl Schedstat {
    /// Parses the file's one line.
    ///
    /// # Errors
    /// If it is not three numbers.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        let mut fields = Fields::new(bytes);
        match (fields.unsigned(), fields.unsigned(), fields.unsigned()) {
            (Some(run_ns), Some(run_delay_ns), Some(turns)) => Ok(Self { run_ns, run_delay_ns, turns }),
            _ => Err(ParseError("schedstat is not three numbers")),
        }
    }

    /// Whether the kernel keeps these figures at all for this task: a task that never got a CPU looks like one without.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.turns != 0
    }
}
