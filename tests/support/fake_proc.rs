//! A `/proc` made of ordinary files in a temporary directory, for tests that need a fixed machine.
//!
//! ```ignore
//! let proc = FakeProc::new();
//! proc.add(Fake::new(100).comm(b"nginx").ppid(1).cmdline(&["nginx", "-g", "daemon off;"]));
//! let mut source = ProcSource::with_system(proc.root(), proc.system()).unwrap();
//! ```
//!
//! To change a process, add it again: files keep their inode, so open descriptors of a source see the new content, as in the real `/proc`.
//! `remove` empties the files first, because an open descriptor must not show a dead process.

use std::fs;
use std::path::{Path, PathBuf};

use concmon::snapshot::SystemInfo;

/// The tree. It is deleted when this is dropped.
pub struct FakeProc {
    dir: tempfile::TempDir,
}

impl FakeProc {
    /// An empty machine with two CPUs, 8 GiB of memory and no processes.
    pub fn new() -> Self {
        // In memory where there is a directory for it: some tests write a hundred thousand files.
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        let proc = Self { dir: dir.expect("a temporary directory") };
        proc.write("stat", "cpu  1000 20 300 40000 50 6 7 8 0 0\ncpu0 500 10 150 20000 25 3 3 4 0 0\ncpu1 500 10 150 20000 25 3 4 4 0 0\nintr 1 2 3\nbtime 1700000000\n");
        proc.write("uptime", "1000.50 1900.00\n");
        proc.write("loadavg", "0.50 0.25 0.10 1/70 4242\n");
        proc.write(
            "meminfo",
            "MemTotal:        8388608 kB\nMemFree:         4194304 kB\nMemAvailable:    6291456 kB\nBuffers:           65536 kB\n\
             Cached:          1048576 kB\nSwapCached:            0 kB\nActive:           524288 kB\nInactive:         524288 kB\n\
             SwapTotal:       2097152 kB\nSwapFree:        1048576 kB\nDirty:                 0 kB\nWriteback:             0 kB\n\
             AnonPages:        524288 kB\nMapped:           262144 kB\nShmem:             16384 kB\nSlab:             131072 kB\n\
             SReclaimable:      98304 kB\nSUnreclaim:        32768 kB\nPageTables:         8192 kB\nNFS_Unstable:          0 kB\n\
             Bounce:                0 kB\nWritebackTmp:          0 kB\nCommitLimit:     4194304 kB\nCommitted_AS:    1048576 kB\n\
             VmallocTotal:   34359738367 kB\nVmallocUsed:           0 kB\nVmallocChunk:          0 kB\n",
        );
        for resource in ["cpu", "io", "memory"] {
            proc.write(
                &format!("pressure/{resource}"),
                "some avg10=1.50 avg60=0.00 avg300=0.00 total=1000\nfull avg10=0.50 avg60=0.00 avg300=0.00 total=500\n",
            );
        }
        proc
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        self.dir.path()
    }

    /// The constants that its numbers are meant for: 4 KiB pages, 100 ticks a second.
    pub fn system(&self) -> SystemInfo {
        SystemInfo {
            page_bytes: 4096,
            ticks_per_second: 100,
            hostname: "fake".to_owned(),
            kernel_release: "6.18.0".to_owned(),
            pid_max: Some(32768),
            booted_unix_ns: Some(1_700_000_000_000_000_000),
            utc_offsets: Vec::new(),
        }
    }

