//! The lab: launches concurrent workloads and measures how they appear and what they cost.
//!
//! `catalog` lists the systems. `launcher` controls the `helper` process, which starts the runs. `native` has the code of native run roots,
//! `python` finds interpreters. `protocol` is the format of the workers' reports; `machine` turns them into a `run`. `trace` holds densely
//! sampled tasks, and `lanes` turns them into the timeline; `roles` names each process of a run. `batch` runs interleaved repetitions, `measure` computes their figures, `report`
//! and `page` present them, `kept` reads saved results. The lab does not use `ui`, `app` or `engine`.

pub mod batch;
pub mod catalog;
pub mod control;
pub mod entry;
mod guard;
mod helper;
mod hidden;
pub mod kept;
pub mod lanes;
pub mod launcher;
pub mod lessons;
mod machine;
pub mod measure;
mod native;
pub mod own;
pub mod page;
pub mod protocol;
pub mod python;
pub mod report;
pub mod roles;
pub mod run;
mod signal;
pub mod talk;
mod tally;
pub mod trace;
pub mod usage;
pub mod waits;

/// Several tables as one, in their order.
const fn joined<T: Copy, const N: usize>(tables: &[&[T]]) -> [T; N] {
    let mut all = [tables[0][0]; N];
    let (mut filled, mut table) = (0, 0);
    while table < tables.len() {
        let mut row = 0;
        while row < tables[table].len() {
            all[filled] = tables[table][row];
            (filled, row) = (filled + 1, row + 1);
        }
        table += 1;
    }
    all
}
