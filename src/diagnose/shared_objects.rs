//! Files in /dev/shm that no process uses.

use super::{Check, Diagnosis, Level, MACHINE, Scene, Suspicion, counted};
use crate::columns;
use crate::snapshot::Needs;

pub(super) const DIAGNOSIS: Diagnosis = Diagnosis {
    id: "shared_objects",
    title: "Shared memory without a process",
    level: Level::Information,
    badge: "",
    description: "Objects in /dev/shm that no process has mapped or open; they keep memory until they are removed.",
    needs: Needs::empty(),
    after_ns: 2_000_000_000,
    check: Check::Of(check),
};

/// Names that are listed.
const NAMED: usize = 5;

fn check(scene: &Scene<'_>) -> Vec<Suspicion> {
    let Some(objects) = scene.facts.and_then(|facts| facts.objects.as_ref()).filter(|objects| !objects.is_empty()) else {
        return Vec::new();
    };
    let size = columns::in_bytes(objects.iter().map(|object| object.bytes).sum());
    let names: Vec<&str> = objects.iter().take(NAMED).map(|object| object.name.as_str()).collect();
    let more = if objects.len() > NAMED { ", ..." } else { "" };
    let count = counted(objects.len(), "object", "objects");
    let evidence = format!("/dev/shm: {count}, {size}, used by no process: {}{more}", names.join(", "));
    let advice = "if no program will open them again: rm /dev/shm/NAME; multiprocessing leaves them if its tracker is killed";
    vec![Suspicion::of(MACHINE, evidence, advice.to_owned())]
}
