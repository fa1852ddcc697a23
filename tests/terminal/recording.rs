//! Recordings: a replay shows exactly the recorded values, or none, even if the file is damaged.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use concmon::kernel::ProcSource;
use concmon::kernel::source::{Needs, Request, Source};
use concmon::record::{Encoder, Recorder, Replay, Writer};
use concmon::snapshot::{ProcessSample, ProcessValues, Seen, Snapshot};

use crate::support::exclusive::busy;
use crate::support::key_script::bytes;
use crate::support::made_up::Machine;
use crate::support::pty::{Program, Pty};

const CONCMON: &str = env!("CARGO_BIN_EXE_concmon");

/// Every field of a snapshot, in words.
fn words(snapshot: &Snapshot) -> String {
    format!("{snapshot:?}")
}

fn record(path: &Path, snapshots: &[Snapshot]) {
    let mut writer = Writer::create(path).unwrap();
    snapshots.iter().for_each(|snapshot| writer.write(snapshot).unwrap());
}

#[test]
fn real_sweeps_come_back_with_every_field() {
    let _busy = busy();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sweeps");
    let mut source = ProcSource::new("/proc").unwrap();
    let mut snapshots: Vec<Snapshot> = Vec::new();
    for _ in 0..4 {
        let mut child = Command::new("sleep").arg("9").spawn().unwrap();
        let visible: Vec<_> = snapshots.last().map(|s| s.processes.iter().map(|p| p.key).collect()).unwrap_or_default();
        let budget = Duration::from_secs(10);
        let request = Request { visible: &visible, visible_needs: Needs::all(), budget, ..Request::basic(Needs::all()) };
        let mut snapshot = source.sample(&request).unwrap();
        // Of a longer command line a recording keeps the beginning, and says so.
        let whole = |p: &ProcessSample| p.identity.cmdline.as_ref().is_none_or(|line| line.len() < 16 * 1024);
        snapshot.processes.retain(whole);
        snapshots.push(snapshot);
        child.kill().unwrap();
        child.wait().unwrap();
    }
    record(&path, &snapshots);
    let mut replay = Replay::open(&path).unwrap();
    assert_eq!((replay.frames(), replay.cut()), (snapshots.len(), None));
    for at in [0, 1, 2, 3, 1, 3, 0] {
        assert_eq!(words(&replay.frame(at).unwrap()), words(&snapshots[at]), "frame {at}");
    }
    assert!(snapshots[3].processes.iter().any(|p| p.exact.as_ref().is_some_and(|e| e.waits.is_some())), "the stage is rich");
}

/// Most processes rest: they are written without a look at their values.
#[test]
fn a_process_that_rests_is_written_like_one_whose_values_are_compared() {
    let machine = Machine::new(5).step(20);
    for elapsed_ns in [0, 1_000_000_000] {
        let (mut before, mut shared, mut compared) = (machine.clone(), machine.clone(), machine.clone());
        for at in 0..machine.processes.len() {
            let values = |off_ns| {
                let mut values = ProcessValues::clone(&machine.processes[at]);
                values.seen = (at % 5 != 0).then_some(Seen { off_ns, ..Seen::NOTHING });
                values
            };
            let mut last = None;
            before.processes[at] = ProcessSample::sharing(values(7), &mut last);
            shared.processes[at] = ProcessSample::sharing(values(7 + elapsed_ns), &mut last);
            compared.processes[at] = ProcessSample::from(values(7 + elapsed_ns));
            assert!(shared.processes[at].rested_since(&before.processes[at]));
        }
        let written = |after: &Snapshot| {
            let (mut encoder, mut out) = (Encoder::default(), Vec::new());
            [&before, after].into_iter().for_each(|snapshot| encoder.encode(snapshot, &mut out).unwrap());
            out
        };
        assert!(written(&shared) == written(&compared), "{elapsed_ns} ns later");
    }
}

#[test]
fn a_jump_sees_what_a_walk_sees() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("churn");
    let mut machine = Machine::new(7);
    let snapshots: Vec<Snapshot> = (0..150).map(|_| machine.step(40)).collect();
    record(&path, &snapshots);
    let mut replay = Replay::open(&path).unwrap();
    for (at, snapshot) in snapshots.iter().enumerate() {
        assert_eq!(words(&replay.frame(at).unwrap()), words(snapshot), "walking, frame {at}");
        assert_eq!(replay.taken_ns(at), snapshot.taken_ns);
    }
    for jump in 0..100 {
        let at = jump * 89 % snapshots.len();
        assert_eq!(words(&replay.frame(at).unwrap()), words(&snapshots[at]), "jumping, frame {at}");
        let before = replay.run_up(at);
        assert!(before.end == at + 1 && before.len() <= 64 && (at < 32 || before.len() > 32), "{at}: {before:?}");
    }
}

