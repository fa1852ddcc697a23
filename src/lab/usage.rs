//! What processes have used: the part of `struct rusage` that costs are made of.

use serde::{Deserialize, Serialize};

/// CPU and memory events of processes that were waited for (`struct rusage`, getrusage(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Usage {
    /// User CPU, nanoseconds.
    pub user_ns: u64,
    /// System CPU, nanoseconds.
    pub sys_ns: u64,
    /// Minor faults.
    pub minor_faults: u64,
    /// Major faults.
    pub major_faults: u64,
    /// Voluntary switches.
    pub voluntary_switches: u64,
    /// Involuntary switches.
    pub involuntary_switches: u64,
}

impl Usage {
    /// What is left of it when `part` is taken out.
    #[must_use]
    pub fn without(self, part: Self) -> Self {
        Self {
            user_ns: self.user_ns.saturating_sub(part.user_ns),
            sys_ns: self.sys_ns.saturating_sub(part.sys_ns),
            minor_faults: self.minor_faults.saturating_sub(part.minor_faults),
            major_faults: self.major_faults.saturating_sub(part.major_faults),
            voluntary_switches: self.voluntary_switches.saturating_sub(part.voluntary_switches),
            involuntary_switches: self.involuntary_switches.saturating_sub(part.involuntary_switches),
        }
    }

    /// User and system CPU together, nanoseconds.
    #[must_use]
    pub fn cpu_ns(self) -> u64 {
        self.user_ns.saturating_add(self.sys_ns)
    }
}

impl std::ops::AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        // A worker may say anything of itself.
        self.user_ns = self.user_ns.saturating_add(other.user_ns);
        self.sys_ns = self.sys_ns.saturating_add(other.sys_ns);
        self.minor_faults = self.minor_faults.saturating_add(other.minor_faults);
        self.major_faults = self.major_faults.saturating_add(other.major_faults);
        self.voluntary_switches = self.voluntary_switches.saturating_add(other.voluntary_switches);
        self.involuntary_switches = self.involuntary_switches.saturating_add(other.involuntary_switches);
    }
}
