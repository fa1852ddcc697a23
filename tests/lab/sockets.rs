//! Sockets and shells of lab runs: servers listen on loopback only, at a port that the kernel chooses, Unix sockets are in concmon's own
//! directories, no shell runs, and all of it ends with the run.

use std::collections::HashSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use concmon::lab::catalog::{RunSpec, TaskKind, find};
use concmon::lab::run::Run;

use crate::support::lab::{await_end, await_run, launcher, spec};
use crate::support::python as common;

/// The process and all below it.
fn family(root: i32) -> Vec<i32> {
    let (mut all, mut at) = (vec![root], 0);
    while let Some(pid) = all.get(at).copied() {
        at += 1;
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        let children = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
        all.extend(children.flat_map(|text| text.split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<i32>>()));
    }
    all
}

/// Inodes of the sockets that they have open.
fn sockets(family: &[i32]) -> HashSet<u64> {
    let links = family.iter().flat_map(|pid| std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten());
    let inode =
        |link: std::path::PathBuf| -> Option<u64> { link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok() };
    links.filter_map(|link| std::fs::read_link(link.path()).ok().and_then(inode)).collect()
}

/// Local addresses, as hexadecimal and with the port, of these sockets that listen (or, for UDP, are bound), from a table of
/// proc_net(5).
fn listening(table: &str, state: &str, among: &HashSet<u64>) -> Vec<(String, u16)> {
    let text = std::fs::read_to_string(format!("/proc/net/{table}")).unwrap_or_default();
    let local = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (address, port) = fields.get(1)?.split_once(':')?;
        let listens = *fields.get(3)? == state && among.contains(&fields.get(9)?.parse().ok()?);
        listens.then(|| (address.to_owned(), u16::from_str_radix(port, 16).unwrap()))
    };
    text.lines().skip(1).filter_map(local).collect()
}

/// Paths of these Unix sockets that have one in the file system.
fn unix_paths(among: &HashSet<u64>) -> Vec<String> {
    let text = std::fs::read_to_string("/proc/net/unix").unwrap();
    let path = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let path = (*fields.get(7)?).to_owned();
        among.contains(&fields.get(6)?.parse().ok()?).then_some(path)
    };
    text.lines().skip(1).filter_map(path).filter(|path| path.starts_with('/')).collect()
}

/// Whether some directory above it admits only its owner.
fn is_private(path: &str) -> bool {
    Path::new(path).ancestors().skip(1).any(|dir| std::fs::metadata(dir).is_ok_and(|m| m.mode() & 0o077 == 0))
}

fn assert_no_shell(family: &[i32], system: &str) {
    for pid in family {
        let Ok(program) = std::fs::read_link(format!("/proc/{pid}/exe")) else { continue };
        let name = program.file_name().unwrap().to_str().unwrap().to_owned();
        assert!(!["sh", "bash", "dash", "busybox"].contains(&name.as_str()), "{system}: {pid} is {name}");
    }
}

/// How many servers were seen.
fn look(system: &str, run: &Run) -> usize {
    let family = family(run.root_pid.unwrap());
    let sockets = sockets(&family);
    assert_no_shell(&family, system);
    let servers = listening("tcp", "0A", &sockets);
    for (address, port) in &servers {
        assert_eq!(address, "0100007F", "{system} listens on 127.0.0.1 only: port {port}");
        assert!(*port >= 1024, "{system}: the kernel chose port {port}");
    }
    for (table, state) in [("tcp6", "0A"), ("udp", "07"), ("udp6", "07")] {
        assert_eq!(listening(table, state, &sockets), [], "{system}: {table}");
    }
    for path in unix_paths(&sockets) {
        assert!(is_private(&path), "{system}: others may reach {path}");
    }
    servers.len()
}

#[test]
fn runs_listen_on_the_loopback_only_and_in_private_directories() {
    let http = |system: &str| RunSpec { task: TaskKind::Http, ..spec(system, TaskKind::Http) };
    let mut specs = vec![http("native/event-loop"), http("native/fork"), find("native/process-pool").unwrap().defaults()];
    if !common::no_python() {
        let systems = ["python/asyncio", "python/aiohttp", "python/process-forkserver", "python/process-spawn", "python/thread"];
        for system in systems.into_iter().filter(|system| common::available(system)) {
            let has_http = find(system).unwrap().tasks.contains(&TaskKind::Http);
            specs.push(if has_http { http(system) } else { find(system).unwrap().defaults() });
        }
    }
    let launcher = launcher();
    for spec in specs {
        let (system, serves) = (spec.system.clone(), spec.task == TaskKind::Http);
        let id = launcher.launch(RunSpec { hold_ms: 60_000, timeout_ms: 90_000, ..spec }).unwrap();
        // In a pause every process is there and nothing changes.
        let run = await_run(&launcher, id, "a pause to look at it", |run| run.pauses().next().is_some() || run.ended());
        assert!(!run.ended(), "{system}: {:?}\n{}", run.phase, run.output);
        let servers = look(&system, &run);
        assert!(servers > 0 || !serves, "{system}: no server was seen");
        let all = sockets(&family(run.root_pid.unwrap()));
        launcher.stop(id);
        await_end(&launcher, id);
        assert_eq!(listening("tcp", "0A", &all), [], "{system}: its server ended with it");
        assert_eq!(unix_paths(&all), [] as [String; 0], "{system}: its sockets ended with it");
    }
}
