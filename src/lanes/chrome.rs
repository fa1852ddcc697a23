//! Lanes as a Chrome trace ("Trace Event Format", JSON object form), which Perfetto, Speedscope and browsers open.

use std::io::{self, Write};

use serde_json::json;

use super::{Doing, Lanes};

/// Rows of functions and GILs have numbers that no thread has (PID_MAX_LIMIT is 2^22).
const FUNCTIONS: i32 = 1 << 24;
const GIL: i32 = 1 << 25;

/// Writes the document.
///
/// # Errors
/// If writing fails.
pub fn write(lanes: &Lanes, out: &mut impl Write) -> io::Result<()> {
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
        event(out, named(pid, tid, &lane.name))?;
        for slice in &lane.slices {
            let known = !matches!(slice.doing, Doing::Blocked(None));
            let (name, category) = (slice.doing.name(), slice.doing.category());
            let mut value = complete((pid, tid), (slice.from_ns, slice.to_ns), category, name);
            value["args"] = json!({ "reason_known": known });
            event(out, value)?;
        }
        if !lane.calls.is_empty() {
            let row = tid | FUNCTIONS;
            event(out, named(pid, row, &format!("{} {tid}: function, sampled", lane.name)))?;
            for call in &lane.calls {
                event(out, complete((pid, row), (call.from_ns, call.to_ns), "function", &call.function))?;
            }
        }
    }
    for (row, gil) in (GIL..).zip(&lanes.gils) {
        event(out, named(gil.pid, row, "GIL"))?;
        for (held, name) in gil.held_by(&lanes.lanes) {
            event(out, complete((gil.pid, row), (held.from_ns, held.to_ns), "gil", &name))?;
        }
    }
    for resident in &lanes.resident {
        let args = json!({ "RSS": resident.rss_bytes });
        event(out, json!({ "ph": "C", "name": "RSS bytes", "pid": resident.pid, "ts": us(resident.at_ns), "args": args }))?;
    }
    let other = json!({
        "program": "concmon", "looks": lanes.looks, "widest_ns": lanes.widest_ns, "cost_ns": lanes.cost_ns,
        "unseen_run_ns": lanes.unseen_run_ns, "notes": lanes.notes,
    });
    writeln!(out, "\n],\"otherData\":{other}}}")
}

fn us(ns: u64) -> f64 {
    ns as f64 / 1000.0
}

/// The name of a row.
fn named(pid: i32, tid: i32, name: &str) -> serde_json::Value {
    json!({ "ph": "M", "name": "thread_name", "pid": pid, "tid": tid, "args": { "name": name } })
}

/// A slice of a row.
fn complete((pid, tid): (i32, i32), (from_ns, to_ns): (u64, u64), category: &str, name: &str) -> serde_json::Value {
    let (ts, dur) = (us(from_ns), us(to_ns - from_ns));
    json!({ "ph": "X", "name": name, "cat": category, "pid": pid, "tid": tid, "ts": ts, "dur": dur })
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
