//! A run on a dask cluster that is there already: its scheduler and workers are started by the test, as the user of a cluster has done.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Instant;

use concmon::lab::catalog::{RunSpec, TaskKind, find};
use concmon::lab::launcher::LaunchError;
use concmon::lab::run::{Outcome, RunPhase};

use crate::support::lab::{PATIENCE, launcher, number, run_it, run_on, spec, text};
use crate::support::namespaces::{Namespaces, SCRIPT};
use crate::support::python::{assert_done, can_run, named};

const SYSTEM: &str = "python/dask-cluster";

/// A scheduler, and workers that believe they are on hosts of these names where this user may say so. The first host has concmon.
struct Cluster {
    processes: Vec<Child>,
    /// What the workers report, kept open for them.
    words: Vec<BufReader<ChildStderr>>,
    address: String,
    named: bool,
}

impl Cluster {
    fn start(python: &Path, dir: &Path, hosts: &[&str]) -> Self {
        let file = dir.join("scheduler.json");
        let python = python.to_str().unwrap();
        let start = |command: &mut Command, errors: Stdio| {
            command.current_dir(dir).stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors).spawn().unwrap()
        };
        let mut scheduler = Command::new(python);
        scheduler
            .args(["-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file"])
            .arg(&file);
        scheduler.args(["--no-dashboard", "--dashboard-address", "127.0.0.1:0"]);
        let processes = vec![start(&mut scheduler, Stdio::null())];
        let mut cluster = Self { processes, words: Vec::new(), address: String::new(), named: false };
        let until = Instant::now() + PATIENCE;
        // Nothing reports it but the file.
        while cluster.address.is_empty() {
            assert!(Instant::now() < until, "the scheduler did not start");
            std::thread::sleep(std::time::Duration::from_millis(20));
            let about =
                std::fs::read_to_string(&file).ok().and_then(|text| serde_json::from_str::<serde_json::Value>(&text).ok());
            cluster.address = about.and_then(|about| about["address"].as_str().map(str::to_owned)).unwrap_or_default();
        }
        cluster.named = Command::new("unshare").args(["--uts", "hostname", "box"]).output().is_ok_and(|o| o.status.success());
        let own = Path::new(env!("CARGO_BIN_EXE_concmon")).parent().unwrap();
        for (n, host) in hosts.iter().enumerate() {
            let worker = format!(
                "exec {python} -m distributed.cli.dask_worker {} --nthreads 1 --nworkers 2 --no-dashboard --local-directory {}",
                cluster.address,
                dir.display()
            );
            let mut command = if cluster.named { Command::new("unshare") } else { Command::new("sh") };
            if cluster.named {
                command.args(["--uts", "sh", "-c"]).arg(format!("hostname {host}; {worker}"));
            } else {
                command.arg("-c").arg(worker);
            }
            let with = if n == 0 { own } else { Path::new("/nowhere") };
            command.env("PATH", format!("{}:/usr/bin:/bin", with.display()));
            let mut worker = start(&mut command, Stdio::piped());
            cluster.words.extend(worker.stderr.take().map(BufReader::new));
            cluster.processes.push(worker);
        }
        for words in &mut cluster.words {
            let registered = words.lines().map_while(Result::ok).filter(|line| line.contains("Registered to:"));
            assert_eq!(registered.take(2).count(), 2, "both workers of a host found the scheduler");
        }
        cluster
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        end(&mut self.processes);
    }
}

/// Ends what a cluster consists of, the last first.
fn end(processes: &mut [Child]) {
    for process in processes.iter_mut().rev() {
        // Its nanny ends the workers when it is asked to end.
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(process.id().cast_signed()), nix::sys::signal::SIGTERM);
        let _ = process.wait();
    }
}

