//! The document of `concmon problems --json`, as it is written here and read from other hosts. Its schema is
//! `assets/report/problems.schema.json`.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::found::Found;
use crate::causes::{self, TaskId};
use crate::command::waits::{Looked, Task, process_name};
use crate::diagnose::{self, DIAGNOSES, Level};
use crate::why::advice;

/// Names and versions the document.
const SCHEMA: &str = "concmon.problems/1";
const WARNING: &str = "warning";

/// Everything that was found on one machine.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Document {
    schema: String,
    pub(super) looked: Looked,
    pub(super) problems: Vec<Problem>,
    pub(super) findings: Vec<Finding>,
}

/// Tasks that cannot go on.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Problem {
    cause: String,
    pub(super) title: String,
    pub(super) advice: String,
    pub(super) pids: Vec<i32>,
    pub(super) tasks: Vec<Task>,
    pub(super) behind: Vec<Behind>,
    pub(super) lost_waiters: u32,
}

/// A task that waits for those of a problem.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Behind {
    pub(super) pid: i32,
    tid: i32,
    pub(super) process: Option<String>,
}

/// A limit, a leak, a signal, or any other problem that is no chain of waits.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Finding {
    id: String,
    level: String,
    pub(super) title: String,
    pub(super) evidence: String,
    pub(super) lines: Vec<String>,
    pub(super) advice: String,
    pids: Vec<i32>,
    /// Age of the problem in seconds: since it began where the kernel reports that, else since the first look.
    pub(super) for_s: f64,
}

impl Document {
    /// The document of a look.
    pub(super) fn new(found: &Found) -> Self {
        let problems = found.problems.iter().map(|problem| Problem::new(found, problem)).collect();
        let findings = found.findings.iter().map(|finding| Finding::new(finding, found.taken_ns)).collect();
        Self { schema: SCHEMA.to_owned(), looked: Looked::new(&found.scene), problems, findings }
    }

    /// Reads the answer of a host. Its strings may hold any characters: sanitise before printing.
    ///
    /// # Errors
    /// Why it is no such document, in a sentence.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Head {
            schema: String,
        }
        let Head { schema } =
            serde_json::from_slice(bytes).map_err(|error| format!("its answer is no document of concmon: {error}"))?;
        if schema != SCHEMA {
            let schema: String = schema.chars().take(60).collect();
            return Err(format!("concmon there is of another version: its answer is {schema:?}; this concmon reads {SCHEMA}"));
        }
        serde_json::from_slice(bytes).map_err(|error| format!("its answer is no valid {SCHEMA}: {error}"))
    }

    /// Whether there is a problem or a warning.
    pub(super) fn warns(&self) -> bool {
        !self.problems.is_empty() || self.findings.iter().any(Finding::warns)
    }
}

impl Problem {
    fn new(found: &Found, problem: &causes::Problem) -> Self {
        let Found { scene, pythons, .. } = found;
        let pids: BTreeSet<i32> = problem.tasks.iter().map(|id| id.pid).collect();
        let behind = |id: &TaskId| Behind { pid: id.pid, tid: id.tid, process: process_name(scene, id.pid) };
        Self {
            cause: problem.cause.id().to_owned(),
            title: problem.cause.title().to_owned(),
            advice: advice(problem, pythons),
            pids: pids.into_iter().collect(),
            tasks: problem.edges.iter().map(|edge| Task::new(scene, pythons, edge.from, Some(edge))).collect(),
            behind: problem.behind.iter().map(behind).collect(),
            lost_waiters: problem.lost_waiters,
        }
    }

    /// Its place among all kinds of problems; the worst is 0.
    pub(super) fn rank(&self) -> usize {
        rank(&self.cause, true)
    }
}

impl Finding {
    fn new(finding: &diagnose::Finding, taken_ns: u64) -> Self {
        let pids = [finding.about.pid].into_iter().chain(finding.others.iter().map(|key| key.pid));
        Self {
            id: finding.diagnosis.id.to_owned(),
            level: if finding.diagnosis.level == Level::Warning { WARNING } else { "information" }.to_owned(),
            title: finding.diagnosis.title.to_owned(),
            evidence: finding.evidence.clone(),
            lines: finding.lines.clone(),
            advice: finding.advice.clone(),
            // 0 stands for the machine.
            pids: pids.filter(|pid| *pid != 0).collect(),
            for_s: taken_ns.saturating_sub(finding.since_ns) as f64 / 1e9,
        }
    }

    pub(super) fn warns(&self) -> bool {
        self.level == WARNING
    }

    /// See [`Problem::rank`].
    pub(super) fn rank(&self) -> usize {
        rank(&self.id, self.warns())
    }
}

/// A kind that this concmon does not know comes after the known ones of its level.
fn rank(id: &str, warns: bool) -> usize {
    let known = DIAGNOSES.iter().position(|known| known.id == id && (known.level == Level::Warning) == warns);
    let warnings = DIAGNOSES.iter().filter(|known| known.level == Level::Warning).count();
    match known {
        Some(at) if warns => at,
        None if warns => warnings,
        Some(at) => at + 1,
        None => DIAGNOSES.len() + 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_come_before_information_and_unknown_kinds_last_of_their_level() {
        let ranks = [
            rank("lock_cycle", true),
            rank("throttled", true),
            rank("of a later version", true),
            rank("never_blocks", false),
            rank("of a later version", false),
        ];
        assert!(ranks.is_sorted_by(|a, b| a < b), "{ranks:?}");
        assert_eq!(rank("lock_cycle", false), rank("unknown", false), "a host cannot lift information above warnings");
    }
}
