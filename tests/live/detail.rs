//! The reader behind the detail pane on a `/proc` that is larger, stranger or less readable than the machine's own.

use std::fmt::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::time::{Duration, Instant};

use concmon::kernel::DetailReader;
use concmon::snapshot::{Detail, DetailContent, DetailPart, ProcKey};

use crate::support::fake_proc::{Fake, FakeProc};

const KEY: ProcKey = ProcKey { pid: 7, start_ticks: 500 };

fn stage() -> (FakeProc, DetailReader) {
    let proc = FakeProc::new();
    proc.add(Fake::new(7).start(500).comm("large"));
    let reader = DetailReader::open_tree(proc.root()).unwrap();
    (proc, reader)
}

fn read(reader: &DetailReader, part: DetailPart) -> Detail {
    reader.read(KEY, part).unwrap()
}

#[test]
fn a_process_with_very_many_mappings_is_read_in_bounded_time_and_says_that_it_is_cut() {
    let (proc, reader) = stage();
    let mut maps = String::new();
    for line in 0..200_000u64 {
        writeln!(maps, "{:012x}-{:012x} rw-p 00000000 00:00 0", line << 13, (line << 13) + 4096).unwrap();
    }
    proc.write("7/maps", &maps);
    proc.write("7/smaps_rollup", "00400000-7fff0000 ---p 00000000 00:00 0 [rollup]\nRss: 2097152 kB\nPss: 1048576 kB\n");
    let began = Instant::now();
    let detail = read(&reader, DetailPart::Memory { maps: true });
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert!(detail.cut.as_deref().is_some_and(|cut| cut.contains("first 1024 KiB")), "{:?}", detail.cut);
    let Ok(DetailContent::Memory { sums, maps: Some(Ok(lines)) }) = detail.content else { panic!() };
    assert_eq!(sums.unwrap()[0].1, 2 << 30, "the sums are whole");
    assert!(lines.len() > 10_000 && lines.iter().all(|line| line.ends_with(b"00:00 0")), "no half line");
}

#[test]
fn lists_that_are_too_long_say_how_many_more_there_are() {
    let (proc, reader) = stage();
    for fd in 0..4_100 {
        std::fs::create_dir_all(proc.root().join("7/fd")).unwrap();
        symlink("/dev/null", proc.root().join(format!("7/fd/{fd}"))).unwrap();
    }
    let detail = read(&reader, DetailPart::Files);
    let Ok(DetailContent::Files(files)) = &detail.content else { panic!() };
    assert_eq!(files.len(), 4_096);
    assert_eq!(detail.cut.as_deref(), Some("4 more descriptors are not read"));
    let mut many = Fake::new(7).start(500);
    for tid in 8..308 {
        many = many.thread(tid, "worker", 'S', 1, 1);
    }
    proc.add(many);
    for tid in 7..308 {
        proc.write(&format!("7/task/{tid}/stack"), "[<0>] futex_wait+0x60/0x100\n");
    }
    let detail = read(&reader, DetailPart::Stacks);
    let Ok(DetailContent::Stacks(stacks)) = &detail.content else { panic!() };
    assert_eq!((stacks.len(), stacks[0].frames.as_ref().unwrap().len()), (256, 1));
    assert_eq!(detail.cut.as_deref(), Some("45 more threads are not read"));
}

#[test]
fn what_is_refused_or_missing_gives_its_reason() {
    let (proc, reader) = stage();
    // A kernel that keeps no stacks.
    let Ok(DetailContent::Stacks(stacks)) = read(&reader, DetailPart::Stacks).content else { panic!() };
    assert!(stacks[0].frames.as_ref().unwrap_err().contains("CONFIG_STACKTRACE"), "{stacks:?}");
    // A successor with the same pid, and none at all.
    proc.add(Fake::new(7).start(501));
    let gone = reader.read(KEY, DetailPart::Limits).unwrap_err();
    assert!(DetailReader::failed(KEY, DetailPart::Limits, &gone).gone);
    // A /proc that hides the processes of others (hidepid=1) refuses even to say which process this is.
    if effective_uid() != 0 {
        proc.add(Fake::new(7).start(500));
        let stat = proc.root().join("7/stat");
        std::fs::set_permissions(&stat, std::fs::Permissions::from_mode(0o000)).unwrap();
        let refused = reader.read(KEY, DetailPart::Limits).unwrap_err();
        let told = DetailReader::failed(KEY, DetailPart::Limits, &refused);
        assert!(!told.gone && told.content.unwrap_err().contains("permission denied"));
    }
    let nowhere = DetailReader::open("/nonexistent/proc").unwrap_err();
    let told = DetailReader::failed(KEY, DetailPart::Limits, &nowhere);
    assert!(!told.content.unwrap_err().is_empty());
}