#[test]
fn a_cluster_of_the_users_does_the_tasks_and_reports_from_each_host() {
    if !can_run(SYSTEM) {
        return;
    }
    let launcher = launcher().with_pythons(named());
    let found = concmon::lab::python::interpreters(&named());
    let python = concmon::lab::python::choose(find(SYSTEM).unwrap(), None, &found).unwrap().path;
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(&python, dir.path(), &["boxa", "boxb"]);
    let on = RunSpec { python: Some(python), ..spec(SYSTEM, TaskKind::Factorial) }.on_cluster(&cluster.address);
    let kept = dir.path().join("recordings");
    let on = on.recording_hosts_to(kept.to_str().unwrap());
    let run = run_on(&launcher, &on);
    assert_done(&run);
    let expected = run_it(&RunSpec { tasks: run.spec.tasks, ..spec("native/sequential", TaskKind::Factorial) });
    assert_eq!(text(&run, "factorials"), text(&expected, "factorials"), "{:?}", run.values);
    assert_eq!(run.workers[0].spans.iter().filter(|s| s.end_ns.is_some()).count(), run.spec.tasks as usize);
    assert!(
        number(&run, "one_process_ns") > 0 && number(&run, "one_worker_ns") > number(&run, "one_process_ns"),
        "{:?}",
        run.values
    );
    assert!(text(&run, "all_workers_ns").contains("4 workers x 1 thread on"), "{:?}", run.values);
    if cluster.named {
        assert!(text(&run, "host_1_cpu_ns").starts_with("boxa: 2 workers x 1 thread"), "{:?}", run.values);
        assert!(text(&run, "host_2_cpu_ns").starts_with("boxb: 2 workers x 1 thread"), "{:?}", run.values);
        assert!(text(&run, "one_host_ns").contains("2 workers x 1 thread on one host"), "{:?}", run.values);
        assert!(text(&run, "host_2_recording_bytes").starts_with("boxb: no recording: `concmon stream` does not start there"));
        assert_recorded(&run, &kept.join("boxa.rec"));
        assert_eq!(std::fs::read_dir(&kept).unwrap().count(), 1);
    } else {
        loudly!("SKIPPED: hosts of two names need a user who may unshare");
    }
}

/// The recording of the first host is in this file, whole, and shows the workers.
fn assert_recorded(run: &concmon::lab::run::Run, file: &Path) {
    assert!(text(run, "host_1_recording_bytes").ends_with(file.to_str().unwrap()), "{:?}", run.values);
    let bytes = std::fs::metadata(file).unwrap();
    assert_eq!(bytes.len(), number(run, "host_1_recording_bytes"));
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&bytes.permissions()) & 0o777, 0o600);
    let shown = Command::new(env!("CARGO_BIN_EXE_concmon"))
        .args(["ps", "command~dask_worker", "--columns", "pid,command", "--replay"])
        .arg(file)
        .output()
        .unwrap();
    let (rows, said) = (String::from_utf8_lossy(&shown.stdout), String::from_utf8_lossy(&shown.stderr));
    assert!(shown.status.success() && rows.contains("distributed.cli.dask_worker"), "{rows} {said}");
}

#[test]
fn a_cluster_is_named_where_it_is_needed_and_nowhere_else() {
    let launcher = launcher();
    let refused = |spec: RunSpec| match launcher.launch(spec) {
        Err(LaunchError::BadOption(why)) => why,
        other => panic!("{other:?}"),
    };
    assert!(refused(find(SYSTEM).unwrap().defaults()).contains("use --cluster tcp://HOST:PORT"));
    let elsewhere = refused(spec("native/fork", TaskKind::None).on_cluster("tcp://127.0.0.1:1"));
    assert!(elsewhere.contains("works on this machine alone"), "{elsewhere}");
    assert!(refused(find(SYSTEM).unwrap().defaults().on_cluster("127.0.0.1")).contains("is no address"));
}

#[test]
fn a_scheduler_that_does_not_answer_fails_the_run_in_one_sentence() {
    if !can_run(SYSTEM) {
        return;
    }
    // A port that was free a moment ago.
    let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp://{}", held.local_addr().unwrap());
    drop(held);
    let run = run_on(&launcher().with_pythons(named()), &spec(SYSTEM, TaskKind::Factorial).on_cluster(&address));
    let RunPhase::Ended(Outcome::Failed(why)) = &run.phase else { panic!("{:?}", run.phase) };
    assert!(why.starts_with("no scheduler of dask answered at tcp://127.0.0.1:"), "{why}");
}

/// Three hosts in network namespaces of this machine, and what runs on them.
struct Hosts {
    namespaces: Namespaces,
    processes: Vec<Child>,
}

impl Hosts {
    fn up() -> Option<Self> {
        Some(Self { namespaces: Namespaces::up(["a", "b", "c"], None)?, processes: Vec::new() })
    }

    fn at(&self) -> &str {
        self.namespaces.directory()
    }

    /// Starts a command on one of them.
    fn start(&mut self, host: usize, tls: &[(String, String)], args: &[&str]) -> &mut Child {
        let mut command = Command::new(SCRIPT);
        command.args(["on", &self.namespaces.names[host]]).args(args).envs(tls.iter().cloned()).current_dir(self.at());
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        self.processes.push(child);
        self.processes.last_mut().unwrap()
    }

