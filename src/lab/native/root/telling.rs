//! Reports of a run root: its workers' notes as protocol lines, and its own figures.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use nix::unistd::gettid;

use super::{Root, TELL_EVERY, Told};
use crate::clock::monotonic_ns;
use crate::lab::native::arena::{Arena, EMPTY, EXITED};
use crate::lab::protocol::{Line, Message};

impl Root {
    /// Reports what is new if the last report was a while ago.
    pub fn tell_sometimes(&mut self) {
        if self.told_at.elapsed() >= TELL_EVERY {
            self.tell();
        }
    }

    /// Turns what is new in the notes into protocol lines.
    pub fn tell(&mut self) {
        let arena = Arc::clone(&self.arena);
        let mut out = Vec::new();
        let root = (self.pid, gettid().as_raw());
        for (w, slot) in (0..).zip(arena.slots()) {
            let worker = (slot.pid.load(Ordering::Relaxed), slot.tid.load(Ordering::Relaxed));
            let requested = slot.requested_ns.load(Ordering::Relaxed);
            let state = slot.state.load(Ordering::Acquire);
            let told = self.workers_told[w as usize];
            if requested != 0 && !told.begun {
                self.line(&mut out, requested, root, Message::Requested { w });
            }
            if slot.ready_ns.load(Ordering::Relaxed) != 0 && state != EMPTY && !told.ready {
                self.line(&mut out, slot.ready_ns.load(Ordering::Relaxed), worker, Message::Ready { w, how: self.how });
            }
            if state == EXITED && !told.ended {
                let is_process = worker.0 != self.pid;
                let status = is_process.then(|| slot.status.load(Ordering::Relaxed));
                self.line(&mut out, slot.exited_ns.load(Ordering::Relaxed), root, Message::Exited { w, status });
            }
            let ready = told.ready || state != EMPTY;
            self.workers_told[w as usize] = Told { begun: told.begun || requested != 0, ready, ended: state == EXITED };
        }
        if let Some(usage) = self.before.take() {
            self.line(&mut out, monotonic_ns(), root, Message::Apart(usage));
        }
        self.tell_spans(&arena, &mut out);
        self.send(&out);
        self.told_at = Instant::now();
    }

    fn tell_spans(&mut self, arena: &Arena, out: &mut Vec<u8>) {
        for (k, span) in (0..).zip(arena.spans()) {
            let told = self.spans_told[k as usize];
            if told.ended {
                continue;
            }
            let end = span.end_ns.load(Ordering::Acquire);
            let start = span.start_ns.load(Ordering::Acquire);
            let w = span.worker.load(Ordering::Relaxed);
            let Some(slot) = arena.slots().get(w as usize) else { continue };
            let worker = (slot.pid.load(Ordering::Relaxed), slot.tid.load(Ordering::Relaxed));
            if start != 0 && !told.begun {
                self.line(out, start, worker, Message::TaskStart { w, k });
            }
            if start != 0 && end != 0 {
                self.line(out, end, worker, Message::TaskEnd { w, k });
            }
            self.spans_told[k as usize] = Told { begun: start != 0, ready: false, ended: start != 0 && end != 0 };
        }
    }

    fn line(&mut self, out: &mut Vec<u8>, t: u64, (pid, tid): (i32, i32), message: Message) {
        let line = Line { t, pid, tid, n: self.lines, message };
        self.lines += 1;
        out.extend(crate::lab::control::to_line(&line));
    }

    /// Says one thing now.
    pub fn say(&mut self, message: Message) {
        let mut out = Vec::new();
        self.line(&mut out, monotonic_ns(), (self.pid, gettid().as_raw()), message);
        self.send(&out);
    }

    /// Reports a count.
    pub fn value(&mut self, name: &str, number: u64) {
        self.say(Message::Value { name: name.into(), text: number.to_string(), number: Some(number) });
    }

    /// Reports a time.
    pub fn value_ns(&mut self, name: &str, ns: u64) {
        let text = match ns {
            0..1_000_000 => format!("{:.1} us", ns as f64 / 1e3),
            _ => format!("{:.1} ms", ns as f64 / 1e6),
        };
        self.say(Message::Value { name: name.into(), text, number: Some(ns) });
    }

    /// Reports an amount of memory.
    pub fn value_bytes(&mut self, name: &str, bytes: u64) {
        let text = match bytes {
            0..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
            _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
        };
        self.say(Message::Value { name: name.into(), text, number: Some(bytes) });
    }

    /// Reports that a figure is not known.
    pub fn value_unknown(&mut self, name: &str, why: &str) {
        self.say(Message::Value { name: name.into(), text: why.into(), number: None });
    }

    fn send(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            // A helper that is gone takes this process with it; then the report has no reader.
            let _ = self.socket.get_mut().write_all(bytes);
        }
    }
}
