//! Owners of locks that change hands while they are read.

use super::*;

/// What one thread of `stuck random` says of its locks, nanoseconds: beginning to take, taken, about to release.
struct Player {
    tid: i32,
    of: [[u64; 3]; 3],
}

fn truth(path: &Path) -> Vec<Player> {
    let bytes = std::fs::read(path).unwrap();
    let words: Vec<u64> = bytes.chunks_exact(8).map(|word| u64::from_ne_bytes(word.try_into().unwrap())).collect();
    let player = |of: &[u64]| Player {
        tid: i32::try_from(of[0]).unwrap(),
        of: [0, 1, 2].map(|k| [of[1 + k * 3], of[2 + k * 3], of[3 + k * 3]]),
    };
    words.chunks_exact(10).map(player).collect()
}

/// Locks that are taken and released at random while they are read: no owner is reported that did not have the lock in that time. How many
/// readings: CONCMON_TEST_TRIALS.
#[test]
fn no_wrong_owner_is_told_of_locks_that_change_hands() {
    let trials: u32 = std::env::var("CONCMON_TEST_TRIALS").ok().and_then(|n| n.parse().ok()).unwrap_or(400);
    let (told, unsure) = owners_told(&PROGRAM.path().join("stuck"), trials);
    assert!(told >= trials / 4, "only {told} owners were told in {trials} readings");
    assert!(unsure * 5 <= told, "{unsure} of {told} could not be judged");
    // Of these it may not be known who owns a lock.
    for (compiler, options) in [("cc", &["-static", "-s"][..]), ("musl-gcc", &[]), ("musl-gcc", &["-static", "-s"])] {
        match compiled(compiler, options) {
            Ok(dir) => drop(owners_told(&dir.path().join("stuck"), trials / 2)),
            Err(why) => loudly!("SKIPPED: {compiler} {} is not possible here: {}", options.join(" "), why.trim()),
        }
    }
    // Here it cannot be known: the threads of Go run one goroutine after the other.
    match compiled_go() {
        Ok(dir) => assert_eq!(owners_told(&dir.path().join("stuck"), trials / 2), (0, 0)),
        Err(why) => loudly!("SKIPPED: go build is not possible here: {}", why.trim()),
    }
}

