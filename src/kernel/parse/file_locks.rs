//! File locks from `/proc/locks` (proc_locks(5)) and the `lock:` lines of `/proc/PID/fdinfo/N` (fs/locks.c `lock_get_status`).

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Number of the lock that is held: those that wait for it have the same.
    pub id: u64,
    /// Whether it is waited for instead of held.
    pub waits: bool,
    /// `POSIX`, `FLOCK`, `OFDLCK`, `LEASE` and others.
    pub kind: &'a str,
    /// `READ`, `WRITE` or `UNLCK`.
    pub access: &'a str,
    /// Who asked for it; `None` where no single process did (open file descriptions), or one that is not seen from here.
    pub pid: Option<i32>,
    /// Device as the kernel writes it (`fe:00`), then the inode's number.
    pub file: (&'a str, u64),
    /// First byte and, unless it goes to the end of the file, last byte.
    pub range: (u64, Option<u64>),
}

impl<'a> Entry<'a> {
    /// A line of `/proc/locks`, or what follows `lock:` in `fdinfo`. `None` if it is no such line.
    #[must_use]
    pub fn parse(line: &'a [u8]) -> Option<Self> {
        let mut words = std::str::from_utf8(line).ok()?.split_ascii_whitespace().peekable();
        let id = words.next()?.strip_suffix(':')?.parse().ok()?;
        let waits = words.next_if_eq(&"->").is_some();
        let (kind, _advisory, access) = (words.next()?, words.next()?, words.next()?);
        let pid = words.next()?.parse().ok().filter(|pid| *pid > 0);
        let (device, inode) = words.next()?.rsplit_once(':')?;
        let first = words.next()?.parse().ok()?;
        let last = match words.next()? {
            "EOF" => None,
            number => Some(number.parse().ok()?),
        };
        Some(Self { id, waits, kind, access, pid, file: (device, inode.parse().ok()?), range: (first, last) })
    }

    /// Whether both tell of the same lock: the numbers of lines differ between the two files.
    #[must_use]
    pub fn is(&self, other: &Entry<'_>) -> bool {
        (self.kind, self.access, self.pid, self.file, self.range)
            == (other.kind, other.access, other.pid, other.file, other.range)
    }
}

/// The inode's number (Linux 5.14) and the locks held through a descriptor, from its `fdinfo`.
pub fn of_descriptor(fdinfo: &[u8]) -> (Option<u64>, impl Iterator<Item = Entry<'_>>) {
    let values = |name: &'static [u8]| fdinfo.split(|b| *b == b'\n').filter_map(move |line| line.strip_prefix(name));
    let inode = values(b"ino:").next().and_then(|text| std::str::from_utf8(text).ok()?.trim().parse().ok());
    (inode, values(b"lock:").filter_map(Entry::parse))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_files_are_understood() {
        let held = Entry::parse(b"2: POSIX  ADVISORY  WRITE 4130 fe:00:10141762 100 199").unwrap();
        assert_eq!((held.id, held.waits, held.kind, held.access), (2, false, "POSIX", "WRITE"));
        assert_eq!((held.pid, held.file, held.range), (Some(4130), ("fe:00", 10_141_762), (100, Some(199))));
        let waits = Entry::parse(b"2:  -> POSIX  ADVISORY  READ  17 fe:00:10141762 0 EOF").unwrap();
        assert_eq!((waits.id, waits.waits, waits.pid, waits.range), (2, true, Some(17), (0, None)));
        let open = Entry::parse(b"3: OFDLCK ADVISORY  READ -1 00:1a:7 0 EOF").unwrap();
        assert_eq!((open.kind, open.pid), ("OFDLCK", None));
        let info = b"pos:\t0\nflags:\t02100002\nmnt_id:\t30\nino:\t10141762\nlock:\t1: POSIX  ADVISORY  WRITE 4130 fe:00:10141762 100 199\n";
        let (inode, locks) = of_descriptor(info);
        let locks: Vec<_> = locks.collect();
        assert_eq!(inode, Some(10_141_762));
        assert!(locks.len() == 1 && locks[0].is(&held) && !locks[0].is(&waits));
    }

    #[test]
    fn what_is_no_lock_is_none() {
        for line in [
            &b""[..],
            b"1:",
            b"x: POSIX A W 1 a:b:1 0 EOF",
            b"1: POSIX A W 1 noinode 0 EOF",
            b"1: -> ",
            b"\xff\xfe",
            b"1: F A W 1 a:b:1 0",
        ] {
            assert_eq!(Entry::parse(line), None, "{line:?}");
        }
        assert_eq!(Entry::parse(b"1: F A W 99999999999 a:b:1 0 EOF").unwrap().pid, None);
    }
}