/// A small recording, its bytes and where its frames end.
fn small(directory: &Path) -> (Vec<Snapshot>, Vec<u8>, Vec<usize>) {
    let path = directory.join("small");
    let mut machine = Machine::new(3);
    let snapshots: Vec<Snapshot> = (0..4).map(|_| machine.step(2)).collect();
    let mut writer = Writer::create(&path).unwrap();
    let ends = snapshots.iter().map(|snapshot| {
        writer.write(snapshot).unwrap();
        usize::try_from(std::fs::metadata(&path).unwrap().len()).unwrap()
    });
    let ends = ends.collect();
    (snapshots, std::fs::read(&path).unwrap(), ends)
}

#[test]
fn a_recording_cut_anywhere_is_whole_up_to_its_last_whole_frame() {
    let directory = tempfile::tempdir().unwrap();
    let (snapshots, whole, ends) = small(directory.path());
    let path = directory.path().join("cut");
    for length in 0..=whole.len() {
        std::fs::write(&path, &whole[..length]).unwrap();
        let frames = ends.iter().filter(|end| **end <= length).count();
        match Replay::open(&path) {
            Ok(mut replay) => {
                assert_eq!(replay.frames(), frames, "{length} bytes");
                assert_eq!(replay.cut().is_none(), ends.contains(&length), "{length} bytes: {:?}", replay.cut());
                let last = replay.frame(frames - 1).unwrap();
                assert_eq!(words(&last), words(&snapshots[frames - 1]));
            }
            Err(error) => {
                assert_eq!(frames, 0, "{length} bytes: {error}");
                assert!(!error.to_string().contains('\n'), "one sentence");
            }
        }
    }
}

#[test]
fn one_wrong_byte_gives_no_wrong_value() {
    let directory = tempfile::tempdir().unwrap();
    let (snapshots, whole, _) = small(directory.path());
    let (path, mut told) = (directory.path().join("damaged"), 0);
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 1 << (at % 8);
        std::fs::write(&path, &damaged).unwrap();
        let Ok(mut replay) = Replay::open(&path) else {
            told += 1;
            continue;
        };
        told += usize::from(replay.cut().is_some());
        for (frame, wanted) in snapshots.iter().enumerate().take(replay.frames()) {
            match replay.frame(frame) {
                Ok(snapshot) => assert_eq!(words(&snapshot), words(wanted), "byte {at}, frame {frame}"),
                Err(_) => told += 1,
            }
        }
    }
    assert!(told >= whole.len(), "each of {} wrong bytes is told of, at least once: {told}", whole.len());
}

#[test]
fn what_is_no_recording_is_refused_in_one_sentence() {
    let directory = tempfile::tempdir().unwrap();
    let (_, whole, _) = small(directory.path());
    let (mut earlier, mut later) = (whole.clone(), whole.clone());
    (earlier[8], later[8]) = (1, whole[8] + 1);
    let of_later = format!("has recording format {}", later[8]);
    let path = directory.path().join("other");
    for (content, why) in [
        (&b""[..], "is not a recording"),
        (b"[package]\nname = 1\n some other text", "is not a recording"),
        (&earlier, "has recording format 1"),
        (&later, of_later.as_str()),
        (&whole[..40], "incomplete"),
    ] {
        std::fs::write(&path, content).unwrap();
        let output = Command::new(CONCMON).args(["ps", "--replay"]).arg(&path).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && said.contains(why) && said.lines().count() == 1, "{said}");
    }
    let said = |path: &str| Replay::open(Path::new(path)).unwrap_err().to_string();
    assert!(said("/dev/zero").contains("is not a regular file"));
    assert!(said("/").contains("is not a regular file"));
    assert!(said("/nonexistent/x").contains("cannot be read"));
}

