//! Memory values, compared with other tools and with known allocations.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::exclusive::alone;

/// Holds `sys.argv[1]` MB, says its own PSS as KB, forks `sys.argv[2]` children that hold still, and stays until its standard input ends.
const FAMILY: &str = r"
import os, sys
memory = bytearray(os.urandom(4096) * (256 * int(sys.argv[1])))
with open('/proc/self/smaps_rollup') as rollup:
    alone = next(line.split()[1] for line in rollup if line.startswith('Pss:'))
told, tell = os.pipe()
children = []
for _ in range(int(sys.argv[2])):
    child = os.fork()
    if child == 0:
        os.write(tell, b'!')
        os.close(tell)
        sys.stdin.read()
        os._exit(0)
    children.append(child)
waiting = len(children)
while waiting:
    waiting -= len(os.read(told, waiting))
print(alone, flush=True)
sys.stdin.read()
for child in children:
    os.waitpid(child, 0)
";

struct Family {
    parent: Child,
    alone_bytes: u64,
    _alive: ChildStdin,
}

impl Family {
    fn start(megabytes: u32, children: u32) -> Option<Self> {
        let mut parent = Command::new("python3")
            .args(["-I", "-c", FAMILY, &megabytes.to_string(), &children.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .ok()?;
        let alive = parent.stdin.take().unwrap();
        let mut line = String::new();
        BufReader::new(parent.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Some(Self { alone_bytes: line.trim().parse::<u64>().unwrap() * 1024, parent, _alive: alive })
    }

    /// What concmon says of it and its descendants.
    fn rows(&self) -> Vec<Value> {
        let output = Command::new(env!("CARGO_BIN_EXE_concmon"))
            .args(["ps", &format!("under({})", self.parent.id()), "--columns", "pid,rss,pss,uss", "--samples", "1", "--json"])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let document: Value = serde_json::from_slice(&output.stdout).unwrap();
        document["rows"].as_array().unwrap().clone()
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        // It is our own child, not yet waited for; its children end with its standard input.
        let _ = self.parent.kill();
        let _ = self.parent.wait();
    }
}

fn bytes(row: &Value, column: &str) -> u64 {
    row[column].as_u64().unwrap_or_else(|| panic!("{column} of {row}"))
}

/// PSS and USS of a process as awk adds them up, bytes.
fn by_awk(pid: &Value) -> (u64, u64) {
    let program = "/^Pss:/ { pss = $2 } /^Private_(Clean|Dirty):/ { uss += $2 } END { print pss * 1024, uss * 1024 }";
    let output = Command::new("awk").args([program, &format!("/proc/{pid}/smaps_rollup")]).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let (pss, uss) = said.trim().split_once(' ').unwrap();
    (pss.parse().unwrap(), uss.parse().unwrap())
}

#[test]
fn shares_are_what_another_reader_of_the_kernel_finds() {
    let _alone = alone();
    let Some(family) = Family::start(20, 3) else {
        loudly!("SKIPPED shares of memory: python3 is not installed");
        return;
    };
    // An interpreter of another program may start or end between the two readings; then they are made again.
    let agrees = |row: &Value| {
        let (pss, uss) = by_awk(&row["pid"]);
        // Libraries are shared with all that runs, and either reader is one more to share them with: a page of them that the one has mapped
        // and the other has not is the process's own in one reading only.
        let close = |ours: &str, theirs: u64| bytes(row, ours).abs_diff(theirs) * 50 <= bytes(row, "rss_bytes");
        close("uss_bytes", uss) && close("pss_bytes", pss)
    };
    let until = Instant::now() + Duration::from_secs(30);
    let mut rows = Vec::new();
    while Instant::now() < until {
        rows = family.rows();
        assert_eq!(rows.len(), 4, "{rows:?}");
        if rows.iter().all(agrees) {
            return;
        }
    }
    let awk: Vec<(u64, u64)> = rows.iter().map(|row| by_awk(&row["pid"])).collect();
    panic!("awk reads {awk:?} (PSS, USS): {rows:?}");
}

#[test]
fn a_forked_family_of_eight_is_not_counted_eight_times() {
    let _alone = alone();
    let Some(family) = Family::start(200, 7) else {
        loudly!("SKIPPED a forked family: python3 is not installed");
        return;
    };
    let rows = family.rows();
    assert_eq!(rows.len(), 8, "{rows:?}");
    let sum = |column: &str| rows.iter().map(|row| bytes(row, column)).sum::<u64>() as f64;
    let (pss, rss) = (sum("pss_bytes"), sum("rss_bytes"));
    // What there was before the forks, and what each child has of its own since.
    let parent = rows.iter().find(|row| row["pid"] == u64::from(family.parent.id())).unwrap();
    let truth = family.alone_bytes as f64 + sum("uss_bytes") - bytes(parent, "uss_bytes") as f64;
    assert!((pss / truth - 1.0).abs() < 0.05, "PSS adds up to {pss}, and {truth} is there");
    assert!((7.0..9.0).contains(&(rss / truth)), "RES adds up to {rss} of {truth}");
}
