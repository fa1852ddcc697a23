//! A generated machine: every field takes every kind of value, and processes and threads come and go.

use std::sync::Arc;

use concmon::snapshot::{
    Comm, CpuTimes, Direction, DiskSample, Endpoint, EventKind, EventTier, Exact, ExitStatus, HostSample, Identity,
    LifecycleEvent, Lock, MemorySample, Namespace, Namespaces, OwnLimits, Pressure, ProcKey, ProcessSample, ProcessValues, Seen,
    Snapshot, SourceReport, State, Syscall, SystemInfo, TaskSample, TaskWait, Temperature, Tier, WaitReason,
};

/// See the module; the same for the same seed.
pub struct Machine {
    seed: u64,
    now_ns: u64,
    processes: Vec<(ProcessSample, Vec<TaskSample>)>,
    system: Arc<SystemInfo>,
}

impl Machine {
    pub fn new(seed: u64) -> Self {
        let system = SystemInfo {
            page_bytes: 4096,
            ticks_per_second: 100,
            hostname: "made-up".into(),
            kernel_release: "6.0".into(),
            pid_max: Some(32_768),
            booted_unix_ns: Some(1_700_000_000_000_000_000),
            utc_offsets: vec![(0, -12_600)],
        };
        Self { seed: seed * 2 + 1, now_ns: 5_000_000_000_000, processes: Vec::new(), system: Arc::new(system) }
    }

    /// xorshift64.
    fn next(&mut self) -> u64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn maybe(&mut self) -> Option<u64> {
        let value = self.next() >> self.below(60);
        (self.below(4) > 0).then_some(value)
    }

    fn task(&mut self, tid: i32, tgid: i32) -> TaskSample {
        let letters = b"RSDTtZIPX";
        let letter = letters[usize::try_from(self.below(9)).unwrap()];
        let name: Vec<u8> = (0..self.below(32)).map(|n| (n * 7 + self.seed % 250) as u8).collect();
        let small = |value: Option<u64>| value.map(|value| (value & 0xffff_ffff) as u32);
        TaskSample {
            tid,
            tgid,
            start_ticks: self.below(500_000),
            state: State::from_letter(letter).unwrap(),
            comm: Comm::new(&name),
            utime_ns: self.maybe(),
            stime_ns: self.maybe(),
            run_ns: self.maybe(),
            run_delay_ns: self.maybe(),
            voluntary_switches: self.maybe(),
            involuntary_switches: self.maybe(),
            minor_faults: self.maybe(),
            major_faults: self.maybe(),
            priority: -100 + (self.below(140) as i32),
            nice: -20 + (self.below(40) as i32),
            policy: small(self.maybe()),
            rt_priority: small(self.maybe()),
            last_cpu: small(self.maybe()),
        }
    }

    fn wait(&mut self, tid: i32) -> TaskWait {
        TaskWait {
            tid,
            syscall: Some(Syscall { number: self.below(400), name: Some("futex") }),
            wchan: Some("futex_wait_queue".into()),
            reason: Some(match self.below(3) {
                0 => WaitReason::Futex { address: Some(self.next()) },
                1 => WaitReason::Io { direction: Direction::Read, what: Endpoint::Pipe, fd: Some(-3) },
                _ => WaitReason::Other("x\u{1b}[2J".into()),
            }),
            lock: Some(Lock::Shared { device: (8, 1), inode: self.next(), offset: 64 }),
            ..TaskWait::default()
        }
    }

    fn exact(&mut self, pid: i32) -> Exact {
        Exact {
            taken_ns: self.now_ns,
            pss_bytes: self.maybe(),
            uss_bytes: self.maybe(),
            fds: Some(self.below(900) as u32),
            cpus_allowed: Some("0-3,8".into()),
            thread_cpus: [(pid, "0-3".into())].into(),
            namespaces: Some(Namespaces::Known([Namespace { kind: "pid", inode: self.next(), foreign: None }].into())),
            waits: Some([self.wait(pid)].into()),
            ..Exact::default()
        }
    }

