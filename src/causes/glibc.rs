//! Owners in the memory of glibc's locks (glibc: sysdeps/nptl/bits/struct_mutex.h, struct_rwlock.h, internaltypes.h) and in the futex word
//! (futex(2)). Pure: from the arguments of the call and the bytes around the word.

use super::Kind;

/// How many bytes before the futex are looked at.
pub const BEFORE: usize = 12;
/// How many bytes from the futex on.
pub const BEHIND: usize = 40;
/// PID_MAX_LIMIT of 64-bit kernels.
const MOST_TID: i32 = 4_194_304;
/// More threads than this use no lock at once.
const MOST_USERS: u32 = 1_000_000;
/// The type, robust, inheritance, protection, shared and elision bits of `__kind`.
const KIND_BITS: u32 = 0x3ff;
const TID_BITS: u32 = 0x3fff_ffff;
const WAITERS: u32 = 0x8000_0000;

/// A futex call that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// Address of the word.
    pub address: u64,
    /// Operation without its flags.
    pub operation: u64,
    /// FUTEX_PRIVATE_FLAG.
    pub private: bool,
    /// The value that the word was to have.
    pub value: u32,
    /// Whether there is no timeout.
    pub for_ever: bool,
}

const WAIT: u64 = 0;
const LOCK_PI: u64 = 6;
const WAIT_BITSET: u64 = 9;
const LOCK_PI2: u64 = 13;

impl Call {
    /// From the name and the arguments of a system call; `None` if it waits at no single futex.
    #[must_use]
    pub fn parse(name: &str, args: &[u64; 6]) -> Option<Self> {
        let low = |arg: u64| (arg & 0xffff_ffff) as u32;
        match name {
            "futex" => Some(Self {
                address: args[0],
                operation: args[1] & 127,
                private: args[1] & 128 != 0,
                value: low(args[2]),
                for_ever: args[3] == 0,
            }),
            "futex_wait" => Some(Self {
                address: args[0],
                operation: WAIT_BITSET,
                private: args[3] & 128 != 0,
                value: low(args[1]),
                for_ever: args[4] == 0,
            }),
            _ => None,
        }
    }

    fn locks_by_kernel(&self) -> bool {
        matches!(self.operation, LOCK_PI | LOCK_PI2)
    }
}

/// What the memory says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Record {
    /// No owner that can be determined.
    Nothing,
    /// An owner; `surely_a_lock` if the bytes fit no other structure, so that an owner that is gone may be believed.
    Owner {
        /// What it is.
        kind: Kind,
        /// Number of the thread in its own PID namespace.
        tid: i32,
        /// See above.
        surely_a_lock: bool,
    },
    /// `sem_t`.
    Semaphore {
        /// Free units.
        value: u32,
        /// Waiters that it counts.
        waiters: u32,
    },
}

/// Interprets the bytes from `address - BEFORE` on. `is_task` says whether a number is a living task that may own the lock: a number that
/// only looks like an owner is one by chance in one of some ten thousand cases, so every other field must fit too.
#[must_use]
pub fn record(call: &Call, bytes: &[u8; BEFORE + BEHIND], is_task: impl Fn(i32) -> bool) -> Record {
    let word = |offset: usize| {
        let mut four = [0; 4];
        four.copy_from_slice(&bytes[offset..offset + 4]);
        u32::from_ne_bytes(four)
    };
    let at = |offset: usize| word(BEFORE + offset);
    let number = |raw: u32| i32::try_from(raw).ok().filter(|tid| (1..=MOST_TID).contains(tid));
    if call.locks_by_kernel() {
        // The kernel reads and writes this word itself.
        return match number(at(0) & TID_BITS) {
            Some(tid) => Record::Owner { kind: Kind::Mutex, tid, surely_a_lock: true },
            None => Record::Nothing,
        };
    }
    if !matches!(call.operation, WAIT | WAIT_BITSET) {
        return Record::Nothing;
    }
    // The word of pthread_join(3): the kernel sets it to 0 when the thread ends.
    if !call.private
        && at(0) == call.value
        && let Some(tid) = number(call.value).filter(|tid| is_task(*tid))
    {
        return Record::Owner { kind: Kind::Join, tid, surely_a_lock: true };
    }
    if let Some(owner) = mutex(call, &at).and_then(number) {
        let plain = bytes[BEFORE + 24..BEFORE + 40].iter().all(|b| *b == 0) && at(4) == 0;
        if is_task(owner) || plain {
            return Record::Owner { kind: Kind::Mutex, tid: owner, surely_a_lock: plain };
        }
    }
    for (begin, own) in [(BEFORE - 8, 8), (BEFORE - 12, 12)] {
        // __cur_writer; the phase must be a writer's, and both words of futexes hold 0 to 3.
        let field = |offset: usize| word(begin + offset);
        let fits = field(0) & 3 == 3 && field(8) <= 3 && field(12) <= 3 && field(own) == call.value;
        if let Some(tid) = number(field(24)).filter(|tid| fits && is_task(*tid)) {
            return Record::Owner { kind: Kind::RwLock, tid, surely_a_lock: false };
        }
    }
    if call.operation == WAIT_BITSET && call.value == 0 && at(0) == 0 && (1..=MOST_USERS).contains(&at(4)) {
        return Record::Semaphore { value: 0, waiters: at(4) };
    }
    Record::Nothing
}

