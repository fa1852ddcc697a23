//! The selected process and its descendants as one: PSS and USS, compared with the sum of RSS.

use crate::columns::format;
use crate::snapshot::{ProcKey, ProcessSample, State};
use crate::text::width;

use super::App;
use crate::columns::in_bytes;

/// The largest family that is summed: each member's page tables are walked for it.
const MOST: usize = 64;

/// What is known of a family's memory, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Sums {
    /// Processes with memory of their own.
    members: usize,
    /// Those whose shares could be read.
    read: usize,
    pss: u64,
    uss: u64,
    rss: u64,
    /// Whether a member is left out for its size.
    too_large: bool,
}

impl Sums {
    fn of<'a>(members: impl Iterator<Item = &'a ProcessSample>) -> Self {
        let mut sums = Self::default();
        for process in members.filter(|p| p.leader.state != State::ZOMBIE && !p.kernel_thread) {
            sums.members += 1;
            sums.too_large |= process.exact.as_ref().is_some_and(|e| e.too_large_for_smaps);
            let exact = process.exact.as_ref().and_then(|e| Some((e.pss_bytes?, e.uss_bytes?)));
            if let (Some((pss, uss)), Some(rss)) = (exact, process.rss_bytes) {
                sums.read += 1;
                sums.pss = sums.pss.saturating_add(pss);
                sums.uss = sums.uss.saturating_add(uss);
                sums.rss = sums.rss.saturating_add(rss);
            }
        }
        sums
    }

    /// In at most so many cells: what does not fit is left out whole, the least important first.
    fn words(&self, pid: i32, divider: &str, room: usize) -> String {
        let Self { members, read, .. } = *self;
        let head = format!("family of {pid}, {members} processes");
        if read == 0 {
            let why = if self.too_large {
                "too large to read automatically"
            } else {
                "being read, or readable only by its owner and root"
            };
            return format!("{head}: PSS {why}");
        }
        let of = if read < members { format!(" of the {read} readable processes") } else { String::new() };
        let mut line = format!("{head}: PSS {}{of}", in_bytes(self.pss));
        let mut more = vec![format!("{divider}own memory of all: {} to {}", in_bytes(self.uss), in_bytes(self.pss))];
        if self.pss > 0 {
            let mut times = String::new();
            format::rate(&mut times, self.rss as f32 / self.pss as f32);
            more.push(format!("{divider}RES adds up to {}, {times}x as much", in_bytes(self.rss)));
        }
        for part in more {
            if width(&line) + width(&part) > room {
                break;
            }
            line += &part;
        }
        line
    }
}

impl App {
    /// Indices of the selected process and its descendants; empty without descendants, outside the tree, and for families too large to be
    /// summed.
    fn family(&self) -> Vec<u32> {
        let Some(tree) = &self.tree else { return Vec::new() };
        let Some(row) = self.selected().filter(|row| row.ghost.is_none()) else { return Vec::new() };
        let Some(index) = row.model.index_of(row.process.key.pid).and_then(|i| u32::try_from(i).ok()) else { return Vec::new() };
        let mut all = vec![index];
        let mut next = 0;
        while let Some(index) = all.get(next) {
            all.extend_from_slice(tree.children(*index));
            if all.len() > MOST {
                return Vec::new();
            }
            next += 1;
        }
        if all.len() > 1 { all } else { Vec::new() }
    }

    /// The processes whose shares of memory must be read for [`App::family_words`].
    #[must_use]
    pub fn family_keys(&self) -> Vec<ProcKey> {
        let Some(model) = self.model.as_deref() else { return Vec::new() };
        let mut keys: Vec<ProcKey> =
            self.family().into_iter().filter_map(|i| model.now.processes.get(i as usize)).map(|p| p.key).collect();
        keys.extend(self.run_keys());
        keys
    }

    /// The memory of the selected family, in one line of at most `room` cells where possible. If all its members end, at least the memory that
    /// each has for itself (USS) is freed, and at most all that they have a share in (PSS): what they share only with each other is freed
    /// too, what other processes map as well stays.
    #[must_use]
    pub fn family_words(&self, room: usize) -> Option<String> {
        let (model, family) = (self.model.as_deref()?, self.family());
        let first = model.now.processes.get(*family.first()? as usize)?;
        let sums = Sums::of(family.iter().filter_map(|i| model.now.processes.get(*i as usize)));
        let divider = if self.options.unicode { " · " } else { ", " };
        (sums.members > 1).then(|| sums.words(first.key.pid, divider, room))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_summed_and_the_rest_is_said() {
        const G: u64 = 1 << 30;
        let all = Sums { members: 9, read: 9, pss: 2 * G, uss: G / 2, rss: 10 * G, too_large: false };
        assert_eq!(
            all.words(300, ", ", 200),
            "family of 300, 9 processes: PSS 2.00G, own memory of all: 512M to 2.00G, RES adds up to 10.0G, 5.0x as much"
        );
        assert_eq!(all.words(300, ", ", 78), "family of 300, 9 processes: PSS 2.00G, own memory of all: 512M to 2.00G");
        assert_eq!(all.words(300, ", ", 40), "family of 300, 9 processes: PSS 2.00G");
        assert!(Sums { read: 7, ..all }.words(300, ", ", 200).contains("PSS 2.00G of the 7 readable processes"));
        assert!(Sums { read: 0, too_large: true, ..all }.words(300, ", ", 200).ends_with("too large to read automatically"));
        assert!(Sums { read: 0, ..all }.words(300, ", ", 200).contains("by its owner and root"), "nothing is not 0");
    }
}