#[test]
fn a_recording_is_its_owners_and_replaces_recordings_only() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("private");
    let snapshot = Machine::new(1).step(3);
    record(&path, std::slice::from_ref(&snapshot));
    let mode = || std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(), 0o600);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let writer = Writer::create(&path).unwrap();
    assert_eq!((mode(), std::fs::metadata(&path).unwrap().len()), (0o600, 0), "replaced, and private again");
    let other = Writer::create(&path).unwrap_err().to_string();
    assert!(other.contains("another concmon"), "{other}");
    drop(writer);
    std::fs::write(&path, "dear diary").unwrap();
    let other = Writer::create(&path).unwrap_err().to_string();
    assert!(other.contains("is not a recording"), "{other}");
    assert_eq!(std::fs::read(&path).unwrap(), b"dear diary");
}

/// A source of made-up machines.
struct MadeUp(Machine);

impl Source for MadeUp {
    fn sample(&mut self, _: &Request<'_>) -> Result<Snapshot, concmon::kernel::error::ReadError> {
        Ok(self.0.step(5))
    }
}

#[test]
fn a_full_disk_ends_the_recording_and_not_the_sampling() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&told);
    let writer = Writer::create(Path::new("/dev/full")).unwrap();
    let mut source = Recorder::new(MadeUp(Machine::new(2)), Some(writer), move |why| heard.lock().unwrap().push(why));
    for _ in 0..3 {
        source.sample(&Request::basic(Needs::empty())).unwrap();
    }
    let told = told.lock().unwrap();
    assert!(
        told.len() == 1 && told[0].starts_with("recording has stopped: /dev/full") && told[0].contains("No space"),
        "{told:?}"
    );
}

#[test]
fn the_monitor_goes_on_when_the_disk_is_full() {
    let args = ["--record", "/dev/full", "-d", "0.2"];
    let mut pty = Pty::spawn(&Program { program: CONCMON, args: &args, rows: 24, columns: 100, env: &[] });
    pty.wait_text("recording has stopped: /dev/full");
    pty.wait_text("COMMAND");
    pty.send(&bytes("t q"));
    assert!(pty.wait_exit().success());
}

/// A live recording of `frames` frames.
fn live(path: &Path, frames: u32) {
    let frames = frames.to_string();
    let output = Command::new(CONCMON).args(["ps", "-d", "0.1", "--samples", &frames, "--record"]).arg(path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// What `ps` prints of this process and frame: resident memory, CPU time, CPU%, threads.
fn row_of_frame(path: &Path, pid: u32, frame: usize) -> Vec<String> {
    let (pid, frame) = (pid.to_string(), frame.to_string());
    let args = ["-p", &pid, "--at", &frame, "--columns", "rss,time,cpu,nlwp"];
    let output = Command::new(CONCMON).args(["ps", "--replay"]).arg(path).args(args).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().nth(1).unwrap_or_default().split_whitespace().map(str::to_owned).collect()
}

/// The same from the screen.
fn row_on_screen(pty: &Pty, pid: u32) -> Vec<String> {
    let pid = pid.to_string();
    let row = |line: &str| line.trim_start_matches(['>', ' ']).split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let rows = pty.contents();
    rows.lines().map(row).find(|row| row.first() == Some(&pid)).map(|row| row[1..].to_vec()).unwrap_or_default()
}

fn replayed(path: &Path, more: &[&str]) -> (tempfile::NamedTempFile, Pty) {
    let config = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(config.path(), "columns = [\"pid\", \"rss\", \"time\", \"cpu\", \"nlwp\"]\n").unwrap();
    let files = [config.path().to_str().unwrap(), path.to_str().unwrap()];
    let args: Vec<&str> = [&["-d", "60", "--config", files[0], "--replay", files[1]], more].concat();
    let pty = Pty::spawn(&Program { program: CONCMON, args: &args, rows: 30, columns: 120, env: &[] });
    (config, pty)
}

#[test]
fn a_recording_is_stepped_through_and_shows_what_ps_prints_of_each_frame() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("live");
    let mut busy = Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap();
    live(&path, 6);
    busy.kill().unwrap();
    busy.wait().unwrap();
    let pid = busy.id();
    let (_config, mut pty) = replayed(&path, &["-p", &pid.to_string()]);
    let mut seen = Vec::new();
    for (key, frame) in [("", 2), (".", 3), (".", 4), (",", 3), ("$", 6), ("^", 1), (".", 2), ("}", 6), ("{", 1)] {
        pty.send(key.as_bytes());
        pty.wait_text(&format!("{frame}/6"));
        let wanted = row_of_frame(&path, pid, frame);
        assert!(wanted.len() == 4, "ps prints frame {frame}: {wanted:?}");
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        while row_on_screen(&pty, pid) != wanted && std::time::Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(row_on_screen(&pty, pid), wanted, "frame {frame}");
        seen.push(wanted);
    }
    assert_eq!(seen[8][2], "-", "the first frame has no rates");
    assert!(seen[..5].iter().any(|row| row[2] != "-"), "others have: {seen:?}");
    assert!(!seen.concat().iter().any(|cell| cell.starts_with('-') && cell.len() > 1), "nothing is negative: {seen:?}");
    pty.send(b"q");
    assert!(pty.wait_exit().success());
}

#[test]
fn nothing_of_this_machine_is_touched_while_a_recording_is_shown() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("live");
    live(&path, 3);
    let (_config, mut pty) = replayed(&path, &[]);
    pty.wait_text("RECORDING  2/3");
    for (keys, said) in [
        ("F9", "Signal is off during a replay"),
        ("]", "Nice- is off during a replay"),
        ("a", "is off during a replay"),
        ("n", "Launch is off during a replay"),
        ("2", "is off during a replay"),
        ("D", "CoW is off during a replay"),
        ("Enter Tab Tab", "this page is not recorded"),
    ] {
        pty.send(&bytes(keys));
        pty.wait_text(said);
    }
    let threads: Vec<String> = std::fs::read_dir(format!("/proc/{}/task", pty.pid()))
        .unwrap()
        .map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).unwrap().trim().to_owned())
        .collect();
    for reads in ["sampler", "detail", "events", "bpf-load"] {
        assert!(!threads.iter().any(|name| name == reads), "{threads:?}");
    }
    assert!(threads.iter().any(|name| name == "player"), "{threads:?}");
    for fd in std::fs::read_dir(format!("/proc/{}/fd", pty.pid())).unwrap() {
        let target = std::fs::read_link(fd.unwrap().path()).unwrap_or_default();
        let target = target.to_string_lossy();
        assert!(!target.starts_with("/proc") && !target.contains("bpf"), "{target} is open");
    }
    pty.send(&bytes("Esc q"));
    assert!(pty.wait_exit().success());
}

