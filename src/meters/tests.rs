use std::collections::HashSet;

use super::*;
use crate::derive::Deriver;
use crate::derive::tests::snapshot;
use crate::snapshot::{CpuTimes, DiskSample, HostSample, MemorySample, NetworkSample, Pressure, Snapshot, Temperature};

const SECOND: u64 = 1_000_000_000;

fn model(hosts: Vec<HostSample>) -> Model {
    let mut deriver = Deriver::new(0);
    let mut models = (1..).zip(hosts).map(|(at, host)| deriver.step(Snapshot { host, ..snapshot(at * SECOND, Vec::new()) }));
    let first = models.next().unwrap();
    models.last().unwrap_or(first)
}

fn text(id: &str, model: &Model) -> String {
    match (find(id).unwrap().read)(model) {
        Reading::Known { text, .. } => text,
        Reading::Unknown(why) => format!("unknown: {why}"),
        Reading::Each(all) => all.iter().map(|(name, bar, _)| format!("{name}={}", bar.figure)).collect::<Vec<_>>().join(" "),
    }
}

fn busy(user_ns: u64, idle_ns: u64) -> CpuTimes {
    CpuTimes { user_ns, idle_ns, ..CpuTimes::default() }
}

fn disk(name: &str, read_bytes: u64, written_bytes: u64, busy_ns: u64) -> DiskSample {
    DiskSample { name: name.into(), read_bytes, written_bytes, busy_ns }
}

#[test]
fn each_meter_is_itself_and_says_what_it_is() {
    let mut ids = HashSet::new();
    for meter in METERS {
        assert!(ids.insert(meter.id), "{} is there twice", meter.id);
        assert!(!meter.styles.is_empty() && meter.title.len() <= 5 && !meter.unit.is_empty(), "{}", meter.id);
        assert!(meter.help.ends_with('.') && !meter.source.is_empty(), "{}", meter.id);
        for style in meter.styles {
            let shown = Shown { meter, style: *style };
            assert_eq!(Shown::parse(&shown.word()), Ok(shown));
        }
        assert_eq!(Shown::parse(meter.id).map(|s| s.style), Ok(meter.styles[0]));
    }
    assert_eq!(Meters::default().all().count(), DEFAULT[0].len() + DEFAULT[1].len(), "each of the default ones is one");
}

#[test]
fn a_wrong_word_says_what_there_is() {
    assert!(Shown::parse("cpuu").unwrap_err().starts_with("there is no meter \"cpuu\"; the meters are cpu, cpus, memory"));
    assert_eq!(Shown::parse("tasks:bar").unwrap_err(), "the meter \"tasks\" has no style \"bar\"; its styles are text, graph");
    assert!(Shown::parse("").is_err() && Shown::parse("cpu:").is_err());
}

#[test]
fn nothing_is_known_of_nothing_and_nothing_is_shown_as_0() {
    let model = model(vec![HostSample::default()]);
    for meter in METERS.iter().filter(|m| m.id != "tasks") {
        let Reading::Unknown(why) = (meter.read)(&model) else { panic!("{} knows something", meter.id) };
        assert!(!why.is_empty());
    }
}

#[test]
fn rates_are_known_from_the_second_sample_on() {
    let host = |n: u64| HostSample {
        cpu_total: Some(busy(n * SECOND / 4, n * SECOND * 3 / 4)),
        cpus: vec![(0, busy(n * SECOND / 2, n * SECOND / 2)), (7, busy(0, n * SECOND))],
        disks: Some(vec![disk("vda", n * 4096, 0, n * SECOND / 2), disk("vdb", n * 1024, n * 2048, 0)]),
        networks: Some(vec![NetworkSample { name: "eth0".into(), received_bytes: n * 3072, sent_bytes: n * 1024, inner: false }]),
        ..HostSample::default()
    };
    let first = model(vec![host(1)]);
    for id in ["cpu", "disks", "network"] {
        assert_eq!(text(id, &first), "unknown: known after the second sample", "{id}");
    }
    assert_eq!(text("cpus", &first), "0=- 7=-");
    let second = model(vec![host(1), host(2)]);
    assert!(text("cpu", &second).starts_with("25%  user 25"));
    assert_eq!(text("cpus", &second), "0=50% 7=0%");
    assert_eq!(text("disks", &second), "read 5K/s  write 2K/s  vda 50% busy");
    assert_eq!(text("network", &second), "in 3K/s  out 1K/s  eth0");
    let Reading::Known { bar, .. } = (find("network").unwrap().read)(&second) else { panic!("known") };
    assert!((bar.parts[0].share - 0.0875).abs() < 0.001, "4 kB/s is 0.6 of the first of seven decades: {bar:?}");
}