/// How many owners are named in so many readings of `random`, and of how many the file cannot judge. Fails on a wrong one.
fn owners_told(program: &Path, trials: u32) -> (u32, u32) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("truth");
    let stage = Stage::start(Command::new(program).arg("random").arg(&file));
    let pid = i32::try_from(stage.pid()).unwrap();
    let fs = Arc::new(ProcFs::open("/proc").unwrap());
    let mut reader = Reader::new(fs).only(vec![pid]);
    let (mut told, mut unsure) = (0, 0);
    // Which word of memory is which lock is known from the first owners that agree with the file.
    let mut locks: BTreeMap<u64, usize> = BTreeMap::new();
    let mut begun = Instant::now();
    let mut trial = 0;
    while trial < trials {
        let before = concmon::clock::monotonic_ns();
        let scene = reader.read(Patience { apart: Duration::from_micros(u64::from(trial % 7) * 200) }).unwrap();
        let after = concmon::clock::monotonic_ns();
        let players = truth(&file);
        trial += 1;
        let tasks = scene.processes.get(&pid).map(|process| &process.tasks).unwrap();
        let at = |tid: i32| match tasks.get(tid).map(|task| &task.wait) {
            Some(Wait::Futex { lock: Lock::Private { address, .. }, .. }) => Some(*address),
            _ => None,
        };
        for tid in tasks.tids() {
            let edges = scene.edges(TaskId { pid, tid }).unwrap_or_default();
            let Some(edge) = edges.iter().find(|edge| edge.kind == Kind::Mutex) else { continue };
            let (Target::Task(owner), Some(address)) = (&edge.to, at(tid)) else { panic!("{edge:?}") };
            told += 1;
            assert_ne!(owner.tid, tid, "its own: {edge:?}");
            assert_ne!(at(owner.tid), Some(address), "an owner that waits for the same lock: {edge:?}");
            let player = players.iter().find(|player| player.tid == owner.tid).unwrap_or_else(|| panic!("no player: {edge:?}"));
            let had = |[attempt, acquired, released]: [u64; 3]| {
                let held = acquired <= after && (released >= before || released < acquired);
                // Between the lock and the note of it anything may be.
                let between = attempt <= after && attempt > acquired || acquired > after;
                (held, between)
            };
            // A waiter that began before the reading and has not got the lock after it names the lock; one that began later may have waited
            // for another.
            let waiter = players.iter().find(|player| player.tid == tid).unwrap();
            let waits = |[attempt, acquired, _]: [u64; 3]| attempt > acquired && attempt <= before;
            let asleep = (0..3).filter(|k| waits(waiter.of[*k])).collect::<Vec<_>>();
            let known = locks.get(&address).copied().or(if let [only] = asleep[..] { Some(only) } else { None });
            let Some(lock) = known else {
                unsure += 1;
                continue;
            };
            match had(player.of[lock]) {
                (true, _) => drop(locks.insert(address, lock)),
                (false, true) => unsure += 1,
                (false, false) => {
                    panic!("wrong owner in trial {trial}: {edge:?}; {:?} of lock {lock}, read {before}..{after}", player.of[lock])
                }
            }
        }
        if begun.elapsed() > Duration::from_secs(20) {
            println!("{trial} readings, {told} owners told, {unsure} that the file cannot judge");
            begun = Instant::now();
        }
    }
    println!("{trial} readings, {told} owners told, {unsure} that the file cannot judge");
    (told, unsure)
}

/// Echoes each line, and reads the next.
fn echo() -> (Child, impl FnMut()) {
    let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut to, mut from) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
    let turn = move || {
        to.write_all(b"line\n").unwrap();
        from.read_line(&mut String::new()).unwrap();
    };
    (child, turn)
}

/// With the monitor's samples a process that rests is not looked at again; one that ran is, and one that runs after the sample does not seem
/// to wait.
#[test]
fn samples_spare_looks_at_what_rests_and_hide_nothing_that_ran() {
    let ((mut resting, mut first), (mut running, mut turn)) = (echo(), echo());
    let pids = [&resting, &running].map(|child| i32::try_from(child.id()).unwrap());
    let reads = |pid: i32| format!("/proc/{pid}/syscall");
    let settle = || {
        let until = Instant::now() + Duration::from_secs(30);
        while !pids.iter().all(|pid| std::fs::read_to_string(reads(*pid)).is_ok_and(|line| line.starts_with("0 "))) {
            assert!(Instant::now() < until, "both read their pipes");
        }
    };
    first();
    turn();
    settle();
    let mut source = ProcSource::new("/proc").unwrap();
    let mut sample = || Some(Arc::new(source.sample(&Request::basic(Needs::empty())).unwrap()));
    let mut reader = Reader::new(Arc::new(ProcFs::open("/proc").unwrap())).only(pids.to_vec());
    let at_once = Patience { apart: Duration::ZERO };
    reader.tell(sample());
    reader.read(at_once).unwrap();
    assert_eq!(reader.changed(), pids, "new");
    turn();
    settle();
    reader.tell(sample());
    reader.read(at_once).unwrap();
    assert_eq!(reader.changed(), [pids[1]], "the other one rested");
    reader.tell(sample());
    turn();
    settle();
    let scene = reader.read(at_once).unwrap();
    assert!(reader.changed().is_empty(), "neither ran between the samples");
    let waits = pids.map(|pid| scene.processes[&pid].tasks.get(pid).unwrap().wait.clone());
    assert!(matches!(waits, [Wait::PipeRead(_), Wait::Open(_)]), "{waits:?}");
    for child in [&mut resting, &mut running] {
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
