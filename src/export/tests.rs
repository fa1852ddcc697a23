use std::sync::Arc;

use super::*;
use crate::columns;
use crate::derive::Deriver;
use crate::snapshot::{
    Comm, EventTier, HostSample, Identity, ProcKey, ProcessSample, ProcessValues, Snapshot, SourceReport, State, SystemInfo,
    TaskSample, Tier,
};
use crate::text::Charset;

fn task(pid: i32, comm: &[u8]) -> TaskSample {
    TaskSample {
        tid: pid,
        tgid: pid,
        start_ticks: 5,
        state: State::SLEEPING,
        comm: Comm::new(comm),
        utime_ns: Some(1_000_000_000),
        stime_ns: Some(0),
        run_ns: None,
        run_delay_ns: None,
        voluntary_switches: None,
        involuntary_switches: None,
        minor_faults: None,
        major_faults: None,
        priority: 20,
        nice: 0,
        policy: None,
        rt_priority: None,
        last_cpu: None,
    }
}

fn process(pid: i32, ppid: i32, cmdline: &[u8]) -> ProcessSample {
    ProcessSample::from(ProcessValues {
        key: ProcKey { pid, start_ticks: 5 },
        ppid,
        pgrp: pid,
        session: pid,
        tty_nr: 0,
        kernel_thread: false,
        identity: Arc::new(Identity { cmdline: Some(cmdline.into()), uid: Some(0), ..Identity::default() }),
        leader: task(pid, b"name"),
        nlwp: Some(1),
        utime_ns: Some(1_000_000_000),
        stime_ns: Some(0),
        run_ns: None,
        seen: None,
        voluntary_switches: None,
        involuntary_switches: None,
        minor_faults: None,
        major_faults: None,
        virt_bytes: Some(1 << 20),
        rss_bytes: Some(4096),
        rss_anon_bytes: None,
        rss_file_bytes: None,
        rss_shmem_bytes: None,
        shared_bytes: None,
        swap_bytes: None,
    })
}

fn model(processes: Vec<ProcessSample>) -> Model {
    Deriver::new(0).step(Snapshot {
        taken_ns: 7_000_000_000,
        system: Arc::new(SystemInfo {
            page_bytes: 4096,
            ticks_per_second: 100,
            hostname: "h".to_owned(),
            kernel_release: "6".to_owned(),
            pid_max: None,
            booted_unix_ns: None,
            utc_offsets: Vec::new(),
        }),
        host: HostSample::default(),
        processes,
        tasks: Vec::new(),
        task_states: None,
        events: Vec::new(),
        report: SourceReport {
            tier: Tier::Proc,
            why: String::new(),
            better: None,
            sample_cpu_ns: 1,
            sample_wall_ns: 2,
            events: EventTier::Polling("no connector".to_owned()),
            events_lost: 0,
            denied: 0,
        },
    })
}

fn select(ids: &[&str]) -> Vec<&'static Column> {
    ids.iter().map(|id| columns::find(id).unwrap()).collect()
}

fn flat(count: u32) -> Vec<Line> {
    (0..count).map(|i| Line::flat(RowRef::Process(i))).collect()
}

