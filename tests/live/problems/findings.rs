//! Findings of groups, killed workers, shared memory and quotas.

use concmon::kernel::DetailReader;
use concmon::kernel::treatment::treatment;
use concmon::snapshot::{DetailContent, DetailPart};

use super::*;

#[test]
fn limits_and_leaks_of_c_programs() {
    let _alone = alone();
    let look = |(case, id, words): (&str, &str, &str)| {
        let stage = Stage::c(case);
        if case == "narrow" && starved(stage.pid().cast_signed(), 1) {
            return;
        }
        let finding = stage.has_finding(id);
        let evidence = finding["evidence"].as_str().unwrap();
        // A slow look may come when the limit is reached already.
        let full = case == "descriptors" && evidence.ends_with("descriptors open: the limit is reached");
        assert!(evidence.contains(words) || full, "{case}: {finding:#}");
    };
    let rest = [
        ("descriptors", "descriptors_grow", "a second: full in"),
        ("threads", "threads_grow", "threads, +"),
        ("memory", "memory_grows", "resident, +"),
        ("ignored", "sigterm_ignored", "ignores SIGTERM"),
        ("blocked", "sigterm_pending", "one has been sent"),
    ];
    at_a_time(rest.len(), rest, look);
    look(("spin", "never_blocks", "never rests"));
    look(("storm", "lock_storm", "switch"));
    if std::thread::available_parallelism().is_ok_and(|n| n.get() < 2) {
        loudly!("SKIPPED: there is one CPU here, so no affinity is narrower");
        return;
    }
    look(("narrow", "oversubscribed", "its affinity leaves it 1 of"));
}

#[test]
fn sigterm_that_a_descriptor_takes_is_not_called_blocked() {
    let mut stage = Stage::c("signalfd");
    let pid = stage.pid().cast_signed();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    assert!(status.contains("SigBlk:\t0000000000004000"), "{status}");
    assert_eq!(treatment(&ProcFs::open("/proc").unwrap(), pid).sigterm, None);
    nix::sys::signal::kill(Pid::from_raw(pid), Signal::SIGTERM).unwrap();
    assert_eq!(stage.0.wait().unwrap().code(), Some(0), "it reads the signal and ends");
}