/// `__owner` of a `pthread_mutex_t` whose fields fit: the word is 2 with waiters, or the owner with the waiters' bit if it is robust.
fn mutex(call: &Call, at: &impl Fn(usize) -> u32) -> Option<u32> {
    let (lock, owner, users, kind) = (at(0), at(8), at(12), at(16));
    let waited_for = if kind & 16 != 0 { lock & WAITERS != 0 && lock & TID_BITS == owner } else { lock == 2 };
    let fits = waited_for && call.value == lock && (1..=MOST_USERS).contains(&users) && kind & !KIND_BITS == 0;
    fits.then_some(owner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(words: &[(i32, u32)]) -> [u8; BEFORE + BEHIND] {
        let mut bytes = [0; BEFORE + BEHIND];
        for (offset, word) in words {
            let at = usize::try_from(*offset + 12).unwrap();
            bytes[at..at + 4].copy_from_slice(&word.to_ne_bytes());
        }
        bytes
    }

    fn call(operation: u64, private: bool, value: u32) -> Call {
        Call::parse("futex", &[0x7000, operation | if private { 128 } else { 0 }, u64::from(value), 0, 0, 0]).unwrap()
    }

    fn owner(record: Record) -> Option<(Kind, i32)> {
        match record {
            Record::Owner { kind, tid, .. } => Some((kind, tid)),
            _ => None,
        }
    }

    #[test]
    fn a_mutex_names_its_owner_only_if_every_field_fits() {
        let good = [(0, 2), (8, 41), (12, 1), (16, 0)];
        let is_task = |tid| tid == 41;
        assert_eq!(owner(record(&call(0, true, 2), &bytes(&good), is_task)), Some((Kind::Mutex, 41)));
        for (offset, word) in [(0, 1), (8, 0), (8, 42 << 24), (12, 0), (12, u32::MAX), (16, 0x8000)] {
            let mut broken = good.to_vec();
            broken.push((offset, word));
            assert_eq!(record(&call(0, true, 2), &bytes(&broken), is_task), Record::Nothing, "{offset}: {word}");
        }
        let robust = [(0, 41 | WAITERS), (8, 41), (12, 1), (16, 16)];
        assert_eq!(owner(record(&call(0, true, 41 | WAITERS), &bytes(&robust), is_task)), Some((Kind::Mutex, 41)));
    }

    #[test]
    fn an_owner_that_is_gone_is_believed_of_a_plain_mutex_only() {
        let plain = [(0, 2), (8, 41), (12, 1), (16, 0)];
        let gone = |_| false;
        assert_eq!(owner(record(&call(0, true, 2), &bytes(&plain), gone)), Some((Kind::Mutex, 41)));
        let data = [(0, 2), (8, 41), (12, 1), (16, 0), (24, 7)];
        assert_eq!(record(&call(0, true, 2), &bytes(&data), gone), Record::Nothing, "the data of another kind of lock");
    }

    #[test]
    fn locks_of_the_kernel_joins_and_writers_are_read() {
        let is_task = |tid| tid == 41;
        let waiters = bytes(&[(0, 41 | WAITERS)]);
        assert_eq!(owner(record(&call(LOCK_PI, true, 0), &waiters, is_task)), Some((Kind::Mutex, 41)));
        let join = bytes(&[(0, 41)]);
        assert_eq!(owner(record(&call(WAIT_BITSET, false, 41), &join, is_task)), Some((Kind::Join, 41)));
        assert_eq!(owner(record(&call(WAIT_BITSET, true, 41), &join, is_task)), None, "a private word is no thread's");
        // readers with both bits, then the phase that this one waits at, then __cur_writer.
        let reader = bytes(&[(-8, 3), (0, 3), (16, 41)]);
        assert_eq!(owner(record(&call(WAIT_BITSET, true, 3), &reader, is_task)), Some((Kind::RwLock, 41)));
        let writer = bytes(&[(-12, 3), (0, 3), (12, 41)]);
        assert_eq!(owner(record(&call(WAIT_BITSET, true, 3), &writer, is_task)), Some((Kind::RwLock, 41)));
        assert_eq!(owner(record(&call(WAIT_BITSET, true, 3), &reader, |_| false)), None);
    }

    #[test]
    fn semaphores_and_timeouts() {
        assert_eq!(
            record(&call(WAIT_BITSET, false, 0), &bytes(&[(4, 3)]), |_| false),
            Record::Semaphore { value: 0, waiters: 3 }
        );
        assert!(call(0, true, 2).for_ever);
        assert!(!Call::parse("futex", &[1, 0, 0, 0x7ff0, 0, 0]).unwrap().for_ever);
        assert_eq!(Call::parse("futex_waitv", &[0; 6]), None);
    }
}
