//! Messages of the kernel's process connector (`include/uapi/linux/cn_proc.h`) inside their netlink and connector headers
//! (`linux/netlink.h`, `linux/connector.h`). All integers are in the machine's byte order.

use crate::snapshot::{Comm, EventKind, ExitStatus};

/// `CN_IDX_PROC`: the connector's number, and the multicast group it sends to.
pub const CN_IDX_PROC: u32 = 1;
/// `CN_VAL_PROC`.
const CN_VAL_PROC: u32 = 1;
const NLMSG_DONE: u16 = 3;
const NETLINK_HEADER: usize = 16;
const CONNECTOR_HEADER: usize = 20;

/// One message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message {
    /// The answer to a request, sent to every listener: only the one with our number is ours.
    Ack {
        /// It counts in its CPU's row like any event.
        mark: Mark,
        /// The request's number plus one.
        answer_to: u32,
        /// 0 or why it was refused.
        errno: u32,
    },
    /// Something happened.
    Event(Stamped),
    /// A kind of event that concmon does not use; its number still counts.
    Other(Mark),
}

/// Which event of which CPU: numbers rise by one per CPU, so a gap is a loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The CPU.
    pub cpu: u32,
    /// The event's number on that CPU.
    pub sequence: u32,
}

/// An event with its mark and time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamped {
    /// Where it stands in its CPU's row.
    pub mark: Mark,
    /// `CLOCK_MONOTONIC` nanoseconds.
    pub monotonic_ns: u64,
    /// What happened.
    pub kind: EventKind,
}

/// The message that asks to listen (`PROC_CN_MCAST_LISTEN`) or to stop it (`PROC_CN_MCAST_IGNORE`); the answer bears its number
/// plus one.
#[must_use]
pub fn control_message(listen: bool, request: u32) -> [u8; NETLINK_HEADER + CONNECTOR_HEADER + 4] {
    let mut message = [0; NETLINK_HEADER + CONNECTOR_HEADER + 4];
    let mut put = |at: usize, bytes: &[u8]| message[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &40u32.to_ne_bytes());
    put(4, &NLMSG_DONE.to_ne_bytes());
    put(12, &std::process::id().to_ne_bytes());
    put(16, &CN_IDX_PROC.to_ne_bytes());
    put(20, &CN_VAL_PROC.to_ne_bytes());
    put(28, &request.to_ne_bytes());
    put(32, &4u16.to_ne_bytes());
    put(36, &(if listen { 1u32 } else { 2 }).to_ne_bytes());
    message
}

/// The messages of one datagram, as far as they are whole and the process connector's.
pub fn messages(datagram: &[u8]) -> impl Iterator<Item = Message> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        loop {
            let length = usize::try_from(u32_at(rest, 0)?).ok()?;
            let message = rest.get(..length).filter(|message| message.len() >= NETLINK_HEADER)?;
            // The next one begins at a multiple of four (NLMSG_ALIGN).
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
            if let Some(parsed) = message.get(NETLINK_HEADER..).and_then(connector) {
                return Some(parsed);
            }
        }
    })
}

/// A connector message: its header, then `struct proc_event`.
fn connector(bytes: &[u8]) -> Option<Message> {
    if (u32_at(bytes, 0)?, u32_at(bytes, 4)?) != (CN_IDX_PROC, CN_VAL_PROC) {
        return None;
    }
    let sequence = u32_at(bytes, 8)?;
    let length = usize::from(u16::from_ne_bytes(array_at(bytes, 16)?));
    let event = bytes.get(CONNECTOR_HEADER..CONNECTOR_HEADER.checked_add(length)?)?;
    let (what, mark) = (u32_at(event, 0)?, Mark { cpu: u32_at(event, 4)?, sequence });
    let monotonic_ns = u64::from_ne_bytes(array_at(event, 8)?);
    let data = event.get(16..)?;
    let id = |index: usize| u32_at(data, index * 4).map(u32::cast_signed);
    let kind = match what {
        0 => return Some(Message::Ack { mark, answer_to: u32_at(bytes, 12)?, errno: u32_at(data, 0)? }),
        0x0000_0001 => fork(id(0)?, id(1)?, id(2)?, id(3)?),
        0x0000_0002 => EventKind::Exec { tgid: id(1)? },
        0x0000_0200 => EventKind::Comm { tid: id(0)?, tgid: id(1)?, comm: comm(data.get(8..24)?) },
        0x8000_0000 => EventKind::Exit { tid: id(0)?, tgid: id(1)?, status: ExitStatus::from_raw(u32_at(data, 8)?) },
        _ => return Some(Message::Other(mark)),
    };
    Some(Message::Event(Stamped { mark, monotonic_ns, kind }))
}