    /// Writes any file below the root, with its directories.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().expect("below the root")).expect("create directories");
        fs::write(path, content).expect("write a file of the fake tree");
    }

    /// Adds a process, or changes the one with its pid.
    #[expect(clippy::needless_pass_by_value, reason = "so that a chain of setters can be written in the call")]
    pub fn add(&self, process: Fake) -> &Self {
        let base = process.pid.to_string();
        let nlwp = process.nlwp.unwrap_or(1 + process.threads.len() as u32);
        self.write(
            &format!("{base}/stat"),
            process.stat(process.pid, &process.comm, process.state, nlwp, process.utime, process.stime),
        );
        self.write(&format!("{base}/cmdline"), &process.cmdline);
        self.write(&format!("{base}/statm"), process.statm());
        self.write(&format!("{base}/status"), process.status());
        self.write(
            &format!("{base}/io"),
            "rchar: 1\nwchar: 2\nsyscr: 3\nsyscw: 4\nread_bytes: 4096\nwrite_bytes: 8192\ncancelled_write_bytes: 0\n",
        );
        self.write(&format!("{base}/smaps_rollup"), process.smaps());
        self.write(&format!("{base}/cgroup"), format!("0::{}\n", process.cgroup));
        self.write(&format!("{base}/wchan"), &process.wchan);
        fs::create_dir_all(self.root().join(&base).join("fd")).expect("create fd");
        let schedstat = |turns: u64, run: u64| format!("{run} {} {turns}\n", turns * 10);
        if let Some(turns) = process.turns {
            self.write(&format!("{base}/schedstat"), schedstat(turns, process.run_ns));
            self.write(&format!("{base}/task/{base}/schedstat"), schedstat(turns, process.run_ns));
        }
        self.write(
            &format!("{base}/task/{base}/stat"),
            process.stat(
                process.pid,
                &process.comm,
                process.state,
                nlwp,
                process.leader_utime.unwrap_or(process.utime),
                process.stime,
            ),
        );
        self.write(&format!("{base}/task/{base}/status"), process.status());
        self.drop_tasks_but(&process);
        for thread in &process.threads {
            let dir = format!("{base}/task/{}", thread.tid);
            self.write(&format!("{dir}/stat"), process.stat(thread.tid, &thread.comm, thread.state, nlwp, thread.utime, 0));
            self.write(&format!("{dir}/schedstat"), schedstat(thread.turns, thread.utime * 10_000_000));
            self.write(&format!("{dir}/status"), process.status());
        }
        self
    }

    /// Removes a process, as if it had been reaped.
    pub fn remove(&self, pid: i32) -> &Self {
        empty_files(&self.root().join(pid.to_string()));
        self
    }

    fn drop_tasks_but(&self, process: &Fake) {
        let dir = self.root().join(process.pid.to_string()).join("task");
        for entry in fs::read_dir(dir).expect("task directory") {
            let path = entry.expect("entry").path();
            let tid: i32 = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse().ok()).expect("a tid");
            if tid != process.pid && process.threads.iter().all(|thread| thread.tid != tid) {
                empty_files(&path);
            }
        }
    }
}

/// Empties every file below, for kept descriptors' sake, then removes the directory.
fn empty_files(dir: &Path) {
    let mut pending: Vec<PathBuf> = vec![dir.to_owned()];
    while let Some(dir) = pending.pop() {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                pending.push(path);
            } else {
                fs::write(path, "").expect("empty a file");
            }
        }
    }
    fs::remove_dir_all(dir).expect("remove a fake directory");
}

/// One process to be; everything has a default that makes an idle sleeper of pid 1's.
#[derive(Clone)]
pub struct Fake {
    pid: i32,
    comm: Vec<u8>,
    state: char,
    ppid: i32,
    pgrp: i32,
    session: i32,
    tty_nr: i32,
    flags: u64,
    utime: u64,
    leader_utime: Option<u64>,
    stime: u64,
    nice: i32,
    nlwp: Option<u32>,
    start: u64,
    virt_kb: u64,
    rss_kb: u64,
    stack: u64,
    turns: Option<u64>,
    run_ns: u64,
    cmdline: Vec<u8>,
    cgroup: String,
    wchan: String,
    threads: Vec<FakeThread>,
}

#[derive(Clone)]
struct FakeThread {
    tid: i32,
    comm: Vec<u8>,
    state: char,
    utime: u64,
    turns: u64,
}

impl Fake {
    /// A sleeper named `fake-PID`.
    pub fn new(pid: i32) -> Self {
        let comm = format!("fake-{pid}");
        Self {
            pid,
            cmdline: format!("/usr/bin/{comm}\0--serve\0").into_bytes(),
            comm: comm.into_bytes(),
            state: 'S',
            ppid: 1,
            pgrp: pid,
            session: pid,
            tty_nr: 0,
            flags: 0x0040_0000,
            utime: 10,
            leader_utime: None,
            stime: 5,
            nice: 0,
            nlwp: None,
            start: 1000 + u64::from(pid.unsigned_abs()),
            virt_kb: 100_000,
            rss_kb: 10_000,
            stack: 0x7ffc_0000_0000 + u64::from(pid.unsigned_abs()) * 4096,
            turns: Some(1),
            run_ns: 1_000_000,
            cgroup: "/system.slice/fake.service".to_owned(),
            wchan: "futex_do_wait".to_owned(),
            threads: Vec::new(),
        }
    }