#[test]
fn workers_that_a_killed_parent_left_are_orphans_and_a_daemon_is_none() {
    let parent = "
import multiprocessing, os, signal, sys, time
def work(queue):
    while True: queue.get()
if __name__ == '__main__':
    context = multiprocessing.get_context(sys.argv[1])
    queue = context.Queue()
    processes = [context.Process(target=work, args=(queue,)) for _ in range(2)]
    for p in processes: p.start()
    time.sleep(1)
    print('ready', flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
";
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("parent.py");
    std::fs::write(&program, parent).unwrap();
    // What is left to another process keeps the session of its creator, by which it is known.
    let session = |pid| nix::unistd::getsid(Some(Pid::from_raw(pid))).ok();
    if session(1) == session(0) {
        loudly!("SKIPPED: this runs in the session of PID 1, so that its orphans look like children of PID 1");
        return;
    }
    // One after the other: what is left of several in one session counts as one.
    for (python, method) in pythons().iter().flat_map(|python| ["spawn", "fork", "forkserver"].map(|method| (python, method))) {
        let stage = Stage::start(Command::new(python).arg(&program).arg(method));
        let group = stage.pid();
        let output = concmon().args(["problems", "--json", "--for", "10", &format!("pgrp={group}")]).output().unwrap();
        let found: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        assert_eq!(
            found["problems"],
            Value::Array(Vec::new()),
            "{method}: they wait for each other because they were left: {found:#}"
        );
        let orphans = found["findings"].as_array().into_iter().flatten().find(|f| f["id"] == "orphans");
        let Some(finding) = orphans else { panic!("{method}, {}: {found:#}", python.display()) };
        // A fork server is left too.
        let left = if method == "forkserver" { 3 } else { 2 };
        assert_eq!(finding["pids"].as_array().unwrap().len(), left, "{finding:#}");
        assert!(finding["evidence"].as_str().unwrap().contains("of multiprocessing (known by"), "{finding:#}");
    }
}

/// A control group of version 1 or 2 for a controller, which ends with the test; `None` where none can be made.
struct Group(Vec<PathBuf>);

impl Group {
    fn new(controllers: &[&str]) -> Option<Self> {
        let mut made = Vec::new();
        for controller in controllers {
            let old = Path::new("/sys/fs/cgroup").join(controller);
            let root = if old.is_dir() { old } else { PathBuf::from("/sys/fs/cgroup") };
            let path = root.join(format!("concmon-problems-{}", std::process::id()));
            if let Err(error) = std::fs::create_dir(&path) {
                loudly!("SKIPPED: no control group can be made here: {error}");
                return None;
            }
            made.push(path);
        }
        Some(Self(made))
    }

    fn put(&self, file: &str, text: &str) -> bool {
        self.0.iter().any(|path| path.join(file).exists() && std::fs::write(path.join(file), text).is_ok())
    }

    fn take(&self, pid: u32) {
        for path in &self.0 {
            std::fs::write(path.join("cgroup.procs"), pid.to_string()).unwrap();
        }
    }

    fn value(&self, file: &str, key: &str) -> Option<f64> {
        let text = self.0.iter().find_map(|path| std::fs::read_to_string(path.join(file)).ok())?;
        text.lines().find_map(|line| line.strip_prefix(key)?.trim().parse().ok())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let begun = Instant::now();
        for path in &self.0 {
            while std::fs::remove_dir(path).is_err() && begun.elapsed() < Duration::from_secs(5) {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

fn a_group_whose_memory_was_full() {
    let Some(group) = Group::new(&["memory"]) else { return };
    if !(group.put("memory.max", "67108864") || group.put("memory.limit_in_bytes", "67108864")) {
        loudly!("SKIPPED: control groups have no memory limit here");
        return;
    }
    let stays = Stage::c("pool");
    group.take(stays.pid());
    let mut dies = Stage::c("memory");
    group.take(dies.pid());
    let ended = dies.0.wait().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&ended), Some(9), "{ended}");
    let finding = stays.has_finding("oom_kill");
    let evidence = finding["evidence"].as_str().unwrap();
    assert!(evidence.contains("killed at its memory limit of 64 MiB"), "{evidence}");
}

#[test]
fn workers_that_are_killed_one_after_the_other() {
    let _alone = alone();
    if !nix::unistd::geteuid().is_root() {
        loudly!("SKIPPED: how a process ended is for root to know, by the kernel's stream of events");
        return;
    }
    let script = "
import multiprocessing, os, signal, time
pool = multiprocessing.get_context('fork').Pool(3)
pool.map(abs, range(9))
print('ready', flush=True)
while True:
    time.sleep(2)
    os.kill(pool._pool[0].pid, signal.SIGKILL)
";
    for python in pythons().into_iter().take(1) {
        let finding = Stage::python(&python, script).has_finding("worker_killed");
        let evidence = finding["evidence"].as_str().unwrap();
        assert!(evidence.contains("was killed by SIGKILL") && evidence.contains("other workers"), "{evidence}");
    }
}

#[test]
fn a_pool_whose_callback_waits_for_it_and_pools_whose_results_take_their_time() {
    let begin = "import multiprocessing, time\npool = multiprocessing.get_context('fork').Pool(2)\n";
    let waits = "
def again(result): pool.apply(abs, (-1,))
result = pool.apply_async(abs, (1,), callback=again)
print('ready', flush=True)
result.get()
";
    let iterable = "
def source():
    yield 1
    time.sleep(600)
print('ready', flush=True)
for _ in pool.imap(abs, source()): pass
";
    let callback = "
result = pool.apply_async(abs, (1,), callback=lambda _: time.sleep(600))
print('ready', flush=True)
result.get()
";
    for python in pythons() {
        let of = |script: &str| Stage::python(&python, &format!("{begin}{script}"));
        let finding = of(waits).has_finding("callback_waits");
        assert!(finding["evidence"].as_str().unwrap().contains("again() at"), "{}: {finding:#}", python.display());
        for script in [iterable, callback] {
            let (code, found) = of(script).problems("5");
            assert_eq!(code, 0, "{}: {found:#}", python.display());
        }
    }
}

#[test]
fn a_greenlet_that_sleeps_blocks_the_others_and_the_hub_does_not() {
    let blocks = "
import gevent, time
def work(number): time.sleep(600)
print('ready', flush=True)
gevent.joinall([gevent.spawn(work, number) for number in range(3)])
";
    let waits = "
import gevent
def work(number): gevent.sleep(600)
print('ready', flush=True)
gevent.joinall([gevent.spawn(work, number) for number in range(3)])
";
    for python in pythons() {
        let gevent = Command::new(&python).args(["-c", "import gevent"]).stderr(Stdio::null()).status();
        if !gevent.is_ok_and(|status| status.success()) {
            loudly!("SKIPPED: {} has no gevent", python.display());
            continue;
        }
        let finding = Stage::python(&python, blocks).has_finding("loop_blocked");
        assert!(finding["evidence"].as_str().unwrap().contains("work() at"), "{}: {finding:#}", python.display());
        let (code, found) = Stage::python(&python, waits).problems("4");
        assert_eq!(code, 0, "{}: {found:#}", python.display());
    }
}

#[test]
fn threads_of_openmp_times_workers() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let (source, program) = (dir.path().join("omp.c"), dir.path().join("omp"));
    let text = "#include <omp.h>\n#include <stdio.h>\n#include <unistd.h>\nint main(void) {\n\
        for (int n = 0; n < 2; n++) if (fork() == 0) {\n    _Pragma(\"omp parallel num_threads(4)\") for (;;) { }\n  }\n\
        puts(\"ready\"); fflush(stdout); for (;;) pause();\n}\n";
    std::fs::write(&source, text).unwrap();
    let output = Command::new("cc").args(["-O0", "-fopenmp"]).arg(&source).arg("-o").arg(&program).output().unwrap();
    if !output.status.success() {
        loudly!("SKIPPED: cc has no OpenMP here");
        return;
    }
    if std::thread::available_parallelism().is_ok_and(|n| n.get() > 7) {
        loudly!("SKIPPED: eight threads do not fill this machine");
        return;
    }
    let finding = Stage::start(&mut Command::new(&program)).has_finding("library_threads");
    assert!(finding["evidence"].as_str().unwrap().contains("OMP_NUM_THREADS is not set"), "{finding:#}");
}

#[test]
fn an_object_in_shared_memory_that_no_process_uses() {
    let path = PathBuf::from(format!("/dev/shm/concmon-test-{}", std::process::id()));
    if let Err(error) = std::fs::write(&path, vec![1; 4096]) {
        loudly!("SKIPPED: /dev/shm cannot be written: {error}");
        return;
    }
    let begun = Instant::now();
    let found = loop {
        let output = concmon().args(["problems", "--json", "--for", "8"]).output().unwrap();
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        let one = found["findings"].as_array().unwrap().iter().find(|finding| finding["id"] == "shared_objects").cloned();
        if one.is_some() || begun.elapsed() > Duration::from_secs(60) {
            break one;
        }
    };
    std::fs::remove_file(&path).unwrap();
    assert!(found.unwrap()["pids"].as_array().unwrap().is_empty());
}

#[test]
fn a_group_that_its_quota_stops_and_a_frozen_one() {
    let _alone = alone();
    let Some(group) = Group::new(&["cpu"]) else { return };
    let quota = group.put("cpu.max", "30000 100000")
        || (group.put("cpu.cfs_period_us", "100000") && group.put("cpu.cfs_quota_us", "30000"));
    if !quota {
        loudly!("SKIPPED: control groups have no CPU quota here");
        return;
    }
    let stage = Stage::c("spin");
    group.take(stage.pid());
    the_share_of_the_quota_is_that_of_cpu_stat(&group, &stage);
    the_page_of_groups_has_the_quota(&group, &stage);
    let finding = stage.has_finding("throttled");
    let evidence = finding["evidence"].as_str().unwrap();
    assert!(evidence.contains("quota 0.30 CPUs"), "{evidence}");
    // It is the quota that makes the process wait, not others that compete with it.
    let (_, found) = stage.problems("4");
    assert!(!found.to_string().contains("oversubscribed"), "{found:#}");
    drop(stage);
    drop(group);
    a_group_whose_memory_was_full();
    // Version 2 freezes beside version 1.
    ["freezer", "unified"].into_iter().for_each(a_frozen_group);
}

fn a_frozen_group(hierarchy: &str) {
    let Some(group) = Group::new(&[hierarchy]) else { return };
    let stage = Stage::c("pool");
    group.take(stage.pid());
    if !(group.put("cgroup.freeze", "1") || group.put("freezer.state", "FROZEN")) {
        loudly!("SKIPPED: control groups cannot be frozen here");
        return;
    }
    let finding = stage.has_finding("frozen");
    assert!(finding["evidence"].as_str().unwrap().contains("concmon-problems-"), "{finding:#}");
    assert!(group.put("cgroup.freeze", "0") || group.put("freezer.state", "THAWED"));
}

/// What the surveys say of the time between two of them is within five points of the counters read beside them.
fn the_share_of_the_quota_is_that_of_cpu_stat(group: &Group, stage: &Stage) {
    let read = || (group.value("cpu.stat", "nr_throttled ").unwrap(), group.value("cpu.stat", "nr_periods ").unwrap());
    let share = |from: (f64, f64), to: (f64, f64)| (to.0 - from.0) * 100.0 / (to.1 - from.1);
    let mut surveyor = concmon::why::Surveyor::new().unwrap();
    surveyor.survey().unwrap();
    let first = read();
    // Fifty periods: a survey that takes a few of them moves the share by less than the bound.
    while read().1 - first.1 < 50.0 {
        std::thread::sleep(Duration::from_millis(100));
    }
    let facts = surveyor.survey().unwrap().facts;
    let exact = share(first, read());
    let pid = stage.pid().cast_signed();
    let one = &facts.groups[facts.processes[&pid].cpu_group.as_deref().unwrap()];
    let told = one.throttled as f64 * 100.0 / one.periods as f64;
    println!("throttled: told {told:.1} %, cpu.stat {exact:.1} % of {} periods", one.periods);
    assert!((told - exact).abs() <= 5.0, "told {told}, cpu.stat {exact}");
}

/// The page of groups in the details of the process.
fn the_page_of_groups_has_the_quota(group: &Group, stage: &Stage) {
    let reader = DetailReader::open("/proc").unwrap();
    let key = reader.key_of(stage.pid().cast_signed()).unwrap();
    let before = group.value("cpu.stat", "nr_throttled ").unwrap();
    let content = reader.read(key, DetailPart::Groups).unwrap().content.unwrap();
    let after = group.value("cpu.stat", "nr_throttled ").unwrap();
    let DetailContent::Groups { groups, .. } = content else { panic!("{content:?}") };
    let groups = groups.unwrap();
    let own = groups.iter().find(|one| one.path.contains("concmon-problems-")).unwrap_or_else(|| panic!("{groups:#?}"));
    let stopped = own.throttled.unwrap().stopped as f64;
    assert!(own.quota_cpus == Some(0.3) && (before..=after).contains(&stopped), "{before}..{after}: {own:#?}");
}

#[test]
fn why_names_the_code_that_blocks_a_loop_and_the_child_behind_a_signal() {
    let blocked = "
import asyncio, time
def fetch(): time.sleep(600)
async def handler(): fetch()
print('ready', flush=True)
asyncio.run(handler())
";
    for python in pythons() {
        let stage = Stage::python(&python, blocked);
        let (begun, words) = (Instant::now(), "It has kept its event loop from running any other task for");
        let end = loop {
            let end = stage.why()["end"].as_str().unwrap().to_owned();
            if end.contains(words) || begun.elapsed() > Duration::from_secs(30) {
                break end;
            }
        };
        assert!(end.contains(words) && end.contains("fetch() at"), "{}: {end}", python.display());
    }
    // timeout(1) of GNU coreutils waits for a signal, others for the child itself.
    let stage = Stage::start(Command::new("sh").args(["-c", "echo ready; exec timeout 600 sleep 600"]));
    let (begun, mut document) = (Instant::now(), stage.why());
    while !document.to_string().contains(" sleep") && begun.elapsed() < Duration::from_secs(30) {
        document = stage.why();
    }
    assert!(document.to_string().contains(" sleep"), "{document:#}");
}

#[test]
fn a_request_to_oneself_is_a_deadlock_and_a_pool_that_fills_up_is_none() {
    let request = "
import asyncio, socket
async def main():
    server = await asyncio.start_server(lambda r, w: None, '127.0.0.1', 0)
    connection = socket.create_connection(server.sockets[0].getsockname())
    print('ready', flush=True)
    connection.recv(1)
asyncio.run(main())
";
    let fills = "
import threading, time
rest = threading.Event()
print('ready', flush=True)
for _ in range(60):
    threading.Thread(target=rest.wait, daemon=True).start()
    time.sleep(.25)
time.sleep(600)
";
    for python in pythons().into_iter().take(2) {
        Stage::python(&python, request).is_found("self_request", 1);
        let stage = Stage::python(&python, fills);
        let rises = stage.has_finding("threads_rise");
        assert_eq!(rises["level"], "information", "{}: {rises:#}", python.display());
    }
}

#[test]
fn a_process_that_is_not_there_is_an_error() {
    let output = concmon().args(["why", "4194304"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("there is no process or thread 4194304"));
}
