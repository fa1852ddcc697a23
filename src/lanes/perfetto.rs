//! Lanes as a trace for Perfetto: TrackEvents in protobuf (protos/perfetto/trace/trace_packet.proto and track_event/*.proto).
//!
//! Only what is written is here: varints and length-delimited fields. A protobuf library with the generated code of all of Perfetto's
//! messages would be several hundred times as large.

use std::collections::BTreeSet;
use std::io::{self, Write};

use super::Lanes;

/// A message under construction.
#[derive(Debug, Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    /// A field of an integer type.
    fn number(mut self, field: u64, value: u64) -> Self {
        self.varint(field << 3);
        self.varint(value);
        self
    }

    /// A field that is text, bytes or a message.
    fn bytes(mut self, field: u64, bytes: &[u8]) -> Self {
        self.varint(field << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    fn text(self, field: u64, text: &str) -> Self {
        self.bytes(field, text.as_bytes())
    }

    fn message(self, field: u64, message: &Self) -> Self {
        self.bytes(field, &message.0)
    }
}

/// Fields of `TracePacket`.
const TIMESTAMP: u64 = 8;
const SEQUENCE: u64 = 10;
const TRACK_EVENT: u64 = 11;
const SEQUENCE_FLAGS: u64 = 13;
const TRACK_DESCRIPTOR: u64 = 60;
/// `SEQ_INCREMENTAL_STATE_CLEARED`: nothing is left from packets before this one.
const CLEARED: u64 = 1;
/// `TrackEvent.type`.
const SLICE_BEGIN: u64 = 1;
const SLICE_END: u64 = 2;
const COUNTER: u64 = 4;
/// `CounterDescriptor.unit`.
const SIZE_BYTES: u64 = 3;
/// What a track number is for, beside the states of a thread.
const PROCESS: u64 = 1 << 19;
const FUNCTIONS: u64 = 1 << 18;
const RESIDENT: u64 = 1 << 17;

/// Writes the trace. Its times are `CLOCK_BOOTTIME`, which is Perfetto's own default.
///
/// # Errors
/// If writing fails.
pub fn write(lanes: &Lanes, out: &mut impl Write) -> io::Result<()> {
    let mut first = true;
    let mut packet = |message: Message| {
        let flags = if std::mem::take(&mut first) { message.number(SEQUENCE_FLAGS, CLEARED) } else { message };
        out.write_all(&Message::default().message(1, &flags.number(SEQUENCE, 1)).0)
    };
    // PIDs are reused: a track has its own number.
    let track = |pid: i32, tid: i32, nth: usize| (pid as u64) << 42 ^ (tid as u64) << 20 ^ (nth as u64 + 1);
    let process_track = |pid: i32| (pid as u64) << 42 | PROCESS;
    let pids: BTreeSet<i32> = lanes.lanes.iter().map(|lane| lane.pid).collect();
    for pid in &pids {
        let name = lanes.processes.get(pid).map_or("?", |name| name);
        let process = Message::default().number(1, *pid as u64).text(6, name);
        packet(described(process_track(*pid), |track| track.message(3, &process)))?;
        let unit = Message::default().number(3, SIZE_BYTES);
        let below = |track: Message| track.number(5, process_track(*pid)).text(2, "RSS").message(8, &unit);
        packet(described(process_track(*pid) | RESIDENT, below))?;
    }
    for (nth, gil) in lanes.gils.iter().enumerate() {
        let uuid = process_track(gil.pid) | (nth as u64 + 1);
        packet(described(uuid, |track| track.number(5, process_track(gil.pid)).text(2, "GIL")))?;
        for (held, name) in gil.held_by(&lanes.lanes) {
            slice(&mut packet, uuid, (held.from_ns, held.to_ns), "gil", &name)?;
        }
    }
    for (nth, lane) in lanes.lanes.iter().enumerate() {
        let uuid = track(lane.pid, lane.tid, nth);
        let thread = Message::default().number(1, lane.pid as u64).number(2, lane.tid as u64).text(5, &lane.name);
        packet(described(uuid, |track| track.number(5, process_track(lane.pid)).message(4, &thread)))?;
        for one in &lane.slices {
            slice(&mut packet, uuid, (one.from_ns, one.to_ns), one.doing.category(), one.doing.name())?;
        }
        if !lane.calls.is_empty() {
            let functions = uuid ^ FUNCTIONS;
            packet(described(functions, |track| track.number(5, uuid).text(2, "function, sampled")))?;
            for call in &lane.calls {
                slice(&mut packet, functions, (call.from_ns, call.to_ns), "function", &call.function)?;
            }
        }
    }
    for resident in lanes.resident.iter().filter(|resident| pids.contains(&resident.pid)) {
        let uuid = process_track(resident.pid) | RESIDENT;
        let event = Message::default().number(9, COUNTER).number(11, uuid).number(30, resident.rss_bytes);
        packet(Message::default().number(TIMESTAMP, resident.at_ns).message(TRACK_EVENT, &event))?;
    }
    Ok(())
}

/// A packet that describes a track: its fields but the number.
fn described(uuid: u64, fields: impl FnOnce(Message) -> Message) -> Message {
    Message::default().message(TRACK_DESCRIPTOR, &fields(Message::default().number(1, uuid)))
}

/// A slice of a track.
fn slice(
    packet: &mut impl FnMut(Message) -> io::Result<()>,
    uuid: u64,
    (from_ns, to_ns): (u64, u64),
    category: &str,
    name: &str,
) -> io::Result<()> {
    let begin = Message::default().number(9, SLICE_BEGIN).number(11, uuid).text(22, category).text(23, name);
    packet(Message::default().number(TIMESTAMP, from_ns).message(TRACK_EVENT, &begin))?;
    let end = Message::default().number(9, SLICE_END).number(11, uuid);
    packet(Message::default().number(TIMESTAMP, to_ns).message(TRACK_EVENT, &end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_fields_are_as_the_encoding_says() {
        // The examples of the description of the encoding: field 1 with 150, field 2 with "testing".
        assert_eq!(Message::default().number(1, 150).0, [0x08, 0x96, 0x01]);
        assert_eq!(Message::default().text(2, "testing").0, *b"\x12\x07testing");
        assert_eq!(Message::default().number(60, 0).0, [0xe0, 0x03, 0x00]);
        assert_eq!(Message::default().number(1, u64::MAX).0.len(), 11);
    }
}
