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
    // Of several hosts each series names its own.
    let model = Model { name: Some("box".into()), ..model };
    let text = written(|out| write_openmetrics(out, &Table { model: &model, columns: &columns, lines: &flat(1) }));
    assert!(text.contains("concmon_nice{scope=\"process\",pid=\"1\",tid=\"1\",host=\"box\",comm=\"name\"} 0.0\n"), "{text}");
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

/// A process of a sweep: pid, name, CPU time in seconds, number of threads.
type Made<'a> = (i32, &'a [u8], Option<u64>, u32);

/// What the totals say after sweeps over these processes.
fn totals_after(sweeps: &[&[Made<'_>]], found: &[FoundIn]) -> String {
    let mut totals = Totals::default();
    for sweep in sweeps {
        let processes = sweep.iter().map(|(pid, name, cpu_s, threads)| {
            let mut process = process(*pid, 1, b"x");
            process.leader.comm = Comm::new(name);
            (process.utime_ns, process.stime_ns) = (cpu_s.map(|s| s * 1_000_000_000), cpu_s.map(|_| 0));
            process.nlwp = Some(*threads);
            process
        });
        let model = model(processes.collect());
        totals.step(&model, 0..model.now.processes.len(), found, std::time::Duration::ZERO);
    }
    totals.text(&[Kind { id: "zombies", warning: true }], found).unwrap()
}

fn value_of(text: &str, series: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

#[test]
fn totals_add_up_and_counters_keep_what_ended_processes_used() {
    let first = &[(1, &b"web"[..], Some(10), 2), (2, b"web", Some(5), 1), (3, b"db", None, 4)][..];
    // 1 has gone, 2 goes on, 4 is new; the number of the second is taken again by another program later.
    let second = &[(2, &b"web"[..], Some(7), 3), (3, b"db", None, 4), (4, b"web", Some(1), 1)][..];
    let zombies = FoundIn { id: "zombies", warning: true, processes: vec![ProcKey { pid: 2, start_ticks: 5 }] };
    let text = totals_after(&[first, second], &[zombies]);
    let value = |series: &str| value_of(&text, series);
    assert_eq!(value("concmon_program_cpu_seconds_total{program=\"web\"}"), Some(10.0 + 7.0 + 1.0));
    assert_eq!(value("concmon_program_cpu_seconds_total{program=\"db\"}"), None, "unknown is no 0");
    assert_eq!(value("concmon_program_wait_seconds_total{program=\"web\"}"), None);
    assert_eq!(value("concmon_program_threads{program=\"web\"}"), Some(4.0));
    assert_eq!(value("concmon_program_processes{program=\"web\",state=\"sleeping\"}"), Some(2.0));
    assert_eq!(value("concmon_program_findings{program=\"web\",finding=\"zombies\"}"), Some(1.0));
    assert_eq!(value("concmon_findings{finding=\"zombies\",level=\"warning\"}"), Some(1.0));
    assert_eq!(value("concmon_sweeps_total"), Some(2.0));
    assert!(text.ends_with("# EOF\n") && !text.contains("concmon_program_pss"), "{text}");
    let gone = totals_after(&[first, &[]], &[]);
    assert_eq!(value_of(&gone, "concmon_program_cpu_seconds_total{program=\"web\"}"), Some(15.0), "it never falls");
    assert_eq!(value_of(&gone, "concmon_program_threads{program=\"web\"}"), None);
}

#[test]
fn the_number_of_series_is_bounded_whatever_programs_call_themselves() {
    let names: Vec<Vec<u8>> = (0..500).map(|n| format!("a\"\\\n\u{1b}{n}").into_bytes()).collect();
    let sweep: Vec<Made<'_>> = (1..).zip(&names).map(|(pid, name)| (pid, name.as_slice(), Some(1), 1)).collect();
    let text = totals_after(&[&sweep, &sweep], &[]);
    let counters: Vec<&str> = text.lines().filter(|line| line.starts_with("concmon_program_cpu_seconds_total{")).collect();
    assert_eq!(counters.len(), 201);
    assert_eq!(value_of(&text, "concmon_program_cpu_seconds_total{program=\"(others)\"}"), Some(300.0));
    assert!(text.bytes().all(|b| b == b'\n' || b >= b' '), "nothing that a terminal would obey");
}
