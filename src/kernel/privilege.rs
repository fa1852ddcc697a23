//! Drops the two capabilities that only loading the task iterator needs.

use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};

/// What loads a BPF program of this kind (capabilities(7)).
const LOADING: CapabilitySet = CapabilitySet::BPF.union(CapabilitySet::PERFMON);

/// Gives them up for good in the calling thread and those it starts from now on, if `works` holds without them. Kernels before 5.19 want
/// CAP_BPF for every use of what was loaded, where unprivileged BPF is off; there they stay. Whether they are gone.
pub fn let_go_of_loading(works: impl FnOnce() -> bool) -> bool {
    let Ok(now) = capabilities(None) else { return false };
    if !now.permitted.intersects(LOADING) {
        return true;
    }
    let effective = now.effective.difference(LOADING);
    if set_capabilities(None, CapabilitySets { effective, ..now }).is_err() {
        return false;
    }
    if !works() {
        // What was permitted a moment ago still is.
        let _ = set_capabilities(None, now);
        return false;
    }
    let (permitted, inheritable) = (now.permitted.difference(LOADING), now.inheritable.difference(LOADING));
    set_capabilities(None, CapabilitySets { effective, permitted, inheritable }).is_ok()
}