    fn process(&mut self, pid: i32) -> (ProcessSample, Vec<TaskSample>) {
        let leader = self.task(pid, pid);
        let identity = Identity {
            cmdline: Some(format!("prog\0--number\0{}", self.below(9)).into_bytes().into()),
            exe: self.maybe().map(|n| format!("/bin/{n}").into_bytes().into()),
            exe_denied: self.below(2) == 0,
            uid: Some(1000),
            user: Some("somebody".into()),
            cgroup: Some("/user.slice".into()),
            // Recordings do not have it.
            unanswered: false,
        };
        let tasks: Vec<TaskSample> = match self.below(3) {
            0 => (0..self.below(5) as i32).map(|n| self.task(pid + n * 100_000, pid)).collect(),
            _ => Vec::new(),
        };
        let process = ProcessSample::from(ProcessValues {
            key: ProcKey { pid, start_ticks: leader.start_ticks },
            ppid: 1,
            pgrp: pid,
            session: -1,
            tty_nr: self.below(99) as i32,
            kernel_thread: self.below(5) == 0,
            identity: Arc::new(identity),
            nlwp: Some(1 + tasks.len() as u32),
            utime_ns: self.maybe(),
            stime_ns: self.maybe(),
            run_ns: self.maybe(),
            seen: self.maybe().map(|run_ns| Seen {
                run_ns,
                delay_ns: self.maybe(),
                off_ns: self.next(),
                switches: self.maybe().zip(self.maybe()),
                ended: self.below(3),
            }),
            voluntary_switches: self.maybe(),
            involuntary_switches: self.maybe(),
            minor_faults: self.maybe(),
            major_faults: self.maybe(),
            virt_bytes: self.maybe(),
            rss_bytes: self.maybe(),
            rss_anon_bytes: self.maybe(),
            rss_file_bytes: self.maybe(),
            rss_shmem_bytes: self.maybe(),
            shared_bytes: self.maybe(),
            swap_bytes: self.maybe(),
            leader,
        });
        (process, tasks)
    }

    fn host(&mut self) -> HostSample {
        let cpu = CpuTimes { user_ns: self.next() >> 20, idle_ns: self.next() >> 20, ..CpuTimes::default() };
        HostSample {
            cpu_total: Some(cpu),
            cpus: vec![(0, cpu), (3, CpuTimes::default())],
            memory: self.maybe().map(|total_bytes| MemorySample { total_bytes, ..MemorySample::default() }),
            load: Some([0.5, -0.0, 3e9]),
            pressure: concmon::snapshot::PressureSample {
                cpu: Some(Pressure { some_avg10: 1.5, full_avg10: 0.0 }),
                ..Default::default()
            },
            disks: Some(vec![DiskSample { name: "sda".into(), ..DiskSample::default() }]),
            own_limits: OwnLimits { cpus: Some(0.5), cpu_used: Some((self.next(), self.now_ns)), memory: Some((1, 2)) },
            temperatures: Some(vec![Temperature { label: "core".into(), celsius: 51.5 }]),
            ..HostSample::default()
        }
    }

    fn events(&mut self) -> Vec<LifecycleEvent> {
        let kinds = [
            EventKind::Fork { parent_tid: 1, parent_tgid: 1, child_tid: 7, child_tgid: 7 },
            EventKind::Comm { tid: 7, tgid: 7, comm: Comm::new(b"seven") },
            EventKind::Exec { tgid: 7 },
            EventKind::Exit { tid: 7, tgid: 7, status: ExitStatus::Signal { signal: 9, core: true } },
        ];
        let count = usize::try_from(self.below(5)).unwrap();
        kinds.into_iter().take(count).map(|kind| LifecycleEvent { at_ns: self.now_ns, kind }).collect()
    }

    /// The next moment, with about so many processes.
    pub fn step(&mut self, about: u64) -> Snapshot {
        self.now_ns += 900_000_000 + self.below(200_000_000);
        let mut old = std::mem::take(&mut self.processes);
        old.retain(|_| self.below(20) > 0);
        for (process, tasks) in &mut old {
            if self.below(3) == 0 {
                process.utime_ns = process.utime_ns.map(|ns| ns.wrapping_add(10_000_000));
                process.rss_bytes = self.maybe();
                process.leader.last_cpu = Some(self.below(8) as u32);
            }
            if self.below(6) == 0 {
                process.exact = (self.below(3) > 0).then(|| Arc::new(self.exact(process.key.pid)));
            }
            if self.below(9) == 0 {
                tasks.pop();
            }
        }
        while (old.len() as u64) < about {
            let pid = 1 + self.below(30_000) as i32;
            if let Err(at) = old.binary_search_by_key(&pid, |(process, _)| process.key.pid) {
                old.insert(at, self.process(pid));
            }
        }
        self.processes = old;
        let (mut processes, mut tasks) = (Vec::new(), Vec::new());
        for (index, (process, own)) in self.processes.iter().enumerate() {
            let first = tasks.len() as u32;
            tasks.extend(own.iter().copied());
            let read_after_ns = index as u64 * 7_000 + self.now_ns % 999;
            let mut process = process.clone();
            (process.read_after_ns, process.tasks) = (read_after_ns, first..tasks.len() as u32);
            processes.push(process);
        }
        Snapshot {
            taken_ns: self.now_ns,
            system: Arc::clone(&self.system),
            host: self.host(),
            processes,
            tasks,
            task_states: Some([3; 9]),
            events: self.events(),
            report: SourceReport {
                tier: Tier::Proc,
                why: "made up".into(),
                better: None,
                sample_cpu_ns: self.below(9_000_000),
                sample_wall_ns: self.below(9_000_000),
                events: EventTier::Polling("made up".into()),
                events_lost: 0,
                denied: 3,
            },
        }
    }
}
