//! Reads the value of each meter off a sample.

use super::{Bar, Part, Reading, Tint};
use crate::columns::in_bytes;
use crate::derive::{CpuShare, Flow, Model};
use crate::snapshot::{Pressure, State, TaskStates};

const FIRST: &str = "known after the second sample";

fn part(percent: f32, tint: Tint) -> Part {
    Part { share: percent / 100.0, tint }
}

/// A bar of one part.
fn single(percent: f32, tint: Tint, figure: String) -> Bar {
    Bar { parts: vec![part(percent, tint)], figure }
}

fn cpu_bar(share: &CpuShare) -> Bar {
    let parts = vec![
        part(share.nice, Tint::Cheap),
        part(share.user, Tint::Own),
        part(share.system + share.irq, Tint::Kernel),
        part(share.steal, Tint::Lost),
    ];
    Bar { parts, figure: format!("{:.0}%", share.busy()) }
}

pub(super) fn cpu(model: &Model) -> Reading {
    let Some(share) = &model.host.total else {
        return Reading::Unknown(match (&model.now.host.cpu_total, model.host.compared) {
            (None, _) => "/proc/stat cannot be read",
            (Some(_), false) => FIRST,
            (Some(_), true) => "the CPU times in /proc/stat stand still",
        });
    };
    // In a group with a limit, that is what is used up first.
    let limits = model.now.host.own_limits;
    let narrow = limits.cpus.filter(|cpus| *cpus < model.host.cpus.len() as f64);
    if let (Some(cpus), Some(percent)) = (narrow, model.host.of_limit) {
        let cpus = crate::columns::cpus(cpus);
        let text = format!("{percent:.0}% of the {cpus} CPUs that the control group may use; machine {:.0}%", share.busy());
        let bar = single(percent.min(100.0), Tint::Own, format!("{percent:.0}% of {cpus}"));
        return Reading::Known { bar, text, level: Some(percent) };
    }
    let text = format!(
        "{:.0}%  user {:.0} nice {:.0} kernel {:.0} irq {:.0} steal {:.0} iowait {:.0}",
        share.busy(),
        share.user,
        share.nice,
        share.system,
        share.irq,
        share.steal,
        share.iowait
    );
    Reading::Known { bar: cpu_bar(share), text, level: Some(share.busy()) }
}

pub(super) fn cpus(model: &Model) -> Reading {
    if model.host.cpus.is_empty() {
        return Reading::Unknown("/proc/stat lists no CPU");
    }
    let unknown = || Bar { parts: Vec::new(), figure: "-".into() };
    let one = |(id, share): &(u32, Option<CpuShare>)| {
        (id.to_string(), share.as_ref().map_or_else(unknown, cpu_bar), share.as_ref().map(CpuShare::busy))
    };
    Reading::Each(model.host.cpus.iter().map(one).collect())
}

pub(super) fn memory(model: &Model) -> Reading {
    let Some(m) = model.now.host.memory.filter(|m| m.total_bytes > 0) else {
        return Reading::Unknown("/proc/meminfo cannot be read");
    };
    // In a group with a limit, that is what is full first.
    if let Some((used, max)) = model.now.host.own_limits.memory.filter(|(_, max)| *max > 0 && *max < m.total_bytes) {
        let share = used as f32 / max as f32;
        let text = format!(
            "used {} of {} of the control group (memory.max); machine {}",
            in_bytes(used),
            in_bytes(max),
            in_bytes(m.total_bytes)
        );
        let bar = Bar { parts: vec![Part { share, tint: Tint::Own }], figure: format!("{}/{}", in_bytes(used), in_bytes(max)) };
        return Reading::Known { bar, text, level: Some(share * 100.0) };
    }
    let total = m.total_bytes as f32;
    let Some(available) = m.available() else { return Reading::Unknown("/proc/meminfo does not say what is free") };
    let used = m.total_bytes.saturating_sub(available);
    let cache = m.cached_bytes.unwrap_or(0).saturating_add(m.buffers_bytes.unwrap_or(0)).min(available);
    let parts = vec![
        Part { share: used as f32 / total, tint: Tint::Own },
        Part { share: cache as f32 / total * 0.999, tint: Tint::Cheap },
    ];
    let told = |bytes: Option<u64>| bytes.map_or_else(|| "?".to_owned(), in_bytes);
    let text = format!(
        "used {} of {}  cache {} buffers {} shared {} available {}",
        in_bytes(used),
        in_bytes(m.total_bytes),
        told(m.cached_bytes),
        told(m.buffers_bytes),
        told(m.shmem_bytes),
        in_bytes(available)
    );
    let figure = format!("{}/{}", in_bytes(used), in_bytes(m.total_bytes));
    Reading::Known { bar: Bar { parts, figure }, text, level: Some(used as f32 / total * 100.0) }
}