    /// Sets the name: at most 15 bytes in the real world, any bytes.
    pub fn comm(mut self, comm: impl AsRef<[u8]>) -> Self {
        self.comm = comm.as_ref().to_vec();
        self
    }
    /// Sets the state letter.
    pub fn state(mut self, state: char) -> Self {
        self.state = state;
        self
    }
    /// Sets the parent.
    pub fn ppid(mut self, ppid: i32) -> Self {
        self.ppid = ppid;
        self
    }
    /// Sets process group and session.
    pub fn session(mut self, pgrp: i32, session: i32, tty_nr: i32) -> Self {
        (self.pgrp, self.session, self.tty_nr) = (pgrp, session, tty_nr);
        self
    }
    /// Sets the group's CPU times in ticks of 10 ms.
    pub fn times(mut self, utime: u64, stime: u64) -> Self {
        (self.utime, self.stime) = (utime, stime);
        self
    }
    /// Sets the leader's own user time where it differs from the group's.
    pub fn leader_utime(mut self, ticks: u64) -> Self {
        self.leader_utime = Some(ticks);
        self
    }
    /// Sets the nice value.
    pub fn nice(mut self, nice: i32) -> Self {
        self.nice = nice;
        self
    }
    /// Sets the start time in ticks after boot.
    pub fn start(mut self, ticks: u64) -> Self {
        self.start = ticks;
        self
    }
    /// Sets the address space and the resident part, KiB.
    pub fn memory(mut self, virt_kb: u64, rss_kb: u64) -> Self {
        (self.virt_kb, self.rss_kb) = (virt_kb, rss_kb);
        self
    }
    /// Sets where the main stack begins; 0 hides it, as from a reader without ptrace access.
    pub fn stack(mut self, address: u64) -> Self {
        self.stack = address;
        self
    }
    /// Says how often it was given a CPU, and for how long in all. Leave it as it is for a process that did not run.
    pub fn ran(mut self, turns: u64, run_ns: u64) -> Self {
        (self.turns, self.run_ns) = (Some(turns), run_ns);
        self
    }
    /// Leaves `schedstat` out, as a kernel without `CONFIG_SCHED_INFO` does.
    pub fn without_schedstat(mut self) -> Self {
        self.turns = None;
        self
    }
    /// Sets the arguments.
    pub fn cmdline(mut self, arguments: &[&str]) -> Self {
        self.cmdline = arguments.iter().flat_map(|argument| argument.bytes().chain([0])).collect();
        self
    }
    /// Sets the control group.
    pub fn cgroup(mut self, path: &str) -> Self {
        self.cgroup = path.to_owned();
        self
    }
    /// Makes it a kernel thread: no memory, no arguments.
    pub fn kernel_thread(mut self) -> Self {
        self.flags |= 0x0020_0000;
        (self.virt_kb, self.rss_kb, self.stack, self.ppid) = (0, 0, 0, 2);
        self.cmdline.clear();
        self
    }
    /// Makes it a zombie: no memory, no arguments.
    pub fn zombie(mut self) -> Self {
        self.state = 'Z';
        (self.virt_kb, self.rss_kb, self.stack) = (0, 0, 0);
        self.cmdline.clear();
        self
    }
    /// Adds a thread beside the leader.
    pub fn thread(mut self, tid: i32, comm: &str, state: char, utime: u64, turns: u64) -> Self {
        self.threads.push(FakeThread { tid, comm: comm.as_bytes().to_vec(), state, utime, turns });
        self
    }

    fn stat(&self, id: i32, comm: &[u8], state: char, nlwp: u32, utime: u64, stime: u64) -> Vec<u8> {
        let mut line = format!("{id} (").into_bytes();
        line.extend_from_slice(comm);
        let (priority, nice, start, stack) = (20 + self.nice, self.nice, self.start, self.stack);
        let (virt, rss) = (self.virt_kb * 1024, self.rss_kb / 4);
        let code = u64::from(stack != 0) * 0x5555_5555_4000;
        line.extend_from_slice(
            format!(
                ") {state} {} {} {} {} -1 {} 100 0 2 0 {utime} {stime} 0 0 {priority} {nice} {nlwp} 0 {start} {virt} {rss} \
                 18446744073709551615 {code} {code} {stack} 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0\n",
                self.ppid, self.pgrp, self.session, self.tty_nr, self.flags
            )
            .as_bytes(),
        );
        line
    }

    fn statm(&self) -> String {
        format!("{} {} {} 1 0 1 0\n", self.virt_kb / 4, self.rss_kb / 4, self.rss_kb / 8)
    }

    fn status(&self) -> String {
        let memory = if self.virt_kb == 0 {
            String::new()
        } else {
            let (anon, file) = (self.rss_kb / 2, self.rss_kb - self.rss_kb / 2);
            format!(
                "VmHWM:\t{} kB\nRssAnon:\t{anon} kB\nRssFile:\t{file} kB\nRssShmem:\t0 kB\nVmSwap:\t128 kB\n",
                self.rss_kb + 1000
            )
        };
        format!("Name:\tfake\n{memory}voluntary_ctxt_switches:\t7\nnonvoluntary_ctxt_switches:\t3\n")
    }

    fn smaps(&self) -> String {
        format!(
            "00400000-7fff0000 ---p 00000000 00:00 0 [rollup]\nRss: {0} kB\nPss: {1} kB\nPss_Dirty: 1 kB\nShared_Clean: 4 kB\nPrivate_Clean: 8 kB\n\
             Private_Dirty: {2} kB\n",
            self.rss_kb,
            self.rss_kb / 2,
            self.rss_kb / 4
        )
    }
}