#[test]
fn a_recording_is_shown_where_there_is_no_proc_at_all() {
    let hidden = |then: &str| format!("mount -t tmpfs none /proc && {then}");
    let can = Command::new("unshare").args(["-m", "sh", "-c", &hidden("true")]).output();
    if !can.is_ok_and(|output| output.status.success()) {
        loudly!("SKIPPED: /proc cannot be hidden without privileges");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("live");
    live(&path, 3);
    let script = hidden(&format!("exec {CONCMON} -d 60 --replay {}", path.display()));
    let args = ["-m", "sh", "-c", &script];
    let mut pty = Pty::spawn(&Program { program: "unshare", args: &args, rows: 30, columns: 120, env: &[] });
    pty.wait_text("RECORDING  2/3");
    pty.send(b".");
    pty.wait_text("RECORDING  3/3 stopped");
    pty.send(b"q");
    assert!(pty.wait_exit().success());
}

/// The fuzzer's seeds are made here: `UPDATE_SEEDS=1 cargo test --test terminal seeds`.
#[test]
fn the_seeds_are_of_this_format() {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/recording");
    let directory = tempfile::tempdir().unwrap();
    let (snapshots, whole, _) = small(directory.path());
    let (mut encoder, mut contents) = (Encoder::default(), vec![b'C']);
    for snapshot in &snapshots {
        let mut content = Vec::new();
        encoder.encode(snapshot, &mut content).unwrap();
        contents.extend(u16::try_from(content.len()).unwrap().to_le_bytes());
        contents.extend(content);
    }
    for (name, seed) in [("file", [b"F", &whole[..]].concat()), ("frames", contents)] {
        if std::env::var_os("UPDATE_SEEDS").is_some() {
            std::fs::write(place.join(name), &seed).unwrap();
        }
        assert!(
            std::fs::read(place.join(name)).unwrap() == seed,
            "{name}: what a recording holds has changed. Raise VERSION in src/record/layout.rs, then: UPDATE_SEEDS=1 cargo test --test terminal seeds"
        );
    }
}
