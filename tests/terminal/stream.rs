//! Streams: a recording on standard output, and a replay of one that still grows.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use concmon::record::{MOST_STREAM_BYTES, Parser, Part, Replay, Writer};

use crate::support::made_up::Machine;
use crate::support::pty::{Program, Pty};

const CONCMON: &str = env!("CARGO_BIN_EXE_concmon");

/// A made-up recording, and where its frames end.
fn made_up(directory: &Path, frames: usize, processes: u64) -> (Vec<u8>, Vec<usize>) {
    let path = directory.join("made-up");
    let mut machine = Machine::new(5);
    let mut writer = Writer::create(&path).unwrap();
    let ends = (0..frames).map(|_| {
        writer.write(&machine.step(processes)).unwrap();
        usize::try_from(std::fs::metadata(&path).unwrap().len()).unwrap()
    });
    let ends = ends.collect();
    (std::fs::read(&path).unwrap(), ends)
}

fn pipe(directory: &Path) -> PathBuf {
    let path = directory.join("pipe");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    path
}

#[test]
fn a_stream_is_a_recording_and_each_frame_comes_when_it_is_taken() {
    for args in [&["stream", "--every", "0.1"][..], &["--record", "-", "-d", "0.1"]] {
        let mut child = Command::new(CONCMON).args(args).stdout(Stdio::piped()).spawn().unwrap();
        let mut out = child.stdout.take().unwrap();
        let (mut parser, mut bytes, mut all) = (Parser::default(), [0; 4096], Vec::new());
        let mut taken = Vec::new();
        while taken.len() < 3 {
            let read = out.read(&mut bytes).unwrap();
            assert!(read > 0, "{args:?}: it goes on while it is read");
            parser.push(&bytes[..read]);
            all.extend_from_slice(&bytes[..read]);
            while let Some(part) = parser.part().unwrap() {
                if let Part::Frame(head, _) = part {
                    taken.push(head.taken_ns);
                }
            }
        }
        assert!(taken.windows(2).all(|two| two[1] - two[0] >= 90_000_000), "{args:?}: a tenth of a second apart: {taken:?}");
        // The reader is gone: that is how a stream ends.
        drop(out);
        assert!(child.wait().unwrap().success(), "{args:?}");
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, &all).unwrap();
        let mut replay = Replay::open(&path).unwrap();
        let own = i32::try_from(std::process::id()).unwrap();
        let last = replay.frame(replay.frames() - 1).unwrap();
        assert!(replay.frames() >= 3 && last.processes.iter().any(|process| process.key.pid == own));
    }
}

#[test]
fn a_recording_is_not_mixed_with_what_a_command_prints() {
    let output = Command::new(CONCMON).args(["ps", "--record", "-"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && output.stdout.is_empty(), "{said}");
    assert!(said.contains("use `concmon stream`, or name a file"), "{said}");
    let pty = Pty::spawn(&Program { program: CONCMON, args: &["stream"], rows: 24, columns: 100, env: &[] });
    pty.wait_text("standard output is a terminal, and a recording is binary");
    assert!(!pty.wait_exit().success());
}

#[test]
fn a_growing_recording_is_shown_while_it_grows_and_its_end_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let (bytes, ends) = made_up(directory.path(), 4, 2);
    for (last, said) in [(ends[3], "the stream has ended"), (ends[3] - 1, "the stream was cut off")] {
        let name = tempfile::tempdir_in(directory.path()).unwrap();
        let path = pipe(name.path());
        let args = ["-d", "60", "--replay", path.to_str().unwrap()];
        let mut pty = Pty::spawn(&Program { program: CONCMON, args: &args, rows: 24, columns: 100, env: &[] });
        // Opening a pipe to write waits for its reader.
        let mut stream = File::create(&path).unwrap();
        stream.write_all(&bytes[..ends[0] + 3]).unwrap();
        pty.wait_text("STREAM  1/1 live");
        stream.write_all(&bytes[ends[0] + 3..ends[1]]).unwrap();
        pty.wait_text("STREAM  2/2 live");
        pty.send(b",");
        pty.wait_text("STREAM  1/2 stopped");
        stream.write_all(&bytes[ends[1]..ends[2]]).unwrap();
        pty.wait_text("STREAM  1/3 stopped");
        pty.send(b"$");
        pty.wait_text("STREAM  3/3 live");
        stream.write_all(&bytes[ends[2]..last]).unwrap();
        drop(stream);
        pty.wait_text(said);
        pty.wait_text("ended");
        pty.send(b"q");
        assert!(pty.wait_exit().success());
    }
}

#[test]
fn a_stream_longer_than_its_bound_keeps_its_end() {
    let directory = tempfile::tempdir().unwrap();
    let (bytes, ends) = made_up(directory.path(), 1, 4000);
    let head = {
        let mut parser = Parser::default();
        parser.push(&bytes);
        assert!(matches!(parser.part(), Ok(Some(Part::System(_)))));
        let Ok(Some(Part::Frame(_, content))) = parser.part() else { panic!("a frame") };
        ends[0] - content.len() - 28
    };
    let (reader, mut writer) = std::io::pipe().unwrap();
    let count = 2 * MOST_STREAM_BYTES / (bytes.len() - head) + 2;
    let writing = std::thread::spawn(move || {
        writer.write_all(&bytes[..head]).unwrap();
        (0..count).for_each(|_| writer.write_all(&bytes[head..]).unwrap());
    });
    let mut replay = Replay::open(Path::new(&format!("/dev/fd/{}", reader.as_raw_fd()))).unwrap();
    drop(reader);
    replay.read_to_end();
    writing.join().unwrap();
    let kept = MOST_STREAM_BYTES / (ends[0] - head);
    assert!(!replay.is_growing() && replay.frames() <= kept && replay.dropped() > 0, "{} of {count}", replay.frames());
    assert_eq!(replay.cut(), Some("has ended"));
    let last = replay.frames() - 1;
    assert!(!replay.frame(last).unwrap().processes.is_empty());
}

#[test]
fn ps_reads_a_stream_to_its_end_and_refuses_what_is_none() {
    let directory = tempfile::tempdir().unwrap();
    let (bytes, _) = made_up(directory.path(), 3, 2);
    let mut wrong = bytes.clone();
    *wrong.last_mut().unwrap() ^= 1;
    for (content, at, code, said) in [
        (&bytes[..], "3", 0, "PID"),
        (&bytes[..], "4", 2, "there is no frame 4"),
        (&bytes[..bytes.len() - 1], "2", 0, "PID"),
        (b"Welcome to this machine\n", "1", 2, "standard input is not a recording"),
        (&bytes[..30], "1", 2, "standard input was cut off"),
        (&wrong, "3", 1, "damaged"),
    ] {
        let mut command = Command::new(CONCMON);
        command.args(["ps", "--replay", "-", "--at", at]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // It may have had enough of it before all is written.
        let _ = child.stdin.take().unwrap().write_all(content);
        let begun = Instant::now();
        let output = child.wait_with_output().unwrap();
        let all = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.code() == Some(code) && all.contains(said), "{said}: {:?} {all}", output.status);
        assert!(begun.elapsed() < Duration::from_secs(20), "{said}");
    }
}
