//! The source in restricted environments: without privileges, in a PID namespace, with few descriptors. Each test runs this binary again in
//! that environment, and skips loudly where it cannot be created.
use std::process::Command;
use std::time::{Duration, Instant};

use concmon::kernel::events::EventStream;
use concmon::kernel::source::{Needs, Request, Source};
use concmon::kernel::{AutoSource, BpfSource, SourceChoice};
use concmon::snapshot::{EventTier, Snapshot, Tier};

use crate::support::exclusive::full_name;

const INSIDE: &str = "CONCMON_TEST_INSIDE";

/// Runs `body` in this test binary, executed again behind `wrapper` (a command that runs a command). `false` if that is impossible here.
fn inside(test: &str, wrapper: &[&str], body: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        body();
        println!("inside: done");
        return;
    }
    let me = std::env::current_exe().expect("own path");
    let mut words = wrapper.iter();
    let mut command = Command::new(words.next().expect("a wrapper"));
    let output =
        command.args(words).arg(me).args(["--exact", &full_name(module_path!(), test), "--nocapture"]).env(INSIDE, "1").output();
    match output {
        Ok(output) => {
            let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            let impossible = ["Operation not permitted", "setgroups failed", "setresuid failed", "Permission denied"];
            if !text.contains("running 1 test") && impossible.iter().any(|why| text.contains(why)) {
                loudly!("SKIPPED: {wrapper:?} is not possible here: {}", text.trim());
                return;
            }
            assert!(output.status.success() && text.contains("inside: done"), "{text}");
        }
        Err(error) => loudly!("SKIPPED: {} does not start: {error}", wrapper[0]),
    }
}

/// Sweeps until `done` holds of a snapshot; fails after ten seconds with the last report.
fn sweep_until(source: &mut AutoSource, done: impl Fn(&Snapshot) -> bool) -> Snapshot {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let snapshot = source.sample(&Request::basic(Needs::empty())).expect("a sample");
        if done(&snapshot) {
            return snapshot;
        }
        assert!(Instant::now() < deadline, "it did not come to that: {:?}", snapshot.report);
        std::thread::yield_now();
    }
}

fn me(snapshot: &Snapshot) -> bool {
    snapshot.processes.iter().any(|process| u32::try_from(process.key.pid) == Ok(std::process::id()))
}

#[test]
fn the_first_sweep_is_proc_and_the_better_tier_takes_over_without_losing_anyone() {
    if let Err(error) = BpfSource::load() {
        loudly!("SKIPPED: {error}");
        return;
    }
    let mut source = AutoSource::new("/proc", SourceChoice::Auto).expect("/proc");
    let first = source.sample(&Request::basic(Needs::empty())).expect("a sample");
    assert_eq!(first.report.tier, Tier::Proc, "nothing is waited for");
    assert!(first.report.why.contains("being loaded"), "{}", first.report.why);
    let swapped = sweep_until(&mut source, |snapshot| snapshot.report.tier == Tier::Bpf);
    // A process that was there before and is there after must be in between, with the same key and the same shared identity.
    let mut proc = AutoSource::new("/proc", SourceChoice::Proc).expect("/proc");
    let after = proc.sample(&Request::basic(Needs::empty())).expect("a sample");
    for process in &first.processes {
        if after.processes.iter().any(|later| later.key == process.key) {
            let found = swapped
                .processes
                .iter()
                .find(|other| other.key == process.key)
                .unwrap_or_else(|| panic!("{:?} is missing", process.key));
            assert_eq!(found.identity.cmdline.is_some(), process.identity.cmdline.is_some(), "{:?}", process.key);
        }
    }
}

#[test]
fn an_explicit_choice_is_kept_and_said() {
    let mut source = AutoSource::new("/proc", SourceChoice::Proc).expect("/proc");
    let snapshot = sweep_until(&mut source, |snapshot| snapshot.report.events != EventTier::Polling(String::new()));
    assert_eq!((snapshot.report.tier, snapshot.report.why.as_str()), (Tier::Proc, "chosen with --source proc"));
}

