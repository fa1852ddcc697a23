//! Figures of processes whose threads come and go, whose title changes, or whose main thread has ended: real programs, in both tiers,
//! against what the kernel says in the same moment.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use concmon::clock::process_cpu_ns;
use concmon::columns;
use concmon::derive::{Deriver, Model};
use concmon::export::{Line, Table, write_openmetrics};
use concmon::kernel::source::{Needs, Request, Source};
use concmon::kernel::{BpfSource, DetailReader, ProcSource, control};
use concmon::snapshot::{DetailContent, DetailPart, ProcKey, ProcessSample, Snapshot, State};

use crate::support::exclusive::alone;

const PATIENCE: Duration = Duration::from_secs(60);

/// The compiled `support/threads.c`.
static PROGRAM: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let dir = tempfile::tempdir().unwrap();
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/threads.c");
    let output = Command::new("cc").args(["-O1", "-pthread", source, "-o"]).arg(dir.path().join("threads")).output();
    let output = output.unwrap_or_else(|error| panic!("cc, which linking this test took too: {error}"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    dir
});

struct Program {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Program {
    fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(PROGRAM.path().join("threads"));
        let mut child = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, stdin, stdout }
    }

    fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    fn hear(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn tell(&mut self, line: &str) {
        writeln!(self.stdin, "{line}").unwrap();
        assert_eq!(self.hear(), line);
    }

    /// Numbers of a file of its.
    fn numbers(&self, leaf: &str) -> Vec<u64> {
        let text = std::fs::read_to_string(format!("/proc/{}/{leaf}", self.pid())).unwrap();
        let text = text.rsplit_once(')').map_or(&*text, |(_, rest)| rest);
        text.split_whitespace().map(|field| field.parse().unwrap_or(0)).collect()
    }

    /// CPU time of the whole process as the kernel gives it to every reader: fields 14 and 15 of `stat`.
    fn ticks_ns(&self) -> u64 {
        let fields = self.numbers("stat");
        (fields[11] + fields[12]) * tick_ns()
    }

    /// Until all its threads but ended ones sleep.
    fn settle(&self) {
        let asleep = || {
            std::fs::read_dir(format!("/proc/{}/task", self.pid())).unwrap().all(|task| {
                let stat = std::fs::read_to_string(task.unwrap().path().join("stat")).unwrap_or_default();
                stat.contains(") S ") || stat.contains(") Z ")
            })
        };
        wait_until("its threads sleep", asleep);
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn wait_until(what: &str, mut is: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is() {
        assert!(Instant::now() < deadline, "not within a minute: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn tick_ns() -> u64 {
    1_000_000_000 / rustix::param::clock_ticks_per_second()
}

/// Both tiers, as far as they work here.
fn tiers() -> Vec<(&'static str, Box<dyn Source>)> {
    let mut tiers: Vec<(&'static str, Box<dyn Source>)> = vec![("proc", Box::new(ProcSource::new("/proc").unwrap()))];
    match BpfSource::load() {
        Ok(bpf) => tiers.push(("bpf", Box::new(bpf))),
        Err(error) => loudly!("SKIPPED the BPF tier: {error}"),
    }
    tiers
}

fn find(snapshot: &Snapshot, pid: i32) -> ProcessSample {
    snapshot.processes.iter().find(|process| process.key.pid == pid).unwrap_or_else(|| panic!("{pid} is listed")).clone()
}

const COUNTED: Needs = Needs::SCHEDSTAT.union(Needs::SWITCHES).union(Needs::THREADS);

fn sample(source: &mut dyn Source, needs: Needs) -> Snapshot {
    source.sample(&Request::basic(needs)).unwrap()
}

fn of(model: &Model, pid: i32) -> (&ProcessSample, &concmon::derive::Rates) {
    let index = model.index_of(pid).unwrap();
    (&model.now.processes[index], &model.process_rates[index])
}

#[test]
fn threads_that_are_replaced_stay_in_the_rates_of_their_process() {
    let _alone = alone();
    for ms in ["20", "90", "300", "1000"] {
        check_churn(ms, COUNTED);
    }
    check_churn("20", Needs::SCHEDSTAT);
    check_churn("20", Needs::empty());
}

/// A sample, with the process's CPU time just before and just after it.
type Reading = (u64, Model, u64);

fn check_churn(ms: &str, needs: Needs) {
    let mut program = Program::start(&["churn", ms]);
    assert_eq!(program.hear(), "ready");
    wait_until("it has worked", || program.ticks_ns() > 200_000_000);
    let mut tiers: Vec<_> = tiers().into_iter().map(|(tier, source)| (tier, source, Deriver::new(0))).collect();
    let mut read = || -> Vec<(&str, Reading)> {
        let mut one = |(tier, source, deriver): &mut (&'static str, Box<dyn Source>, Deriver)| {
            let before = program.ticks_ns();
            let model = deriver.step(sample(&mut **source, needs));
            (*tier, (before, model, program.ticks_ns()))
        };
        tiers.iter_mut().map(&mut one).collect()
    };
    let first = read();
    let begun = program.ticks_ns();
    wait_until("it works", || program.ticks_ns() > begun + 700_000_000);
    for ((tier, first), (_, second)) in first.iter().zip(&read()) {
        check_rates(&format!("{tier}, threads of {ms} ms, {needs:?}"), program.pid(), first, second);
        let (_, rates) = of(&second.1, program.pid());
        let unknown = rates.wait_percent.is_none() && !rates.lost_waits;
        assert!(!unknown || needs.is_empty() && *tier == "proc", "{tier}, threads of {ms} ms: unknown for no reason");
    }
}

fn check_rates(what: &str, pid: i32, first: &Reading, second: &Reading) {
    let (process, rates) = of(&second.1, pid);
    let dt = second.1.dt_ns.unwrap() as f64;
    let cpu = f64::from(rates.cpu_percent.unwrap());
    // What ran while the sample was taken may be in it or not; `stat` cuts user and system time to ticks.
    let slack = 2.0 * tick_ns() as f64;
    let least = (second.0.saturating_sub(first.2) as f64 - slack) * 100.0 / dt - 5.0;
    let most = ((second.2 - first.0) as f64 + slack) * 100.0 / dt + 5.0;
    assert!(cpu >= least && cpu <= most, "{what}: {cpu} is not from {least} to {most}");
    // Main thread and listener sleep, the third runs or waits for a CPU. Between two threads there may be none of them.
    if let (Some(wait), Some(sleep), Some(3)) = (rates.wait_percent, rates.sleep_percent, process.nlwp) {
        let sum = (cpu + f64::from(wait)) / 3.0 + f64::from(sleep);
        assert!((95.0..105.0).contains(&sum), "{what}: {cpu} + {wait} of 3 and {sleep} are {sum}");
    }
}

#[test]
fn counters_never_fall_while_threads_come_and_go() {
    let _alone = alone();
    let columns: Vec<_> = columns::COLUMNS.iter().filter(|column| column.metric == columns::Metric::Counter).collect();
    let needs = columns::needs(columns.iter().copied());
    for ms in ["1", "20"] {
        for (tier, mut source) in tiers() {
            let mut program = Program::start(&["churn", ms]);
            assert_eq!(program.hear(), "ready");
            let mut before: Vec<(String, f64)> = Vec::new();
            for at in 0..30 {
                // From `/proc` each time as one who has never looked before, as `concmon ps` does.
                let mut fresh = ProcSource::new("/proc").unwrap();
                let source: &mut dyn Source = if tier == "proc" { &mut fresh } else { &mut *source };
                let model = Deriver::new(0).step(sample(source, needs));
                let line = Line::flat(columns::RowRef::Process(u32::try_from(model.index_of(program.pid()).unwrap()).unwrap()));
                let mut text = Vec::new();
                write_openmetrics(&mut text, &Table { model: &model, columns: &columns, lines: &[line] }).unwrap();
                let text = String::from_utf8(text).unwrap();
                let now: Vec<(String, f64)> = text
                    .lines()
                    .filter(|line| !line.starts_with('#'))
                    .map(|line| line.rsplit_once(' ').unwrap())
                    .map(|(name, value)| (name.to_owned(), value.parse().unwrap()))
                    .collect();
                assert!(now.len() >= 3, "{tier}: {text}");
                for (name, value) in &now {
                    let fell = before.iter().find(|(known, old)| known == name && old > value);
                    assert!(fell.is_none(), "{tier}, sample {at}: {name} fell from {fell:?} to {value}");
                }
                before = now;
                let ticks = program.ticks_ns();
                wait_until("it works", || program.ticks_ns() > ticks);
            }
        }
    }
}

#[test]
fn switches_and_faults_are_those_of_getrusage_or_unknown() {
    let _alone = alone();
    let mut program = Program::start(&["naps"]);
    let said: Vec<u64> = program.hear().split(' ').map(|number| number.parse().unwrap()).collect();
    program.settle();
    for (tier, mut source) in tiers() {
        let process = find(&sample(&mut *source, COUNTED), program.pid());
        // After it has said so it writes, and goes to sleep.
        let near = |value: Option<u64>, said: u64| value.is_some_and(|value| (said..=said + 30).contains(&value));
        assert!(near(process.minor_faults, said[2]), "{tier}: {:?} faults, getrusage {}", process.minor_faults, said[2]);
        let switches = (process.voluntary_switches, process.involuntary_switches);
        match tier {
            "bpf" => {
                assert!(near(switches.0, said[0]), "{switches:?}, getrusage {said:?}");
                assert!(near(switches.1, said[1]), "{switches:?}, getrusage {said:?}");
            }
            _ => assert_eq!(switches, (None, None), "/proc has dropped those of a thousand threads"),
        }
    }
}

/// Also at the first look at a process, most of whose CPU time is that of threads that have ended.
#[test]
fn cpu_time_of_threads_that_ended_before_the_first_look_is_exact() {
    let _alone = alone();
    let mut program = Program::start(&["naps"]);
    program.hear();
    program.settle();
    let exact_ns = process_cpu_ns(program.pid());
    for (tier, mut source) in tiers() {
        assert_eq!(find(&sample(&mut *source, COUNTED), program.pid()).cpu_ns(), exact_ns, "{tier}");
    }
}

#[test]
fn cpu_time_below_a_clock_tick_is_told() {
    let _alone = alone();
    let mut program = Program::start(&[]);
    assert_eq!(program.hear(), "ready");
    program.settle();
    for (tier, mut source) in tiers() {
        let run_ns = find(&sample(&mut *source, COUNTED), program.pid()).cpu_ns();
        assert_eq!(run_ns, Some(program.numbers("schedstat")[0]), "{tier}");
    }
}

fn title(source: &mut dyn Source, key: ProcKey, on_screen: bool, all: Needs) -> String {
    let visible: &[ProcKey] = if on_screen { &[key] } else { &[] };
    let snapshot = source.sample(&Request { visible, ..Request::basic(all) }).unwrap();
    let line = find(&snapshot, key.pid).identity.cmdline.clone().unwrap();
    String::from_utf8_lossy(&line).trim_end_matches('\0').to_owned()
}

#[test]
fn a_title_set_without_exec_is_on_screen_within_two_samples_and_in_a_filter_with_the_next() {
    let _alone = alone();
    let room = "a title has as much room as the arguments of the program had when it was started";
    for (tier, mut source) in tiers() {
        let mut programs = [Program::start(&[room]), Program::start(&[room])];
        for (round, program) in programs.iter_mut().enumerate() {
            assert_eq!(program.hear(), "ready");
            program.settle();
            let key = find(&sample(&mut *source, Needs::empty()), program.pid()).key;
            for turn in 0..8 {
                let (shown, sought) = (format!("svc: state {round}.{turn}"), format!("svc: sought {round}.{turn}"));
                program.tell(&shown);
                program.settle();
                // It sleeps from now on, and other samples are taken meanwhile, of which one may be its turn.
                for _ in 0..turn % 3 {
                    title(&mut *source, key, false, Needs::empty());
                }
                let seen = (0..2).any(|_| title(&mut *source, key, true, Needs::empty()) == shown);
                assert!(seen, "{tier}: {shown:?} is not on screen after two samples");
                program.tell(&sought);
                program.settle();
                let needs = concmon::query::Filter::parse("svc:").unwrap().columns();
                assert_eq!(title(&mut *source, key, false, columns::needs(needs)), sought, "{tier}: in the next sample");
            }
        }
    }
}

#[test]
fn a_process_whose_main_thread_has_ended_is_what_its_living_threads_are() {
    let _alone = alone();
    for (tier, mut source) in tiers() {
        let mut program = Program::start(&["headless"]);
        let (pid, file) = (program.pid(), PROGRAM.path().join("threads"));
        assert_eq!(program.hear(), "ready");
        program.tell("burn");
        wait_until("its main thread has ended", || {
            std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap().contains(") Z ")
        });
        program.settle();
        let key = find(&sample(&mut *source, Needs::empty()), pid).key;
        let needs =
            COUNTED | Needs::WAITS | Needs::FDS | Needs::SMAPS | Needs::STATUS | Needs::STATM | Needs::EXE | Needs::AFFINITY;
        let request = Request {
            visible: &[key],
            visible_needs: needs,
            budget: Duration::from_secs(10),
            ..Request::basic(Needs::THREADS | Needs::SCHEDSTAT)
        };
        let snapshot = source.sample(&request).unwrap();
        let process = find(&snapshot, pid);
        assert_eq!((process.leader.state, process.nlwp), (State::SLEEPING, Some(2)), "{tier}");
        assert_eq!(process.leader.comm.as_bytes(), b"threads", "{tier}");
        let resident = [process.rss_bytes, process.rss_anon_bytes, process.virt_bytes];
        assert!(resident.iter().all(|bytes| bytes.is_some_and(|bytes| bytes > 100 << 20)), "{tier}: {resident:?}");
        assert!(process.shared_bytes.is_some_and(|bytes| bytes > 0 && bytes < 100 << 20), "{tier}: {:?}", process.shared_bytes);
        assert!(process.identity.cmdline.as_deref().is_some_and(|line| line.ends_with(b"headless\0")), "{tier}");
        assert_eq!(process.identity.exe.as_deref(), Some(file.as_os_str().as_encoded_bytes()), "{tier}");
        let exact = process.exact.as_deref().unwrap();
        let open = std::fs::read_dir(format!("/proc/{}/fd", process.leader.tid)).unwrap().count();
        assert!(open >= 3 && exact.fds == u32::try_from(open).ok(), "{tier}: {:?} descriptors, {open}", exact.fds);
        assert!(exact.pss_bytes.is_some_and(|bytes| bytes > 100 << 20), "{tier}: {:?}", exact.pss_bytes);
        assert!(exact.cpus_allowed.is_some(), "{tier}");
        let wait = exact.wait_of(process.leader.tid).map(ToString::to_string).unwrap();
        assert!(wait.contains("pipe"), "{tier}: it waits for its standard input, and this says {wait:?}");
        assert!(process.cpu_ns().is_some_and(|ns| ns >= 50_000_000), "{tier}: {:?}", process.cpu_ns());
        check_detail(key, process.leader.tid);
        let terminate = control::Signal::from_number(libc::SIGTERM).unwrap();
        control::freeze(key).unwrap().signal(terminate).unwrap();
        let status = program.child.wait().unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(libc::SIGTERM), "{tier}");
    }
}

fn check_detail(key: ProcKey, living: i32) {
    let reader = DetailReader::open(Path::new("/proc")).unwrap();
    let content = |part| reader.read(key, part).unwrap().content.unwrap();
    let DetailContent::Files(files) = content(DetailPart::Files) else { panic!() };
    assert!(files.len() >= 3, "{files:?}");
    let DetailContent::Memory { sums, maps } = content(DetailPart::Memory { maps: true }) else { panic!() };
    assert!(sums.unwrap().iter().any(|(label, bytes)| **label == *b"Rss" && *bytes > 100 << 20));
    assert!(maps.unwrap().unwrap().len() > 5);
    let DetailContent::Lines(environment) = content(DetailPart::Environment) else { panic!() };
    assert!(environment.iter().any(|line| line.starts_with(b"PATH=")));
    let DetailContent::Threads(threads) = content(DetailPart::Threads) else { panic!() };
    let states: Vec<_> = threads.iter().map(|thread| (thread.tid, thread.state)).collect();
    assert_eq!(states, [(key.pid, State::ZOMBIE), (living, State::SLEEPING)]);
    assert!(threads[0].wait.is_none(), "no parent can reap it yet: {:?}", threads[0].wait);
}