    /// A certificate that all of a cluster trust, and dask's own configuration of it; `None` without openssl.
    fn certificate(&self) -> Option<Vec<(String, String)>> {
        let (cert, key) = (format!("{}/cert.pem", self.at()), format!("{}/key.pem", self.at()));
        let made = Command::new("openssl")
            .args("req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=cluster".split(' '))
            .args(["-keyout", &key, "-out", &cert])
            .output();
        made.ok().filter(|made| made.status.success())?;
        let roles = ["SCHEDULER", "WORKER", "CLIENT"].into_iter();
        let each = roles.flat_map(|role| [(format!("{role}__CERT"), &cert), (format!("{role}__KEY"), &key)]);
        let all = each.chain([("CA_FILE".to_owned(), &cert)]);
        Some(all.map(|(name, file)| (format!("DASK_DISTRIBUTED__COMM__TLS__{name}"), file.clone())).collect())
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        end(&mut self.processes);
    }
}

/// Waits for a line that holds `text`, in what a process reports.
fn await_line(child: &mut Child, text: &str, times: usize) {
    let words = BufReader::new(child.stderr.take().unwrap());
    let mut lines = words.lines().map_while(Result::ok);
    let found = lines.by_ref().filter(|line| line.contains(text)).take(times).count();
    assert_eq!(found, times, "{text}");
    // What comes later is read too: a full pipe would stop the process.
    std::thread::spawn(move || lines.for_each(drop));
}

#[test]
fn one_machine_one_dask_and_a_cluster_of_three_hosts_are_compared() {
    if !can_run(SYSTEM) {
        return;
    }
    let Some(mut hosts) = Hosts::up() else { return };
    let found = concmon::lab::python::interpreters(&named());
    let python = concmon::lab::python::choose(find(SYSTEM).unwrap(), None, &found).unwrap().path;
    let python = python.to_str().unwrap();
    let tls = hosts.certificate();
    if tls.is_none() {
        loudly!("SKIPPED: the cluster's connections are not encrypted: there is no openssl here");
    }
    let (scheme, tls) = tls.map_or(("tcp", Vec::new()), |tls| ("tls", tls));
    let address = format!("{scheme}://10.77.0.1:8786");
    let scheduler = [python, "-m", "distributed.cli.dask_scheduler", "--host", &address, "--no-dashboard"];
    await_line(hosts.start(0, &tls, &[&scheduler[..], &["--dashboard-address", "127.0.0.1:0"]].concat()), "Scheduler at:", 1);
    for host in [1, 2] {
        let at = hosts.at().to_owned();
        let worker =
            [python, "-m", "distributed.cli.dask_worker", &address, "--nthreads", "1", "--nworkers", "2", "--no-dashboard"];
        await_line(hosts.start(host, &tls, &[&worker[..], &["--local-directory", &at]].concat()), "Registered to:", 2);
    }
    let compare = |task: &str, tasks: &str| {
        let mut command = Command::new(SCRIPT);
        command.args(["in", hosts.at(), env!("CARGO_BIN_EXE_concmon"), "lab", "compare"]).envs(tls.iter().cloned());
        command.args(["python/process-pool-executor", "python/dask-local", SYSTEM, "--cluster", &address, "--python", python]);
        let output =
            command.args(["--task", task, "--tasks", tasks, "--workers", "4", "--repeat", "3", "--json"]).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{errors}"));
        assert!(found["finding"].as_str().is_some_and(|words| !words.is_empty()), "{found:#}");
        let wall = |system: &str| {
            let row = found["rows"].as_array().unwrap().iter().find(|row| row["spec"]["system"] == system).unwrap();
            let figure = row["figures"].as_array().unwrap().iter().find(|figure| figure["measure"] == "wall_ns").unwrap();
            figure["spread"]["median"].as_f64().unwrap_or_else(|| panic!("{system}: {errors} {row:#}"))
        };
        [wall("python/process-pool-executor"), wall("python/dask-local"), wall(SYSTEM), wall("python/sequential")]
    };
    let [pool, local, cluster, _] = compare("factorial", "200");
    assert!(cluster > 2.0 * pool && local > 2.0 * pool, "tiny tasks cost what sending them costs: {pool} {local} {cluster}");
    let [pool, _, cluster, sequential] = compare("sleep:50", "40");
    assert!(pool < 0.75 * sequential && cluster < 0.75 * sequential, "four at a time: {pool} {cluster} {sequential}");
}
