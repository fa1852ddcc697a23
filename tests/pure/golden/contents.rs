//! Made-up readings of one process's details.

use concmon::snapshot::{
    Comm, Detail, DetailContent, DetailPart, FileDetail, FileLock, Gil, GroupDetail, GroupEvent, Ledger, LedgerChild,
    LedgerMapping, LedgerReading, LeftOut, LimitUse, Overview, PageCounts, Pressure, PressureSample, ProcKey, PythonFrame,
    PythonInterpreter, PythonRuntime, PythonTask, PythonThread, PythonVersion, StackDetail, State, TaskWait, ThreadDetail,
    Throttled, WaitReason, Weight,
};

fn lines(of: &[&str]) -> DetailContent {
    DetailContent::Lines(of.iter().map(|line| line.as_bytes().into()).collect())
}

fn memory() -> DetailContent {
    let sums = [("Rss", 56u64 << 20), ("Pss", 21 << 20), ("Private_Dirty", 3 << 20), ("Swap", 0)];
    DetailContent::Memory { sums: Ok(sums.map(|(label, bytes)| (label.as_bytes().into(), bytes)).into()), maps: None }
}

fn groups() -> DetailContent {
    let stall = |some_avg10, full_avg10| Some(Pressure { some_avg10, full_avg10 });
    let service = GroupDetail {
        path: "/system.slice/nginx.service".into(),
        quota_cpus: Some(0.5),
        throttled: Some(Throttled { periods: 1200, stopped: 340, stopped_ns: 12_400_000_000 }),
        weight: Some(Weight { value: 50, usual: 100 }),
        cpuset: Some("0-1".into()),
        memory: Some(212 << 20),
        memory_max: Some(256 << 20),
        memory_high: Some(240 << 20),
        swap: Some(0),
        swap_max: Some(0),
        tasks: Some(14),
        tasks_max: Some(4096),
        pressure: PressureSample { cpu: stall(23.0, 0.0), io: stall(0.0, 0.0), memory: stall(4.0, 1.0) },
        events: vec![
            GroupEvent { what: "slowed down at memory.high", source: "memory.events high", count: 61 },
            GroupEvent { what: "processes killed for memory", source: "memory.events oom_kill", count: 1 },
        ],
        ..GroupDetail::default()
    };
    let slice = GroupDetail {
        path: "/system.slice".into(),
        memory: Some(1 << 30),
        tasks: Some(220),
        tasks_max: Some(9400),
        ..GroupDetail::default()
    };
    DetailContent::Groups {
        groups: Ok(vec![service, slice]),
        cgroups: Ok(vec![b"0::/system.slice/nginx.service"[..].into()]),
        namespaces: vec![
            ("net", Ok(b"net:[4026531840]"[..].into())),
            ("pid", Err("/proc/302/ns/pid: permission denied: only its owner and root may read it".to_owned())),
        ],
    }
}

fn stacks() -> DetailContent {
    let stack = |tid, comm: &[u8], frames: &[&str]| StackDetail {
        tid,
        comm: Comm::new(comm),
        frames: Ok(frames.iter().map(|frame| frame.as_bytes().into()).collect()),
    };
    DetailContent::Stacks(vec![
        stack(310, b"nginx", &[]),
        stack(
            311,
            b"nginx",
            &["[<0>] futex_wait_queue+0x62/0x90", "[<0>] __x64_sys_futex+0x6e/0x180", "[<0>] do_syscall_64+0x4b/0x110"],
        ),
    ])
}

