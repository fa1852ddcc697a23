//! `/proc/PID/maps` (proc_pid_maps(5)): the mappings of a process.

/// One mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mapping<'a> {
    /// First address.
    pub start: u64,
    /// First address behind it.
    pub end: u64,
    /// Whether the process may write to it.
    pub writable: bool,
    /// Whether writing makes a private copy (`p`) rather than changing what others see (`s`).
    pub private: bool,
    /// Where in the file it begins, bytes.
    pub offset: u64,
    /// Device of the file: major and minor number; 0 for anonymous private memory.
    pub device: (u32, u32),
    /// Number of the file; shared anonymous memory has one too.
    pub inode: u64,
    /// File, `[heap]`, `[stack]`, or nothing for anonymous memory. The process's own choice of bytes.
    pub name: &'a [u8],
}

impl<'a> Mapping<'a> {
    /// Parses a line; `None` if it is none.
    #[must_use]
    pub fn parse(line: &'a [u8]) -> Option<Self> {
        let mut fields = line.splitn(6, |b| *b == b' ');
        let range = fields.next()?;
        let dash = range.iter().position(|b| *b == b'-')?;
        let (start, end) = (hex(&range[..dash])?, hex(&range[dash + 1..])?);
        let access = fields.next()?;
        let writable = access.get(1) == Some(&b'w');
        let private = match access.get(3)? {
            b'p' => true,
            b's' => false,
            _ => return None,
        };
        let offset = hex(fields.next()?)?;
        let device = fields.next()?;
        let colon = device.iter().position(|b| *b == b':')?;
        let device = (u32::try_from(hex(&device[..colon])?).ok()?, u32::try_from(hex(&device[colon + 1..])?).ok()?);
        let inode = super::unsigned(fields.next()?)?;
        let name = fields.next().unwrap_or_default().trim_ascii_start();
        (start < end).then_some(Self { start, end, writable, private, offset, device, inode, name })
    }
}

fn hex(digits: &[u8]) -> Option<u64> {
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_with_and_without_a_name() {
        let heap = Mapping::parse(b"55d0c8a00000-55d0c8a21000 rw-p 00000000 00:00 0                          [heap]").unwrap();
        assert_eq!((heap.start, heap.end, heap.private, heap.name), (0x55d0_c8a0_0000, 0x55d0_c8a2_1000, true, &b"[heap]"[..]));
        let anonymous = Mapping::parse(b"7f0000000000-7f0000001000 rw-s 00000000 00:00 0 ").unwrap();
        assert_eq!((anonymous.private, anonymous.name), (false, &b""[..]));
        let spaced = Mapping::parse(b"7f0000000000-7f0000001000 r--p 00001000 fd:01 77    /tmp/a b (deleted)").unwrap();
        assert_eq!(spaced.name, b"/tmp/a b (deleted)");
        assert_eq!((heap.writable, spaced.writable), (true, false));
        assert_eq!((spaced.offset, spaced.device, spaced.inode), (0x1000, (0xfd, 1), 77));
        for bad in [&b""[..], b"-", b"1-0 rw-p", b"0-1", b"0-1 rw", b"x-y rw-p 0 0 0", b"0-1 rw-? 0 0 0", b"2-1 rw-p 0 0 0"] {
            assert_eq!(Mapping::parse(bad), None, "{}", String::from_utf8_lossy(bad));
        }
    }
}