/// For a new process the kernel names the task that forked. For a new thread it names the parent of the whole process instead: which
/// task created it is not reported, only that it was one of the same process.
fn fork(parent_tid: i32, parent_tgid: i32, child_tid: i32, child_tgid: i32) -> EventKind {
    if child_tid == child_tgid {
        EventKind::Fork { parent_tid, parent_tgid, child_tid, child_tgid }
    } else {
        EventKind::Fork { parent_tid: 0, parent_tgid: child_tgid, child_tid, child_tgid }
    }
}

fn comm(bytes: &[u8]) -> Comm {
    Comm::new(bytes.split(|byte| *byte == 0).next().unwrap_or_default())
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    array_at(bytes, at).map(u32::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A datagram of one event as the kernel lays it out.
    fn datagram(what: u32, sequence: u32, data: &[u32]) -> Vec<u8> {
        let mut event: Vec<u8> = Vec::new();
        event.extend(what.to_ne_bytes());
        event.extend(1u32.to_ne_bytes());
        event.extend(7_000u64.to_ne_bytes());
        event.extend(data.iter().flat_map(|word| word.to_ne_bytes()));
        event.resize(40, 0);
        let mut bytes: Vec<u8> = Vec::new();
        bytes.extend(u32::try_from(NETLINK_HEADER + CONNECTOR_HEADER + event.len()).unwrap().to_ne_bytes());
        bytes.extend([3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        bytes.extend(CN_IDX_PROC.to_ne_bytes());
        bytes.extend(CN_VAL_PROC.to_ne_bytes());
        bytes.extend(sequence.to_ne_bytes());
        bytes.extend([0; 4]);
        bytes.extend(u16::try_from(event.len()).unwrap().to_ne_bytes());
        bytes.extend([0; 2]);
        bytes.extend(event);
        bytes
    }

    fn kinds(bytes: &[u8]) -> Vec<EventKind> {
        let event = |message| if let Message::Event(event) = message { Some(event.kind) } else { None };
        messages(bytes).filter_map(event).collect()
    }

    #[test]
    fn each_kind_is_read_from_its_place() {
        let fork = datagram(1, 5, &[11, 10, 20, 20]);
        assert_eq!(kinds(&fork), [EventKind::Fork { parent_tid: 11, parent_tgid: 10, child_tid: 20, child_tgid: 20 }]);
        let Some(Message::Event(event)) = messages(&fork).next() else { panic!("an event") };
        assert_eq!((event.mark, event.monotonic_ns), (Mark { cpu: 1, sequence: 5 }, 7_000));
        let thread = datagram(1, 6, &[1, 1, 21, 20]);
        assert_eq!(kinds(&thread), [EventKind::Fork { parent_tid: 0, parent_tgid: 20, child_tid: 21, child_tgid: 20 }]);
        let exit = datagram(0x8000_0000, 7, &[20, 20, 3 << 8, 17, 10, 10]);
        assert_eq!(kinds(&exit), [EventKind::Exit { tid: 20, tgid: 20, status: ExitStatus::Code(3) }]);
        let name = datagram(0x200, 8, &[20, 20, u32::from_ne_bytes(*b"ab\x1b\0"), 0, 0, 0]);
        assert_eq!(kinds(&name), [EventKind::Comm { tid: 20, tgid: 20, comm: Comm::new(b"ab\x1b") }]);
        assert_eq!(
            messages(&datagram(0, 77, &[1])).collect::<Vec<_>>(),
            [Message::Ack { mark: Mark { cpu: 1, sequence: 77 }, answer_to: 0, errno: 1 }]
        );
        assert_eq!(messages(&datagram(4, 9, &[])).collect::<Vec<_>>(), [Message::Other(Mark { cpu: 1, sequence: 9 })]);
    }

    #[test]
    fn several_messages_in_one_datagram_are_all_read_and_a_cut_one_is_left_out() {
        let mut both = datagram(2, 1, &[30, 30]);
        both.extend(datagram(2, 2, &[31, 31]));
        assert_eq!(kinds(&both), [EventKind::Exec { tgid: 30 }, EventKind::Exec { tgid: 31 }]);
        both.truncate(both.len() - 1);
        assert_eq!(kinds(&both), [EventKind::Exec { tgid: 30 }]);
    }

    #[test]
    fn a_length_that_lies_ends_the_reading() {
        for length in [0u32, 1, 15, 17, 35, 36, 40, u32::MAX] {
            let mut bytes = datagram(2, 1, &[30, 30]);
            bytes[..4].copy_from_slice(&length.to_ne_bytes());
            assert_eq!(kinds(&bytes), [], "length {length}");
        }
    }
}
