//! `concmon ps --format openmetrics --out FILE`: totals of real processes, as Prometheus's textfile collector reads them.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

const PATIENCE: Duration = Duration::from_secs(60);

/// Killed with all that it has started.
struct Killed(Child);

fn started(command: &mut Command) -> std::io::Result<Killed> {
    command.process_group(0).stdin(Stdio::null()).spawn().map(Killed)
}

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = killpg(Pid::from_raw(i32::try_from(self.0.id()).unwrap_or(i32::MAX)), Signal::SIGKILL);
        let _ = self.0.wait();
    }
}

/// A shell under a name of its own, so that its series are its own.
fn program(dir: &Path, name: &str, script: &str) -> Killed {
    let path = dir.join(name);
    std::fs::copy("/bin/sh", &path).unwrap();
    started(Command::new(path).args(["-c", script])).unwrap()
}

fn exporter(file: &Path, filter: &str, more: &[&str]) -> Killed {
    let mut command = Command::new(env!("CARGO_BIN_EXE_concmon"));
    command.args(["ps", filter, "--format", "openmetrics", "--out"]).arg(file).args(more);
    started(&mut command).unwrap()
}

fn value(text: &str, series: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

/// The file once it meets `wanted`. Every text that is read of it is whole.
fn await_file(file: &Path, what: &str, wanted: impl Fn(&str) -> bool) -> String {
    let begun = Instant::now();
    let mut last = String::new();
    loop {
        if let Ok(text) = std::fs::read_to_string(file) {
            assert!(text.ends_with("# EOF\n"), "a file is replaced as a whole: {text}");
            if wanted(&text) {
                return text;
            }
            last = text;
        }
        assert!(begun.elapsed() < PATIENCE, "waited in vain for {what}: {last}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Two programs that each hold a file lock and wait for that of the other; `None`, said loudly, without flock(1).
fn crosswise(dir: &Path) -> Option<[Killed; 2]> {
    let held = |own: &str, other: &str| {
        let [own, other] = [own, other].map(|name| dir.join(name).display().to_string());
        let wait = format!("touch {own}.held; while [ $(ls {}/*.held | wc -l) -lt 2 ]; do sleep 0.05; done", dir.display());
        started(Command::new("flock").args([&own, "sh", "-c", &format!("{wait}; exec flock {other} true")]))
    };
    let (Ok(a), Ok(b)) = (held("a", "b"), held("b", "a")) else {
        loudly!("SKIPPED: there is no flock(1) (util-linux)");
        return None;
    };
    Some([a, b])
}

fn checked_by_promtool(text: &str) {
    let child = Command::new("promtool").args(["check", "metrics"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let Ok(mut child) = child else { return loudly!("SKIPPED: promtool is not installed (Debian: prometheus)") };
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    // It reads the text format from before OpenMetrics, where the help of a counter has the name of its samples.
    let wrong: Vec<&str> = said.lines().filter(|line| !line.ends_with("no help text")).collect();
    assert!(wrong.is_empty() && !said.contains("error"), "{said}");
}

#[test]
fn counters_keep_what_an_ended_program_used() {
    let dir = tempfile::tempdir().unwrap();
    let file: PathBuf = dir.path().join("concmon.prom");
    let busy = program(dir.path(), "busy-metric", "while :; do :; done");
    let mut idle = program(dir.path(), "idle-metric", "sleep 600; true");
    idle.0.kill().unwrap();
    let mut concmon = exporter(&file, "comm~metric", &["--every", "1s"]);
    let cpu = "concmon_program_cpu_seconds_total{program=\"busy-metric\"}";
    let text = await_file(&file, "CPU time of the busy program", |text| value(text, cpu).is_some_and(|s| s > 0.2));
    assert_eq!(value(&text, "concmon_program_threads{program=\"busy-metric\"}"), Some(1.0), "{text}");
    assert!(value(&text, "concmon_program_rss_bytes{program=\"busy-metric\"}").is_some_and(|bytes| bytes > 50_000.0), "{text}");
    assert!(value(&text, "concmon_program_wait_seconds_total{program=\"busy-metric\"}").is_some(), "{text}");
    // Ended, and not waited for.
    let zombie = "concmon_program_processes{program=\"idle-metric\",state=\"zombie\"}";
    assert_eq!(value(&text, zombie), Some(1.0), "{text}");
    assert!(text.contains("concmon_user_cpu_seconds_total{user=\"") && text.contains("concmon_findings{finding=\"lock_cycle\""));
    assert!(!text.contains("scope=\"process\""), "nothing per process unless asked: {text}");
    checked_by_promtool(&text);
    drop(busy);
    let gone = |text: &str| value(text, "concmon_program_threads{program=\"busy-metric\"}").is_none();
    let after = await_file(&file, "the end of the busy program", gone);
    assert!(value(&after, cpu) >= value(&text, cpu), "it never falls: {after}");
    kill(Pid::from_raw(i32::try_from(concmon.0.id()).unwrap()), Signal::SIGTERM).unwrap();
    assert!(concmon.0.wait().unwrap().success(), "SIGTERM ends it as asked");
}

#[test]
fn a_finding_is_counted_and_per_process_series_come_when_asked() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("concmon.prom");
    let Some(_locks) = crosswise(dir.path()) else { return };
    let cycle = "concmon_findings{finding=\"file_lock_cycle\",level=\"warning\"}";
    let begun = Instant::now();
    loop {
        let mut once = exporter(&file, "comm=flock", &["--per", "process"]);
        assert!(once.0.wait().unwrap().success());
        let text = std::fs::read_to_string(&file).unwrap();
        if value(&text, cycle).is_some_and(|n| n >= 1.0) {
            assert!(value(&text, "concmon_program_findings{program=\"flock\",finding=\"file_lock_cycle\"}").is_some(), "{text}");
            assert!(text.contains("scope=\"process\"") && text.matches("# EOF").count() == 1, "{text}");
            return checked_by_promtool(&text);
        }
        assert!(begun.elapsed() < PATIENCE, "the cycle is found: {text}");
    }
}

/// What Prometheus responds to a GET; `None` while it does not listen.
fn get(port: u16, path: &str) -> Option<serde_json::Value> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n").ok()?;
    let mut response = String::new();
    stream.read_to_string(&mut response).ok()?;
    serde_json::from_str(response.split_once("\r\n\r\n")?.1).ok()
}

/// What an expression yields: so many series.
fn query(port: u16, expression: &str) -> Option<usize> {
    let escaped: String = expression.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let found = get(port, &format!("/api/v1/query?query={escaped}"))?;
    assert_eq!(found["status"], "success", "{expression}: {found:#}");
    found["data"]["result"].as_array().map(Vec::len)
}

fn await_some<T>(what: &str, look: impl Fn() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn a_real_prometheus_scrapes_the_file_draws_the_dashboard_and_alerts() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (scraped, asked) = (free(), free());
    std::fs::create_dir(at("text")).unwrap();
    // A minute is long for a test.
    let rules = include_str!("../../assets/prometheus/concmon.rules.yml").replace("for: 1m", "for: 2s");
    std::fs::write(at("rules.yml"), rules).unwrap();
    let config = format!(
        "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\nrule_files: [{}]\nscrape_configs:\n  \
         - {{ job_name: node, static_configs: [{{ targets: ['127.0.0.1:{scraped}'] }}] }}\n",
        at("rules.yml")
    );
    std::fs::write(at("prometheus.yml"), config).unwrap();
    let mut node = Command::new("prometheus-node-exporter");
    node.args(["--collector.disable-defaults", "--collector.textfile", "--log.level=error"]);
    node.args([format!("--collector.textfile.directory={}", at("text")), format!("--web.listen-address=127.0.0.1:{scraped}")]);
    let mut prometheus = Command::new("prometheus");
    prometheus.args([format!("--config.file={}", at("prometheus.yml")), format!("--storage.tsdb.path={}", at("data"))]);
    prometheus.args([&format!("--web.listen-address=127.0.0.1:{asked}"), "--log.level=error"]);
    let (Ok(_node), Ok(_prometheus)) = (started(&mut node), started(&mut prometheus)) else {
        return loudly!("SKIPPED: prometheus or prometheus-node-exporter is not installed (Debian's packages)");
    };
    let Some(_locks) = crosswise(dir.path()) else { return };
    let _busy = program(dir.path(), "busy-flock", "while :; do :; done");
    let _concmon = exporter(&dir.path().join("text/concmon.prom"), "comm~flock", &["--every", "1s"]);
    let fires = |alert: &serde_json::Value| {
        alert["state"] == "firing"
            && alert["labels"]["alertname"] == "ConcmonFinding"
            && alert["labels"]["finding"] == "file_lock_cycle"
    };
    await_some("the alert of two crossed file locks", || {
        get(asked, "/api/v1/alerts")?["data"]["alerts"].as_array()?.iter().any(fires).then_some(())
    });
    let dashboard: serde_json::Value = serde_json::from_str(include_str!("../../assets/prometheus/dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let expressions = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten().map(|target| &target["expr"]);
    let expressions: Vec<&str> = expressions.map(|expr| expr.as_str().unwrap()).collect();
    assert!(expressions.len() >= 9, "{expressions:?}");
    for expression in expressions {
        let expression = expression.replace("$__rate_interval", "30s").replace("$instance", ".*");
        await_some(&expression, || query(asked, &expression).filter(|series| *series > 0));
    }
}

#[test]
fn bad_usage_is_one_sentence() {
    for (args, says) in [
        (&["--out", "x.prom"][..], "--format openmetrics"),
        (&["--every", "15s"], "--out"),
        (&["--format", "openmetrics", "--out", "x.prom", "--every", "1d"], "15s or 1m"),
        (&["--format", "openmetrics", "--out", "/nonexist/x.prom"], "there is no directory /nonexist"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_concmon")).arg("ps").args(args).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && said.contains(says), "{args:?}: {said}");
    }
}

#[test]
fn the_rules_and_the_dashboard_ask_for_series_that_there_are() {
    let rules = include_str!("../../assets/prometheus/concmon.rules.yml");
    let dashboard = include_str!("../../assets/prometheus/dashboard.json");
    serde_json::from_str::<serde_json::Value>(dashboard).unwrap();
    let docs = include_str!("../../docs/prometheus.md");
    for text in [rules, dashboard] {
        let names = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| word.starts_with("concmon_"));
        for name in names {
            // The page shows the families of programs.
            let shown = name.replace("_group_", "_program_").replace("_user_", "_program_");
            assert!(docs.contains(&format!("`{shown}")), "{name} is no series that docs/prometheus.md lists");
        }
    }
    match Command::new("promtool").args(["check", "rules", "assets/prometheus/concmon.rules.yml"]).output() {
        Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr)),
        Err(_) => loudly!("SKIPPED: promtool is not installed (Debian: prometheus)"),
    }
}
