#![expect(unsafe_code, reason = "sched_setattr(2) has no safe wrapper")]
//! Scheduling of the thread that answers keys, so that it runs soon on a busy machine.
//!
//! An ordinary task that has used more than its fair share waits until the others have had theirs (EEVDF,
//! Documentation/scheduler/sched-eevdf.rst); with a hundred busy tasks, one frame is more. A nice value does not help where sessions or
//! control groups share the CPUs (sched(7)). So a privileged user gets the lowest real-time priority, and others short time slices: since
//! Linux 6.12 an ordinary task may choose the length of its slice (`sched_attr.sched_runtime`), and a shorter one has an earlier deadline.
//! Older kernels accept the value and ignore it.

use std::io;

/// The shortest turn that the kernel takes, nanoseconds.
const SHORT_NS: u64 = 100_000;
/// The lowest real-time priority (sched(7)).
const LOWEST: u32 = 1;

/// How the calling thread is scheduled from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turns {
    /// Before all ordinary tasks.
    First,
    /// As others, but in short turns that come soon.
    Short,
    /// As it was: its policy or nice value has been set before, on purpose.
    Chosen,
}

/// The threads and processes that are scheduled in the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heirs {
    /// Threads and processes that the calling thread starts from now on.
    All,
    /// No thread or process: what it starts from now on is scheduled as if nothing had been asked for (`SCHED_FLAG_RESET_ON_FORK`).
    Nobody,
}

/// Asks for the best of them for the calling thread.
///
/// # Errors
/// As the kernel says; then nothing has changed, and everything works anyway.
pub fn take_turns(heirs: Heirs) -> io::Result<Turns> {
    let now = attributes()?;
    let real_time = libc::SCHED_RR.cast_unsigned();
    let ours = now.sched_policy == real_time && now.sched_priority == LOWEST;
    // Children of a thread with a nice value would not get it back.
    if now.sched_nice != 0 || (now.sched_policy != libc::SCHED_OTHER.cast_unsigned() && !ours) {
        return Ok(Turns::Chosen);
    }
    let sched_flags = if heirs == Heirs::Nobody { libc::SCHED_FLAG_RESET_ON_FORK as u64 } else { 0 };
    let first = libc::sched_attr { sched_policy: real_time, sched_priority: LOWEST, sched_runtime: 0, sched_flags, ..now };
    if set(&first).is_ok() {
        return Ok(Turns::First);
    }
    set(&libc::sched_attr { sched_runtime: SHORT_NS, sched_flags, ..now })?;
    Ok(Turns::Short)
}

fn attributes() -> io::Result<libc::sched_attr> {
    let size = size_of::<libc::sched_attr>();
    let mut now = libc::sched_attr {
        size: u32::try_from(size).unwrap_or(0),
        sched_policy: 0,
        sched_flags: 0,
        sched_nice: 0,
        sched_priority: 0,
        sched_runtime: 0,
        sched_deadline: 0,
        sched_period: 0,
    };
    // SAFETY: the kernel writes at most `size` bytes, which is what `now` has; 0 is the calling thread.
    let result = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut now, size, 0) };
    if result == 0 { Ok(now) } else { Err(io::Error::last_os_error()) }
}

fn set(attributes: &libc::sched_attr) -> io::Result<()> {
    // SAFETY: the kernel reads the structure, whose size is in it; 0 is the calling thread.
    let result = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const *attributes, 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// On a thread of its own: the test's stays as it is.
    fn alone<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> T {
        std::thread::spawn(body).join().unwrap()
    }

    #[test]
    fn nothing_is_handed_on_unless_it_is_to_be() {
        for heirs in [Heirs::All, Heirs::Nobody] {
            let (turns, own, child) = alone(move || {
                let turns = take_turns(heirs).unwrap();
                let again = take_turns(heirs).unwrap();
                assert_eq!(turns, again, "asking again changes nothing");
                (turns, attributes().unwrap(), alone(|| attributes().unwrap()))
            });
            let (policy, runtime) = (own.sched_policy, own.sched_runtime);
            match turns {
                Turns::First => assert_eq!(policy, libc::SCHED_RR.cast_unsigned()),
                // Kernels before 6.12 say 0 for every runtime that was asked for.
                Turns::Short => assert!(policy == 0 && [0, SHORT_NS].contains(&runtime), "{policy} {runtime}"),
                Turns::Chosen => assert_ne!((policy, own.sched_nice), (0, 0)),
            }
            let inherits = (child.sched_policy, child.sched_runtime) == (policy, runtime);
            if turns == Turns::First || (turns == Turns::Short && runtime == SHORT_NS) {
                assert_eq!(inherits, heirs == Heirs::All, "{turns:?}, {heirs:?}: {} {}", child.sched_policy, child.sched_runtime);
            }
        }
    }

    #[test]
    fn who_was_given_a_nice_value_keeps_it() {
        let after = alone(|| {
            let now = attributes().unwrap();
            set(&libc::sched_attr { sched_nice: 5, ..now }).unwrap();
            (take_turns(Heirs::Nobody).unwrap(), attributes().unwrap().sched_nice)
        });
        assert_eq!(after, (Turns::Chosen, 5));
    }
}