pub(super) fn swap(model: &Model) -> Reading {
    let Some(m) = model.now.host.memory else { return Reading::Unknown("/proc/meminfo cannot be read") };
    let Some(total) = m.swap_total_bytes else { return Reading::Unknown("/proc/meminfo does not say how much there is") };
    if total == 0 {
        return Reading::Unknown("none on this machine");
    }
    let Some(free) = m.swap_free_bytes else { return Reading::Unknown("/proc/meminfo does not say how much is free") };
    let used = total.saturating_sub(free);
    let percent = used as f32 / total as f32 * 100.0;
    let figure = format!("{}/{}", in_bytes(used), in_bytes(total));
    let text = format!("used {} of {}", in_bytes(used), in_bytes(total));
    Reading::Known { bar: single(percent, Tint::Kernel, figure), text, level: Some(percent) }
}

pub(super) fn load(model: &Model) -> Reading {
    let Some([one, five, fifteen]) = model.now.host.load else { return Reading::Unknown("/proc/loadavg cannot be read") };
    let cpus = model.host.cpus.len().max(1) as f32;
    let figure = format!("{one:.2}");
    let bar = single((one / cpus * 100.0).min(100.0), if one > cpus { Tint::Lost } else { Tint::Own }, figure);
    let plural = if cpus > 1.0 { "s" } else { "" };
    Reading::Known { bar, text: format!("{one:.2} {five:.2} {fifteen:.2}  on {cpus:.0} CPU{plural}"), level: Some(one) }
}

pub(super) fn tasks(model: &Model) -> Reading {
    let counts = &model.counts;
    let tasks = counts.tasks.map_or_else(|| "?".to_owned(), |t| t.to_string());
    let words = |states: &TaskStates, but: Option<State>| {
        let some = State::ALL.iter().zip(states).filter(|(state, n)| **n > 0 && Some(**state) != but);
        some.map(|(state, n)| format!("{}{n}", state.letter())).collect::<Vec<_>>().join(" ")
    };
    let kernel = counts.kernel_threads;
    let states = match (&counts.by_state, model.now.host.running) {
        // The states of all tasks: the number before them is their sum.
        (Some(states), _) => {
            let sum: u64 = states.iter().sum();
            let text = format!("{sum}: {}  {} procs, {kernel} kernel", words(states, None), counts.processes);
            return Reading::Known { bar: Bar::default(), text, level: counts.tasks.map(|t| t as f32) };
        }
        // The number of running tasks is known anyway.
        (None, Some(running)) => format!("R{running}, leaders {}", words(&counts.leaders_by_state, Some(State::RUNNING))),
        (None, None) => format!("leaders {}", words(&counts.leaders_by_state, None)),
    };
    let text = format!("{tasks} in {} procs  {states}", counts.processes);
    Reading::Known { bar: Bar::default(), text, level: counts.tasks.map(|t| t as f32) }
}