#[test]
fn figures_that_stand_still_or_are_left_out_say_so() {
    let still = || HostSample { cpu_total: Some(busy(SECOND, SECOND)), ..HostSample::default() };
    assert_eq!(text("cpu", &model(vec![still()])), "unknown: known after the second sample");
    assert_eq!(text("cpu", &model(vec![still(), still()])), "unknown: the CPU times in /proc/stat stand still");
    assert_eq!(text("cpu", &model(vec![HostSample::default(), HostSample::default()])), "unknown: /proc/stat cannot be read");
    let memory = |memory: MemorySample| model(vec![HostSample { memory: Some(memory), ..HostSample::default() }]);
    let old =
        MemorySample { total_bytes: 8 << 30, free_bytes: Some(1 << 30), cached_bytes: Some(2 << 30), ..MemorySample::default() };
    assert!(text("memory", &memory(old)).starts_with("used 5.00G of 8.00G  cache 2.00G buffers ? shared ? available 3.00G"));
    let none = MemorySample { total_bytes: 8 << 30, ..MemorySample::default() };
    assert_eq!(text("memory", &memory(none)), "unknown: /proc/meminfo does not say what is free");
    assert_eq!(text("swap", &memory(none)), "unknown: /proc/meminfo does not say how much there is");
    let beyond = MemorySample { swap_total_bytes: Some(8 << 30), ..none };
    assert_eq!(text("swap", &memory(beyond)), "unknown: /proc/meminfo does not say how much is free");
}

#[test]
fn what_containers_send_through_the_machine_is_counted_once() {
    let end =
        |name: &str, received_bytes, sent_bytes, inner| NetworkSample { name: name.into(), received_bytes, sent_bytes, inner };
    let flow = |eth0: (u64, u64), veth: (u64, u64)| {
        let host = |n: u64| HostSample {
            networks: Some(vec![end("eth0", eth0.0 * n, eth0.1 * n, false), end("veth1", veth.0 * n, veth.1 * n, true)]),
            ..HostSample::default()
        };
        text("network", &model(vec![host(1), host(2)]))
    };
    assert!(flow((9 << 10, 1 << 10), (1 << 10, 9 << 10)).starts_with("in 9K/s  out 1K/s"), "a container fetches");
    assert!(flow((0, 0), (4 << 10, 2 << 10)).starts_with("in 4K/s  out 2K/s"), "a container talks to its machine");
    assert!(flow((9 << 10, 1 << 10), (3 << 10, 9 << 10)).starts_with("in 11K/s  out 1K/s"), "both");
}

#[test]
fn a_device_that_comes_or_starts_anew_makes_no_rate() {
    let host = |disks: Vec<DiskSample>| HostSample { disks: Some(disks), ..HostSample::default() };
    let model =
        model(vec![host(vec![disk("sda", 900_000, 0, 0)]), host(vec![disk("sda", 4_096, 0, 0), disk("usb", 70_000_000, 0, 0)])]);
    assert_eq!(text("disks", &model), "read 0/s  write 0/s  sda 0% busy");
}

#[test]
fn what_a_machine_does_not_have_is_said() {
    let host = HostSample {
        memory: Some(MemorySample {
            total_bytes: 8 << 30,
            available_bytes: Some(6 << 30),
            swap_total_bytes: Some(0),
            ..MemorySample::default()
        }),
        disks: Some(Vec::new()),
        networks: Some(Vec::new()),
        temperatures: Some(Vec::new()),
        ..HostSample::default()
    };
    let model = model(vec![host]);
    assert_eq!(text("swap", &model), "unknown: none on this machine");
    assert_eq!(text("disks", &model), "unknown: none on this machine");
    assert_eq!(text("network", &model), "unknown: no interface except loopback");
    assert_eq!(text("temperature", &model), "unknown: no sensors on this machine");
    assert!(text("memory", &model).starts_with("used 2.00G of 8.00G"));
}

#[test]
fn the_worst_stands_for_all() {
    let sensor = |label: &str, celsius| Temperature { label: label.into(), celsius };
    let mut host = HostSample {
        load: Some([5.0, 2.0, 1.0]),
        cpus: vec![(0, busy(1, 1)), (1, busy(1, 1))],
        temperatures: Some(vec![sensor("nvme", 41.0), sensor("core 1", 83.4)]),
        ..HostSample::default()
    };
    host.pressure.io = Some(Pressure { some_avg10: 12.0, full_avg10: 3.0 });
    host.pressure.cpu = Some(Pressure { some_avg10: 1.0, full_avg10: 0.0 });
    let model = model(vec![host]);
    assert_eq!(text("temperature", &model), "83 C core 1, hottest of 2");
    assert_eq!(text("load", &model), "5.00 2.00 1.00  on 2 CPUs");
    let Reading::Known { level, bar, .. } = (find("pressure").unwrap().read)(&model) else { panic!("known") };
    assert_eq!((level, bar.figure.as_str()), (Some(12.0), "io 12%"));
}

#[test]
fn in_a_limited_group_the_cpu_meter_shows_what_is_used_of_it() {
    let host = |n: u64, cpus| HostSample {
        cpu_total: Some(busy(n * SECOND / 4, n * SECOND * 3 / 4)),
        cpus: vec![(0, busy(n * SECOND / 2, n * SECOND / 2)), (1, busy(0, n * SECOND))],
        own_limits: crate::snapshot::OwnLimits { cpus: Some(cpus), cpu_used: Some((n * SECOND / 4, n * SECOND)), memory: None },
        ..HostSample::default()
    };
    let narrow = model(vec![host(1, 0.5), host(2, 0.5)]);
    assert_eq!(text("cpu", &narrow), "50% of the 0.5 CPUs that the control group may use; machine 25%");
    let wide = model(vec![host(1, 2.0), host(2, 2.0)]);
    assert!(text("cpu", &wide).starts_with("25%  user 25"), "it may use them all");
}
