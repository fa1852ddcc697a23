//! Shortens the row labels of the Compare screen: parts that all rows share move to the heading; a label that is still too long is cut,
//! with a mark.

use std::borrow::Cow;

use crate::lab::report::Row;
use crate::text::{self, Charset};

/// The labels of a table's rows.
pub struct Labels<'a> {
    rows: Vec<&'a str>,
    /// What was left out at the front of all of them: `python/`.
    pub front: &'a str,
    /// What was left out at their end: ` 64 MB`.
    pub back: &'a str,
    /// Cells of the column.
    pub cells: usize,
}

impl<'a> Labels<'a> {
    /// In a screen of that width: whole as long as a third of it is enough.
    pub fn of(rows: &'a [Row], width: usize) -> Self {
        Self::fitting(rows.iter().map(|r| r.label.as_str()).collect(), width / 3, width * 9 / 20)
    }

    /// Whole in `roomy` cells, shortened in up to `most`.
    fn fitting(whole: Vec<&'a str>, roomy: usize, most: usize) -> Self {
        let widest = |rows: &[&str]| rows.iter().map(|r| text::width(r)).max().unwrap_or(0);
        let mut labels = Self { cells: widest(&whole), rows: whole, front: "", back: "" };
        let Some(first) = labels.rows.first().copied().filter(|_| labels.rows.len() > 1) else {
            return Self { cells: labels.cells.min(most), ..labels };
        };
        if labels.cells > roomy {
            // `python/` is left out, a word that two systems' names begin with is not.
            let front = &first[..first.find('/').map_or(0, |at| at + 1)];
            labels.strip(front, "");
        }
        if labels.cells > most {
            let ends = first.match_indices(' ').map(|(at, _)| &first[at..]);
            if let Some(back) = ends.into_iter().find(|end| labels.rows.iter().all(|r| r.ends_with(end))) {
                labels.strip("", back);
            }
        }
        labels.cells = labels.cells.min(most);
        labels
    }

    /// Leaves out what all rows begin and end with.
    fn strip(&mut self, front: &'a str, back: &'a str) {
        let stripped: Option<Vec<&str>> = self.rows.iter().map(|r| r.strip_prefix(front)?.strip_suffix(back)).collect();
        let Some(rows) = stripped else { return };
        self.rows = rows;
        if !front.is_empty() {
            self.front = front;
        }
        if !back.is_empty() {
            self.back = back;
        }
        let widest = self.rows.iter().map(|r| text::width(r)).max().unwrap_or(0);
        self.cells = widest.max(text::width(self.front) + text::width(self.back) + 1);
    }

    /// The label of a row.
    pub fn get(&self, row: usize, charset: Charset) -> Cow<'_, str> {
        match text::sanitize_str(self.rows.get(row).copied().unwrap_or(""), charset) {
            Cow::Borrowed(label) => text::truncate(label, self.cells, charset),
            Cow::Owned(label) => Cow::Owned(text::truncate(&label, self.cells, charset).into_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn short(labels: &[&'static str], roomy: usize, most: usize) -> (Vec<String>, String) {
        let labels = Labels::fitting(labels.to_vec(), roomy, most);
        let rows = (0..labels.rows.len()).map(|i| labels.get(i, Charset::Unicode).into_owned()).collect();
        (rows, format!("{}..{}", labels.front, labels.back))
    }

    #[test]
    fn what_all_rows_share_is_left_out_before_anything_is_cut() {
        let pools = ["python/process-pool-executor 64 MB", "python/thread-pool-executor 64 MB", "python/sequential 64 MB"];
        assert_eq!(short(&pools, 40, 60).0, pools, "there is room");
        let (rows, shared) = short(&pools, 26, 36);
        assert_eq!(rows, ["process-pool-executor 64 MB", "thread-pool-executor 64 MB", "sequential 64 MB"]);
        assert_eq!(shared, "python/..");
        let (rows, shared) = short(&pools, 20, 24);
        assert_eq!(rows, ["process-pool-executor", "thread-pool-executor", "sequential"]);
        assert_eq!(shared, "python/.. 64 MB");
        let mixed = ["python/sequential factorial 10 tasks", "native/sleep-threads sleep 4 tasks"];
        assert_eq!(short(&mixed, 26, 36), (mixed.map(str::to_owned).to_vec(), "..".to_owned()), "nothing is shared that is long");
    }

    #[test]
    fn what_still_does_not_fit_is_cut_with_a_mark() {
        let (rows, _) = short(&["python/process-pool-executor 64 MB", "python/process-pool-executor 512 MB"], 10, 20);
        assert_eq!(rows, ["process-pool-execut…", "process-pool-execut…"]);
        let (rows, _) = short(&["native/fork"], 5, 8);
        assert_eq!(rows, ["native/…"], "the only row has nothing to share");
    }
}
