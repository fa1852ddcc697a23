//! Removes named semaphores and shared memory of runs (shm_overview(7), sem_overview(7)). The runs' interpreters receive a prefix for such
//! names. CPython's resource tracker removes those that it knows; a process that is killed before it registers a semaphore, or a killed
//! tracker, leaves one behind.

use std::path::Path;

/// Where glibc keeps them: shared memory under its name, a semaphore as `sem.` and its name.
const DIRECTORY: &str = "/dev/shm";

/// What the names of a helper's objects begin with, by its private directory: that has a name of its own.
fn of_helper(dir: &Path) -> Option<String> {
    Some(format!("{}-", dir.file_name()?.to_str()?))
}

/// What the names of a run's objects begin with, by the directory of the run.
pub fn of_run(dir: &Path) -> Option<String> {
    Some(format!("{}{}-", of_helper(dir.parent()?)?, dir.file_name()?.to_str()?))
}

/// Takes away what a run has left, whose processes are no more.
pub fn remove_of_run(dir: &Path) {
    of_run(dir).iter().for_each(|prefix| remove(Path::new(DIRECTORY), prefix));
}

/// Takes away what the runs of a helper have left, whose processes are no more.
pub fn remove_of_helper(dir: &Path) {
    of_helper(dir).iter().for_each(|prefix| remove(Path::new(DIRECTORY), prefix));
}

/// Removes the objects whose names begin so; a link by such a name goes itself, not what it leads to.
fn remove(directory: &Path, prefix: &str) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.as_encoded_bytes();
        if name.strip_prefix(b"sem.").unwrap_or(name).starts_with(prefix.as_bytes()) {
            // It may just have gone.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_run_has_named_is_taken_away() {
        let directory = tempfile::tempdir().unwrap();
        let run = Path::new("/tmp/concmon-lab-AbCdEf/1");
        let own = ["sem.concmon-lab-AbCdEf-1-x7", "concmon-lab-AbCdEf-1-y"];
        let others = ["sem.mp-x7", "sem.concmon-lab-AbCdEf-12-x", "concmon-lab-GhIjKl-1-y", "concmon-lab-AbCdEf-1"];
        for name in own.iter().chain(&others) {
            std::fs::write(directory.path().join(name), "").unwrap();
        }
        remove(directory.path(), &of_run(run).unwrap());
        let left = |name: &&str| directory.path().join(name).exists();
        assert!(!own.iter().any(&left) && others.iter().all(&left));
        remove(directory.path(), &of_helper(run.parent().unwrap()).unwrap());
        let left: Vec<_> = others.iter().filter(|name| left(name)).collect();
        assert_eq!(left, [&"sem.mp-x7", &"concmon-lab-GhIjKl-1-y"]);
    }
}