/// Two readings of a worker's threads, of which one was busy for a quarter of the time between them, and one of its files.
pub fn details(key: ProcKey, now_ns: u64) -> Vec<Detail> {
    let of = |part, taken_ns, content| Detail {
        key,
        part,
        taken_ns,
        content: Ok(content),
        cut: (part == DetailPart::Stacks).then(|| "44 more threads are not read".into()),
        took_ns: if part == (DetailPart::Memory { maps: false }) { 800_000_000 } else { 1_000_000 },
        gone: false,
    };
    let threads = |ran| {
        let reason = WaitReason::Futex { address: Some(0x7f00_0012_34c0) };
        let wait = TaskWait { tid: 311, reason: Some(reason), same_futex: 2, ..TaskWait::default() };
        let thread = |tid, comm: &[u8], state, run_ns, wait| ThreadDetail {
            tid,
            start_ticks: 5,
            comm: Comm::new(comm),
            state,
            run_ns,
            wait,
        };
        DetailContent::Threads(vec![
            thread(310, b"nginx", State::RUNNING, Some(ran), None),
            thread(311, b"\x1b[31mred", State::SLEEPING, None, Some(wait)),
        ])
    };
    let file = |fd, target: Result<&[u8], &str>, socket: Option<&str>| FileDetail {
        fd,
        target: target.map(Box::from).map_err(str::to_owned),
        socket: socket.map(Into::into),
        locks: Box::default(),
    };
    let lock = FileLock { kind: "FLOCK".into(), access: "WRITE".into(), range: (0, None), held: true, others: vec![310] };
    let files = vec![
        file(0, Ok(b"/dev/null"), None),
        FileDetail { locks: [lock].into(), ..file(1, Ok(b"/tmp/\x1b]0;title\x07"), None) },
        file(6, Ok(b"socket:[42]"), Some("tcp 10.0.0.1:443 to 10.0.0.9:50123 established")),
        file(7, Err("/proc/302/fd/7: permission denied"), None),
    ];
    vec![
        of(DetailPart::Overview, now_ns, overview()),
        of(DetailPart::Threads, now_ns - 1_000_000_000, threads(0)),
        of(DetailPart::Threads, now_ns, threads(250_000_000)),
        of(DetailPart::Files, now_ns, DetailContent::Files(files)),
        of(DetailPart::Memory { maps: false }, now_ns, memory()),
        of(DetailPart::Environment, now_ns, lines(&["PATH=/usr/bin:/bin", "SECRET=\x1b]52;c;AAAA\x07", "LANG=C.UTF-8"])),
        of(
            DetailPart::Limits,
            now_ns,
            lines(&[
                "Limit                     Soft Limit           Hard Limit           Units     ",
                "Max cpu time              unlimited            unlimited            seconds   ",
                "Max open files            1024                 524288               files     ",
            ]),
        ),
        of(DetailPart::Groups, now_ns, groups()),
        of(DetailPart::Stacks, now_ns, stacks()),
        of(DetailPart::Runtime, now_ns, runtime()),
    ]
}

/// A thread that runs and two that wait, and a limit that is nearly used up.
fn overview() -> DetailContent {
    let thread = |tid, state, reason: Option<WaitReason>| ThreadDetail {
        tid,
        start_ticks: 5,
        comm: Comm::new(b"nginx"),
        state,
        run_ns: None,
        wait: reason.map(|reason| TaskWait { tid, reason: Some(reason), ..TaskWait::default() }),
    };
    let epoll = || Some(WaitReason::Epoll { fds: Some(9) });
    DetailContent::Overview(Box::new(Overview {
        program: Ok(b"/usr/sbin/nginx"[..].into()),
        directory: Err("/proc/302/cwd: permission denied: only its owner and root may read it".to_owned()),
        threads: vec![
            thread(310, State::RUNNING, None),
            thread(311, State::SLEEPING, epoll()),
            thread(312, State::SLEEPING, epoll()),
        ],
        limits: vec![LimitUse { what: "open files", used: 990, most: 1024, bytes: false }],
    }))
}