fn effective_uid() -> u32 {
    nix::unistd::geteuid().as_raw()
}

/// This process holds locks of three kinds, another one waits for one of them: the page of each process shows both sides.
#[test]
fn locks_on_files_are_told_with_who_is_on_the_other_side() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("locked");
    let open = || std::fs::File::options().create(true).read(true).append(true).open(&path).unwrap();
    let (whole, ranges) = (open(), open());
    whole.lock().unwrap();
    let lock = |kind, start, len| nix::libc::flock { l_type: kind, l_whence: 0, l_start: start, l_len: len, l_pid: 0 };
    let read = lock(nix::libc::F_RDLCK as i16, 100, 50);
    nix::fcntl::fcntl(&ranges, nix::fcntl::FcntlArg::F_SETLK(&read)).unwrap();
    let write = lock(nix::libc::F_WRLCK as i16, 200, 0);
    nix::fcntl::fcntl(&ranges, nix::fcntl::FcntlArg::F_OFD_SETLK(&write)).unwrap();
    let mut waiter = std::process::Command::new("flock").arg(&path).arg("true").spawn().unwrap();

    let reader = DetailReader::open("/proc").unwrap();
    let locks_of = |pid: u32| -> Vec<String> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let start_ticks = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(19).unwrap().parse().unwrap();
        let detail = reader.read(ProcKey { pid: pid.cast_signed(), start_ticks }, DetailPart::Files).unwrap();
        let Ok(DetailContent::Files(files)) = detail.content else { panic!("{detail:?}") };
        let of_it = files.iter().filter(|file| file.target.as_deref().is_ok_and(|target| target.ends_with(b"/locked")));
        let mut words: Vec<String> = of_it.flat_map(|file| &file.locks).map(|lock| lock.words(|pid| pid.to_string())).collect();
        words.sort();
        words.dedup();
        words
    };
    let (own, other) = (std::process::id(), waiter.id());
    let begun = Instant::now();
    while locks_of(other).is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(10) && waiter.try_wait().unwrap().is_none(), "flock(1) waits");
    }
    assert_eq!(locks_of(other), [format!("waits for a write lock (flock), {own} holds one")]);
    assert_eq!(
        locks_of(own),
        [
            "holds a read lock on bytes 100 to 149 (fcntl)".to_owned(),
            format!("holds a write lock (flock), {other} waits for it"),
            "holds a write lock from byte 200 on (fcntl, of the open file)".to_owned(),
        ]
    );
    whole.unlock().unwrap();
    assert!(waiter.wait().unwrap().success());
    assert_eq!(locks_of(own).len(), 2, "what is given back is gone");
}

/// The overview of a real process: where it is, what it waits for, and a limit that it nearly uses up.
#[test]
fn the_overview_of_a_process_says_where_it_is_and_which_limit_bites() {
    let directory = tempfile::tempdir().unwrap();
    let script = "ulimit -n 20; exec 3<&0 4<&0 5<&0 6<&0 7<&0 8<&0 9<&0; i=10; while [ $i -lt 18 ]; do eval \"exec $i<&0\"; i=$((i+1)); done; \
        echo ready; read line";
    let mut child = std::process::Command::new("bash")
        .args(["-c", script])
        .current_dir(directory.path())
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.as_mut().unwrap()), &mut line).unwrap();
    let reader = DetailReader::open("/proc").unwrap();
    let key = reader.key_of(child.id().cast_signed()).unwrap();
    let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
    // It says that it is ready just before it reads.
    let overview = loop {
        let Ok(DetailContent::Overview(overview)) = reader.read(key, DetailPart::Overview).unwrap().content else { panic!() };
        if overview.threads[0].wait.is_some() || std::time::Instant::now() > until {
            break overview;
        }
        std::thread::yield_now();
    };
    let open = std::fs::read_dir(format!("/proc/{}/fd", key.pid)).unwrap().count() as u64;
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(overview.directory.as_deref(), Ok(directory.path().as_os_str().as_encoded_bytes()));
    assert!(overview.program.as_deref().unwrap().ends_with(b"bash"));
    assert!(overview.threads[0].wait.as_ref().unwrap().to_string().contains("pipe"), "{:?}", overview.threads);
    let files = overview.limits.iter().find(|limit| limit.what == "open files").unwrap();
    assert_eq!((files.used, files.most), (open, 20), "{:?}", overview.limits);
    assert!(files.share() > 0.8, "{files:?}");
}
