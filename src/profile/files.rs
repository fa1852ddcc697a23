//! A profile in the formats of other programs: folded stacks, speedscope (https://www.speedscope.app/file-format-schema.json), JSON.

use serde_json::{Value, json};

use super::{Place, Profile};

/// A line per stack: its places separated by semicolons, then its time in microseconds.
#[must_use]
pub fn folded(profile: &Profile) -> Vec<String> {
    let stacks = profile.nodes.iter().enumerate().filter(|(_, node)| node.self_ns >= 500);
    stacks
        .map(|(at, node)| {
            // What separates places and lines must not be in them.
            let label = |place: &&Place| place.label().replace([';', '\n', '\r'], "_");
            let labels: Vec<String> = profile.stack(at).iter().map(label).collect();
            let stack = if labels.is_empty() { "all".to_owned() } else { labels.join(";") };
            format!("{stack} {}", (node.self_ns + 500) / 1000)
        })
        .collect()
}

/// The document that speedscope reads.
#[must_use]
pub fn speedscope(profile: &Profile, name: &str) -> Value {
    let frame = |place: &Place| match place {
        Place::Function { function, file, line, .. } => json!({ "name": &**function, "file": &**file, "line": line }),
        other => json!({ "name": other.label() }),
    };
    // A node leads to a place of the same number.
    let mut samples: Vec<Vec<usize>> = Vec::new();
    let mut weights = Vec::new();
    for (at, node) in profile.nodes.iter().enumerate().filter(|(_, node)| node.self_ns > 0) {
        let mut stack = vec![node.place];
        let mut next = at;
        while next != 0 {
            next = profile.nodes[next].parent;
            stack.push(profile.nodes[next].place);
        }
        stack.reverse();
        samples.push(stack);
        weights.push(node.self_ns);
    }
    json!({
        "$schema": "https://www.speedscope.app/file-format-schema.json",
        "shared": { "frames": profile.places.iter().map(frame).collect::<Vec<_>>() },
        "profiles": [{
            "type": "sampled", "name": format!("{name} ({})", profile.mode.words()), "unit": "nanoseconds",
            "startValue": 0, "endValue": profile.total_ns(), "samples": samples, "weights": weights,
        }],
        "name": name,
        "exporter": "concmon",
    })
}

/// concmon's own document; its schema is `assets/report/profile.schema.json`.
#[must_use]
pub fn document(profile: &Profile) -> Value {
    let a = &profile.account;
    let place = |place: &Place| match place {
        Place::Function { function, file, line, own } => {
            json!({ "kind": "function", "name": &**function, "file": &**file, "line": line, "own": own })
        }
        Place::Task(name) => json!({ "kind": "task", "name": &**name }),
        Place::Program(name) => json!({ "kind": "program", "name": &**name }),
        Place::Wait(name) => json!({ "kind": "wait", "name": &**name }),
    };
    json!({
        "schema": "concmon.profile/1",
        "mode": profile.mode.id(),
        "wall_ns": a.wall_ns,
        "rate_hz": a.rate_hz,
        "looks": a.looks,
        "looks_missed": a.missed,
        "samples": a.samples,
        "samples_torn": a.torn,
        "samples_unknown": a.unknown,
        "cost_ns": a.cost_ns,
        "processes": a.processes,
        "pythons": a.pythons,
        "tasks": a.tasks,
        "notes": a.notes,
        "total_ns": profile.total_ns(),
        "functions": profile.functions().iter().map(|time| json!({
            "function": &*time.function, "file": &*time.file, "line": time.line, "own": time.own,
            "self_ns": time.self_ns, "total_ns": time.total_ns,
        })).collect::<Vec<_>>(),
        "waits": profile.waits().iter().map(|wait| json!({
            "reason": wait.reason.as_deref(), "place": wait.place.as_ref().map(place), "ns": wait.ns,
        })).collect::<Vec<_>>(),
        "places": profile.places.iter().map(place).collect::<Vec<_>>(),
        "nodes": profile.nodes.iter().map(|node| json!([node.place, node.parent, node.self_ns])).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::function;
    use super::*;
    use crate::profile::Mode;

    #[test]
    fn every_format_has_all_time_and_no_name_breaks_it() {
        let mut profile = Profile::new(Mode::Wall);
        profile.add(&[function("a;b\nc", 1), Place::Wait("epoll".into())], 5_000_000);
        profile.add(&[function("a;b\nc", 1)], 3_000_000);
        let folded = folded(&profile);
        assert_eq!(folded, ["a_b_c (/srv/app.py:1) 3000", "a_b_c (/srv/app.py:1);[epoll] 5000"]);
        let scope = speedscope(&profile, "test");
        let weights: u64 = scope["profiles"][0]["weights"].as_array().unwrap().iter().map(|w| w.as_u64().unwrap()).sum();
        assert_eq!((weights, scope["profiles"][0]["endValue"].as_u64().unwrap()), (8_000_000, 8_000_000));
        let frames = scope["shared"]["frames"].as_array().unwrap().len() as u64;
        let samples = scope["profiles"][0]["samples"].as_array().unwrap();
        assert!(samples.iter().flat_map(|s| s.as_array().unwrap()).all(|at| at.as_u64().unwrap() < frames));
        assert_eq!(document(&profile)["total_ns"], 8_000_000);
    }
}