#[test]
fn nobody_gets_proc_and_the_command_that_enables_more() {
    let test = "nobody_gets_proc_and_the_command_that_enables_more";
    inside(test, &["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"], || {
        let mut source = AutoSource::new("/proc", SourceChoice::Auto).expect("/proc");
        let snapshot = sweep_until(&mut source, |snapshot| snapshot.report.better.is_some());
        assert_eq!(snapshot.report.tier, Tier::Proc);
        assert!(snapshot.report.why.contains("CAP_BPF"), "{}", snapshot.report.why);
        assert!(snapshot.report.better.is_some_and(|command| command.contains("setcap cap_bpf,cap_perfmon+ep")));
        assert!(
            snapshot.processes.len() > 1 && snapshot.processes.iter().any(|process| process.key.pid == 1),
            "others are seen too"
        );
        let error = AutoSource::new("/proc", SourceChoice::Bpf).expect_err("it was asked for and does not work");
        assert!(error.to_string().contains("CAP_BPF"), "{error}");
    });
}

#[test]
fn in_a_pid_namespace_nothing_of_the_outside_is_shown() {
    let test = "in_a_pid_namespace_nothing_of_the_outside_is_shown";
    inside(test, &["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"], || {
        let mut source = AutoSource::new("/proc", SourceChoice::Auto).expect("/proc");
        let snapshot = sweep_until(&mut source, |snapshot| !snapshot.report.why.contains("being loaded"));
        assert_eq!(snapshot.report.tier, Tier::Proc);
        assert!(me(&snapshot) && snapshot.processes.len() <= 3, "{}", snapshot.processes.len());
        assert!(snapshot.report.why.contains("namespace") || snapshot.report.why.contains("CAP_BPF"), "{}", snapshot.report.why);
        let polling =
            |snapshot: &Snapshot| matches!(&snapshot.report.events, EventTier::Polling(why) if why.contains("not answer"));
        sweep_until(&mut source, polling);
        assert!(
            EventStream::connect().is_err_and(|why| why.contains("not answer")),
            "a silent connector is not waited for without end"
        );
    });
}

/// With hidepid=2 only one's own processes are to be seen: a short table, not an error and not invented rows.
#[test]
fn with_hidepid_ones_own_processes_are_shown() {
    let test = "with_hidepid_ones_own_processes_are_shown";
    let hide = "mount -t proc -o hidepid=2 proc /proc && setpriv --reuid=65534 --regid=65534 --clear-groups \"$@\"; exit $?";
    inside(test, &["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", hide, "sh"], || {
        assert!(std::fs::metadata("/proc/1").is_err(), "process 1 is another user's and hidden");
        let mut source = AutoSource::new("/proc", SourceChoice::Auto).expect("/proc");
        let snapshot = source.sample(&Request::basic(Needs::empty())).expect("a sample");
        assert!(me(&snapshot), "one sees oneself");
        assert!(snapshot.processes.iter().all(|process| process.identity.uid == Some(65534)));
    });
}

#[test]
fn sixty_four_descriptors_are_enough() {
    inside("sixty_four_descriptors_are_enough", &["prlimit", "--nofile=64:64"], || {
        assert_eq!(concmon::kernel::raise_descriptor_limit(), 64);
        let mut source = AutoSource::new("/proc", SourceChoice::Proc).expect("/proc");
        for _ in 0..3 {
            let snapshot = source.sample(&Request::basic(Needs::THREADS | Needs::SCHEDSTAT)).expect("a sample");
            assert!(me(&snapshot) && snapshot.processes.iter().any(|process| process.key.pid == 1));
            assert!(snapshot.report.why.contains("limit of open descriptors"), "{}", snapshot.report.why);
            let open = std::fs::read_dir("/proc/self/fd").expect("fds").count();
            assert!(open < 60, "{open} descriptors are open");
        }
    });
}