pub(super) fn pressure(model: &Model) -> Reading {
    let p = &model.now.host.pressure;
    let kinds = [("cpu", p.cpu), ("io", p.io), ("mem", p.memory)];
    let known: Vec<(&str, Pressure)> = kinds.into_iter().filter_map(|(name, p)| Some((name, p?))).collect();
    let worst = known.iter().max_by(|a, b| a.1.some_avg10.total_cmp(&b.1.some_avg10));
    let Some((name, worst)) = worst else { return Reading::Unknown("not provided by this kernel (CONFIG_PSI)") };
    let words: Vec<String> = known.iter().map(|(name, p)| format!("{name} {:.0}%", p.some_avg10)).collect();
    let bar = single(worst.some_avg10, Tint::Lost, format!("{name} {:.0}%", worst.some_avg10));
    Reading::Known { bar, text: words.join("  "), level: Some(worst.some_avg10) }
}

fn rates(flow: &Flow, names: (&str, &str)) -> String {
    format!("{} {}/s  {} {}/s", names.0, in_bytes(flow.in_bytes_per_s as u64), names.1, in_bytes(flow.out_bytes_per_s as u64))
}

pub(super) fn disks(model: &Model) -> Reading {
    match (&model.now.host.disks, &model.host.disks) {
        (Some(disks), _) if disks.is_empty() => Reading::Unknown("none on this machine"),
        (_, Some(flow)) => {
            let busy = flow.busy_percent.unwrap_or(0.0);
            let most = flow.most.as_deref().unwrap_or("");
            let text = format!("{}  {most} {busy:.0}% busy", rates(flow, ("read", "write")));
            let level = (flow.in_bytes_per_s + flow.out_bytes_per_s) as f32;
            Reading::Known { bar: single(busy, Tint::Kernel, format!("{most} {busy:.0}%")), text, level: Some(level) }
        }
        (Some(_), None) => Reading::Unknown(FIRST),
        (None, None) => Reading::Unknown("/proc/diskstats cannot be read"),
    }
}

/// Where bytes per second are between 1 kB/s (0) and 10 GB/s (1), each factor of ten as wide as the next: the capacity of a network is
/// unknown, so a bar has no other end.
fn decades(bytes_per_s: f64) -> f32 {
    ((bytes_per_s.max(1e3) / 1e3).log10() / 7.0).clamp(0.0, 1.0) as f32
}

pub(super) fn network(model: &Model) -> Reading {
    match (&model.now.host.networks, &model.host.networks) {
        (Some(networks), _) if networks.is_empty() => Reading::Unknown("no interface except loopback"),
        (_, Some(flow)) => {
            let text = format!("{}  {}", rates(flow, ("in", "out")), flow.most.as_deref().unwrap_or(""));
            let sum = flow.in_bytes_per_s + flow.out_bytes_per_s;
            let bar = single(decades(sum) * 100.0, Tint::Own, format!("{}/s", in_bytes(sum as u64)));
            Reading::Known { bar, text, level: Some(sum as f32) }
        }
        (Some(_), None) => Reading::Unknown(FIRST),
        (None, None) => Reading::Unknown("/proc/net/dev cannot be read"),
    }
}

pub(super) fn temperature(model: &Model) -> Reading {
    let Some(all) = &model.now.host.temperatures else { return Reading::Unknown(FIRST) };
    let Some(hottest) = all.iter().max_by(|a, b| a.celsius.total_cmp(&b.celsius)) else {
        return Reading::Unknown("no sensors on this machine");
    };
    let tint = if hottest.celsius >= 80.0 { Tint::Lost } else { Tint::Own };
    let figure = format!("{:.0} C", hottest.celsius);
    let text = format!("{:.0} C {}, hottest of {}", hottest.celsius, hottest.label, all.len());
    Reading::Known { bar: single(hottest.celsius.clamp(0.0, 100.0), tint, figure), text, level: Some(hottest.celsius) }
}
