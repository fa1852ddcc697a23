//! Workers are not trusted: lines of random bytes, connections of other processes.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use concmon::lab::catalog::{RunSpec, TaskKind};
use concmon::lab::protocol::{Creation, Line, LineError, MAX_LINE_BYTES, Message, VERSION, parse_line};
use concmon::lab::run::{Outcome, Run, RunPhase};
use proptest::prelude::*;

use crate::support::lab::{await_end, await_run, await_workers, launcher, spec, variable};

proptest! {
    #[test]
    fn any_bytes_give_a_line_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse_line(&bytes);
    }

    #[test]
    fn a_broken_line_never_parses_as_another(cut in 1_usize..60) {
        let whole = br#"{"t":12345,"pid":77,"tid":78,"n":3,"m":"task_start","w":1,"k":2}"#;
        prop_assert!(parse_line(&whole[..whole.len() - cut]).is_err());
    }

    #[test]
    fn what_is_written_is_what_is_read(t: u64, pid: i32, tid: i32, n: u64, w: u32, text: String) {
        for message in [
            Message::Ready { w, how: Creation::Spawn },
            Message::Exited { w, status: Some(w) },
            Message::Error { text: text.clone() },
            Message::Value { name: text.clone(), text, number: Some(t) },
        ] {
            let line = Line { t, pid, tid, n, message };
            let bytes = serde_json::to_vec(&line).unwrap();
            prop_assert!(!bytes.contains(&b'\n'), "one line whatever the text");
            prop_assert_eq!(parse_line(&bytes).unwrap(), line);
        }
    }
}

#[test]
fn lines_that_are_too_long_or_of_another_version_are_refused() {
    assert_eq!(parse_line(&vec![b' '; MAX_LINE_BYTES + 1]), Err(LineError::TooLong));
    let hello = format!(r#"{{"t":1,"pid":1,"tid":1,"m":"hello","v":{},"role":"worker"}}"#, VERSION + 1);
    assert_eq!(parse_line(hello.as_bytes()), Err(LineError::Version { found: VERSION + 1 }));
    for hostile in [
        "",
        "{}",
        "null",
        "[]",
        r#"{"t":-1,"pid":1,"tid":1,"m":"ready","w":0,"how":"fork"}"#,
        r#"{"t":1,"pid":1,"tid":1,"m":"sudo"}"#,
    ] {
        assert!(matches!(parse_line(hostile.as_bytes()), Err(LineError::Malformed(_))), "{hostile}");
    }
}

/// Connects to the run as one of its workers could.
fn intrude(run: &Run) -> UnixStream {
    UnixStream::connect(variable(run, "CONCMON_LAB_SOCKET")).unwrap()
}

#[test]
fn hostile_connections_are_counted_and_named_and_the_run_goes_on() {
    let launcher = launcher();
    let id = launcher.launch(RunSpec { hold_ms: 1_500, ..spec("native/fork", TaskKind::Factorial) }).unwrap();
    let run = await_workers(&launcher, id, 4);
    let me = std::process::id();
    let worker = run.workers[0].pid.unwrap();
    let ready = run.workers[0].ready_ns;

    let mut liar = intrude(&run);
    writeln!(liar, r#"{{"t":1,"pid":{worker},"tid":{worker},"n":0,"m":"ready","w":0,"how":"fork"}}"#).unwrap();
    liar.write_all(b"\xff\xfe garbage \x1b[31m\n{}\n").unwrap();
    let mut endless = intrude(&run);
    // The helper closes it; what is left of the write then fails.
    let _ = endless.write_all(&vec![b'x'; 4 * MAX_LINE_BYTES]);
    let closed = endless.read(&mut [0; 16]);
    assert!(matches!(closed, Ok(0)) || closed.is_err(), "a line without end ends the connection");
    let mut future = intrude(&run);
    writeln!(future, r#"{{"t":1,"pid":{me},"tid":{me},"n":0,"m":"hello","v":999,"role":"worker"}}"#).unwrap();
    let mut dropper = intrude(&run);
    writeln!(dropper, r#"{{"t":1,"pid":{me},"tid":{me},"n":7,"m":"warn","text":"seven lines before this were dropped"}}"#)
        .unwrap();

    let run = await_run(&launcher, id, "every refusal was counted", |run| run.lines_lost >= 5 + 7 || run.ended());
    assert_eq!(run.lines_lost, 5 + 7, "{:?}", run.warnings);
    for wanted in [
        &format!("claims to come from process {worker}"),
        "not a protocol line",
        "more than 65536 bytes",
        "protocol version 999",
        "seven lines",
    ] {
        assert!(run.warnings.iter().any(|w| w.contains(wanted)), "{wanted:?} in {:?}", run.warnings);
    }
    assert_eq!(run.workers[0].ready_ns, ready, "nobody else can speak for a worker");
    assert_eq!(await_end(&launcher, id).phase, RunPhase::Ended(Outcome::Done));
}
