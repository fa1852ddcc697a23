//! Lanes as a Chrome trace ("Trace Event Format", JSON object form), which Perfetto, Speedscope and browsers open.

use std::io::{self, Write};

use serde_json::json;

use super::{Doing, Lanes};

/// Writes the document.
///
/// # Errors
/// If writing fails.
pub fn write(lanes: &Lanes, out: &mut impl Write) -> io::Result<()> {
    let us = |ns: u64| ns as f64 / 1000.0;
    write!(out, "{{\"displayTimeUnit\":\"ms\",\"traceEvents\":[")?;
    let mut first = true;
    let mut event = |out: &mut dyn Write, value: serde_json::Value| {
        let comma = if std::mem::take(&mut first) { "" } else { "," };
        write!(out, "{comma}\n{value}")
    };
    let mut processes: Vec<_> = lanes.processes.iter().collect();
    processes.sort_unstable();
    for (pid, name) in processes {
        event(out, json!({ "ph": "M", "name": "process_name", "pid": pid, "tid": pid, "args": { "name": &**name } }))?;
    }
    for lane in &lanes.lanes {
        let (pid, tid) = (lane.pid, lane.tid);
        event(out, json!({ "ph": "M", "name": "thread_name", "pid": pid, "tid": tid, "args": { "name": &*lane.name } }))?;
        for slice in &lane.slices {
            let known = !matches!(slice.doing, Doing::Blocked(None));
            event(
                out,
                json!({
                    "ph": "X", "name": slice.doing.name(), "cat": slice.doing.category(), "pid": pid, "tid": tid,
                    "ts": us(slice.from_ns), "dur": us(slice.to_ns - slice.from_ns), "args": { "reason_known": known },
                }),
            )?;
        }
    }
    let other = json!({
        "program": "concmon", "looks": lanes.looks, "widest_ns": lanes.widest_ns, "cost_ns": lanes.cost_ns,
        "unseen_run_ns": lanes.unseen_run_ns, "notes": lanes.notes,
    });
    writeln!(out, "\n],\"otherData\":{other}}}")
}

#[cfg(test)]
mod tests {
    use super::super::tests::lane;
    use super::*;

    #[test]
    fn the_document_is_json_with_all_time() {
        let mut one = lane(8);
        one.add((1000, 5000), 3000, 500, None);
        let lanes = Lanes { lanes: vec![one], processes: [(7, "a\"b\n".into())].into(), ..Lanes::default() };
        let mut bytes = Vec::new();
        write(&lanes, &mut bytes).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        let events = value["traceEvents"].as_array().unwrap();
        let sum: f64 = events.iter().filter(|e| e["ph"] == "X").map(|e| e["dur"].as_f64().unwrap()).sum();
        assert_eq!((events.len(), sum), (5, 4.0));
    }
}
