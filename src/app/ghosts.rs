//! Rows of processes that have ended stay where they were seen, also where the value that rows are sorted by is no longer known of them.

use std::collections::HashMap;

use super::rows::{Line, RowKey};

/// Moves the lines that `unsorted` admits to the line that they had `before`, counted from the last of the runs, which stay together at the
/// top. Those that had none stay where they are.
pub fn in_place(lines: &mut Vec<Line>, before: &[Line], unsorted: impl Fn(&Line) -> bool) {
    let mut wanted: HashMap<RowKey, usize> =
        lines.iter().filter(|line| unsorted(line)).map(|line| (line.key, usize::MAX)).collect();
    if wanted.is_empty() {
        return;
    }
    let top_before = runs(before);
    for (at, line) in before.iter().skip(top_before).enumerate() {
        if let Some(place) = wanted.get_mut(&line.key) {
            *place = at;
        }
    }
    wanted.retain(|_, at| *at != usize::MAX);
    let mut moved: Vec<(usize, Line)> = Vec::with_capacity(wanted.len());
    lines.retain(|line| match wanted.get(&line.key).filter(|_| unsorted(line)) {
        Some(at) => {
            moved.push((*at, *line));
            false
        }
        None => true,
    });
    moved.sort_by_key(|(at, _)| *at);
    let top = runs(lines);
    for (at, line) in moved {
        lines.insert(at.saturating_add(top).min(lines.len()), line);
    }
}

/// Lines of runs.
fn runs(lines: &[Line]) -> usize {
    lines.iter().take_while(|line| line.run.is_some()).count()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::app::App;
    use crate::app::msg::Msg;
    use crate::app::options::Options;
    use crate::derive::{Deriver, test_changed, test_process, test_snapshot};

    #[test]
    fn a_process_that_has_ended_stays_on_its_line_while_others_change_places() {
        const S: u64 = 1_000_000_000;
        let mut app = App::new(Options::default());
        let mut deriver = Deriver::new(60 * S);
        // Percent of a CPU of each process in each second: 12 ends after the second, then 11 and 13 change places.
        let used = [(11, [60, 60, 20, 20]), (12, [40, 40, 0, 0]), (13, [30, 30, 70, 70]), (14, [10, 10, 10, 10])];
        let mut order = Vec::new();
        for second in 0..4_usize {
            let living = used.iter().filter(|(pid, _)| *pid != 12 || second < 2);
            let of = |(pid, shares): &(i32, [u64; 4])| {
                let ran: u64 = shares[..=second].iter().map(|share| share * 10_000_000).sum();
                test_changed(test_process(*pid, 1, 5), |process| {
                    process.run_ns = Some(ran);
                })
            };
            let now = test_snapshot((second as u64 + 1) * S, living.map(of).collect());
            app.update(Msg::Sample(Arc::new(deriver.step(now))));
            order = (0..app.lines.len()).filter_map(|at| app.row(at).map(|row| row.key().pid)).collect();
            if second == 1 {
                assert_eq!(order, [11, 12, 13, 14]);
            }
        }
        assert_eq!(order, [13, 12, 11, 14], "not at the end, where its use is unknown");
        assert!(app.row(1).unwrap().ghost.is_some());
    }
}