fn written(write: impl FnOnce(&mut Vec<u8>) -> std::io::Result<()>) -> String {
    let mut out = Vec::new();
    write(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn csv_is_safe_for_spreadsheets_and_parsers() {
    let model = model(vec![
        process(1, 0, b"=HYPERLINK(\"http://x\")\0"),
        process(2, 1, b"a,b\"c\nd"),
        process(3, 1, b"\x1b[2J\t+1"),
        process(4, 1, b"-x"),
    ]);
    let columns = select(&["pid", "rss", "cpu", "pss", "command"]);
    let text = written(|out| write_csv(out, &Table { model: &model, columns: &columns, lines: &flat(4) }));
    assert_eq!(
        text,
        "pid,rss_bytes,cpu_percent,pss_bytes,command\n\
         1,4096,,,\"'=HYPERLINK(\"\"http://x\"\")\"\n\
         2,4096,,,\"a,b\"\"c␊d\"\n\
         3,4096,,,␛[2J␉+1\n\
         4,4096,,,\"'-x\"\n"
    );
}

#[test]
fn json_says_null_for_unknown_and_escapes_what_a_terminal_would_obey() {
    let model = model(vec![process(1, 0, "a\u{1b}[2J\u{9b}\u{202e}\u{e0041}é\"".as_bytes())]);
    let columns = select(&["pid", "rss", "cpu", "run_wait", "state", "command"]);
    let text = written(|out| write_json(out, &Table { model: &model, columns: &columns, lines: &flat(1) }));
    assert!(!text.trim_end().chars().any(|c| c.is_control() || crate::text::is_invisible(c)), "{text}");
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["schema"], "concmon.ps/1");
    assert_eq!(value["interval_ns"], serde_json::Value::Null);
    let row = &value["rows"][0];
    assert_eq!(row["rss_bytes"], 4096);
    assert!(row.get("cpu_percent").is_some_and(serde_json::Value::is_null), "unknown is there and null");
    assert_eq!(row["state"], "S");
    assert_eq!(row["command"], "a\u{1b}[2J\u{9b}\u{202e}\u{e0041}é\"", "nothing is lost");
}

#[test]
fn openmetrics_has_base_units_and_no_sample_of_what_is_unknown() {
    let mut hostile = process(2, 1, b"y");
    hostile.leader = task(2, b"\x1b[2J\"\n\\");
    let model = model(vec![process(1, 0, b"x"), hostile]);
    let columns = select(&["pid", "time", "rss", "cpu", "state", "command", "run_wait", "nice"]);
    let text = written(|out| write_openmetrics(out, &Table { model: &model, columns: &columns, lines: &flat(2) }));
    let one = "{scope=\"process\",pid=\"1\",tid=\"1\",comm=\"name\"}";
    let two = "{scope=\"process\",pid=\"2\",tid=\"2\",comm=\"␛[2J\\\"␊\\\\\"}";
    let expected = [("time_seconds_total", "1.0"), ("rss_bytes", "4096.0"), ("nice", "0.0")]
        .map(|(name, value)| format!("concmon_{name}{one} {value}\nconcmon_{name}{two} {value}\n"))
        .concat();
    let samples: String = text.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect();
    assert_eq!(samples, expected, "no percentage of one sample, no words, no ids: {text}");
    assert!(text.contains("# TYPE concmon_time_seconds counter\n# UNIT concmon_time_seconds seconds\n"), "{text}");
    assert!(text.ends_with("# EOF\n"), "{text}");
}

#[test]
fn every_column_can_be_written_in_every_format() {
    let model = model(vec![process(1, 0, b"x"), process(2, 1, b"")]);
    let columns: Vec<_> = columns::COLUMNS.iter().collect();
    let table = Table { model: &model, columns: &columns, lines: &flat(2) };
    let json: serde_json::Value = serde_json::from_str(&written(|out| write_json(out, &table))).unwrap();
    let csv = written(|out| write_csv(out, &table));
    let head = csv.lines().next().unwrap();
    assert_eq!(head.split(',').count(), columns::COLUMNS.len());
    assert_eq!(csv.lines().count(), 3);
    let metrics = written(|out| write_openmetrics(out, &table));
    let mut units = vec![""];
    units.extend(metrics.lines().filter_map(|line| line.strip_prefix("# UNIT ")?.split(' ').nth(1)));
    let base = ["", "bytes", "seconds", "ratio", "per_second", "bytes_per_second"];
    assert!(units.iter().all(|unit| base.contains(unit)), "a unit is not a base unit: {units:?}");
    for column in columns::COLUMNS {
        let key = column.json_key();
        assert!(head.split(',').any(|k| k == key), "{key} in the CSV head");
        let of_two = ["run_wait_percent", "gil_percent"].contains(&key.as_str());
        let named = of_two || json["rows"][0].get(&key).is_some();
        assert!(named, "{key} in the JSON");
    }
    let options = TableOptions { charset: Charset::Ascii, width: None };
    assert_eq!(written(|out| write_table(out, &table, &options)).lines().count(), 3);
}

#[test]
fn a_table_is_aligned_draws_the_tree_and_fits_the_terminal() {
    let model =
        model(vec![process(1, 0, b"init"), process(20, 1, "进程".as_bytes()), process(300, 20, b"leaf"), process(301, 1, b"z")]);
    let columns = select(&["pid", "command"]);
    let at = |index, depth, last, trunk| Line { row: RowRef::Process(index), depth, last, trunk };
    let lines = [at(0, 0, true, 0), at(1, 1, false, 0), at(2, 2, true, 0b10), at(3, 1, true, 0)];
    let table = Table { model: &model, columns: &columns, lines: &lines };
    let drawn = |charset, width| written(|out| write_table(out, &table, &TableOptions { charset, width }));
    assert_eq!(drawn(Charset::Unicode, None), "PID COMMAND\n  1 init\n 20 ├─ 进程\n300 │  └─ leaf\n301 └─ z\n");
    assert_eq!(drawn(Charset::Ascii, None), "PID COMMAND\n  1 init\n 20 |- \\u{8fdb}\\u{7a0b}\n300 |  `- leaf\n301 `- z\n");
    assert!(drawn(Charset::Unicode, Some(9)).lines().all(|line| crate::text::width(line) <= 9));
}