/// One thread that holds the GIL, one that waits for it, and one with hostile names that has ended.
fn runtime() -> DetailContent {
    let thread = |native_id: u64, comm: Option<&[u8]>, state, waits, function: &str, file: &str| PythonThread {
        native_id,
        task: comm.map(|comm| PythonTask { tid: native_id as i32, comm: Comm::new(comm), state, wait: None }),
        holds_gil: native_id == 310,
        waits_for_gil: waits,
        name: (native_id == 310).then(|| "Thread-1 (feed)".into()),
        frames: vec![
            PythonFrame { function: function.into(), file: file.into(), line: Some(12), times: 1 },
            PythonFrame { function: "Tree.walk".into(), file: file.into(), line: Some(80), times: if waits { 4096 } else { 1 } },
        ],
        left_out: waits.then_some(LeftOut { behind: 1, count: 30 }),
        deeper: comm.is_none(),
        moved: comm.is_none(),
    };
    let threads = vec![
        thread(310, Some(b"worker-0"), State::RUNNING, false, "hot_loop", "/srv/app/views.py"),
        thread(311, Some(b"\x1b[31mred"), State::SLEEPING, true, "Queue.get", "/usr/lib/python3.14/queue.py"),
        thread(312, None, State::SLEEPING, false, "\u{202e}evil\x1b]0;title\x07", "/tmp/\u{1b}[2J.py"),
    ];
    DetailContent::Runtime(Box::new(PythonRuntime {
        version: PythonVersion(0x030e_0af0),
        free_threaded: false,
        file: b"/usr/bin/python3.14"[..].into(),
        finding: "GIL held by thread 310 (worker-0) in hot_loop(); 1 of 3 threads waits for it".into(),
        interpreters: vec![PythonInterpreter {
            id: 0,
            gil_address: 1,
            gil_futexes: 0..0,
            gil: Gil::Held(310),
            thread_count: 3,
            threads,
        }],
        notes: vec!["1 of its Python threads is not a task of the process: ended, or left over from a fork.".into()],
        asyncio: None,
        trio: None,
        greenlets: None,
    }))
}

/// Two readings of a master's children: one that goes on copying, one with a hostile name whose parent has written, one that may not be read.
pub fn ledger(parent: ProcKey, now_ns: u64) -> [Detail; 2] {
    let reading = |counts: PageCounts, mappings| LedgerReading {
        counts,
        mappings,
        doubtful: 0,
        exact: false,
        cut: false,
        pss_bytes: Some(9 << 20),
        uss_bytes: Some((counts.copied + counts.new) * 4096),
    };
    let mapping = |name: &[u8], start: u64, pieces: &[(u32, u32)]| LedgerMapping {
        start,
        end: start + pieces.len() as u64 * 4096,
        name: name.into(),
        counts: PageCounts {
            shared: pieces.iter().map(|(all, gone)| u64::from(all - gone)).sum(),
            copied: pieces.iter().map(|(_, gone)| u64::from(*gone)).sum(),
            ..PageCounts::default()
        },
        strip: pieces.to_vec(),
    };
    let heap: Vec<(u32, u32)> = (0..48).map(|i| (16, if i % 5 == 0 { i / 3 } else { 0 })).collect();
    let mappings = vec![
        mapping(b"[heap]", 0x55d0_c8a0_0000, &heap),
        mapping(b"", 0x7f00_0000_0000, &[(64, 0), (0, 0), (64, 64), (64, 32)]),
        mapping(b"/usr/lib/\x1b]0;title\x07.so", 0x7f10_0000_0000, &[(1, 1); 9]),
    ];
    let at = |taken_ns, copied| {
        let child =
            |pid, comm: &[u8], reading| LedgerChild { key: ProcKey { pid, start_ticks: 1 }, comm: Comm::new(comm), reading };
        let first = PageCounts { shared: 25_000, copied, new: 900, ..PageCounts::default() };
        let second = PageCounts { shared: 20_000, elsewhere: 5_000, copied: 12, new: 0, swapped: 3, zero: 0 };
        let children = vec![
            child(301, b"nginx", Ok(reading(first, mappings.clone()))),
            child(302, b"\x1b[31mred", Ok(reading(second, Vec::new()))),
            child(303, b"nginx", Err("/proc/303/pagemap: permission denied: only its owner and root may read it".into())),
        ];
        let content = DetailContent::Ledger(Box::new(Ledger { page_bytes: 4096, children, more: 0 }));
        Detail::new(parent, DetailPart::CopyOnWrite, taken_ns, Ok(content))
    };
    [at(now_ns - 1_000_000_000, 1_000), at(now_ns, 1_250)]
}
