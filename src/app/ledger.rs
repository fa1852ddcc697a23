//! The pane of the copy-on-write ledger: what each child shares with its parent, as ready values.

use crate::columns::format;
use crate::derive::Model;
use crate::snapshot::{Detail, DetailContent, DetailPart, Ledger, LedgerMapping, LedgerReading, PageCounts, ProcKey};
use crate::text::{Charset, sanitize, sanitize_str};

use crate::columns::in_bytes;

/// The open pane.
#[derive(Debug, Clone)]
pub struct LedgerPane {
    /// The parent.
    pub parent: ProcKey,
    /// Its name, printable.
    pub name: String,
    /// Its resident memory as last sampled.
    pub rss_bytes: Option<u64>,
    /// The chosen child; `None` until there is one.
    pub chosen: Option<ProcKey>,
    /// Whether the parent is gone: the last values stay.
    pub ended: bool,
    now: Option<Detail>,
    before: Option<Detail>,
}

/// One child as a line.
#[derive(Debug, Clone, PartialEq)]
pub struct ChildLine {
    /// Which.
    pub key: ProcKey,
    /// Its name, printable.
    pub name: String,
    /// What is known, or why nothing is.
    pub figures: Result<Figures, String>,
}

/// A child in figures.
#[derive(Debug, Clone, PartialEq)]
pub struct Figures {
    /// Still the parent's pages.
    pub shared: String,
    /// Copied since the fork, by either side.
    pub copied: String,
    /// Copied per second; `-` until two readings are there.
    pub per_second: String,
    /// New since the fork.
    pub new: String,
    /// Proportional share of all it maps; `-` if it could not be read.
    pub pss: String,
    /// What would be freed if it alone ended; `-` if it could not be read.
    pub uss: String,
    /// Shares of its private memory, 0 to 1: shared, copied, new.
    pub bar: [f32; 3],
    /// Whether the counts are lower bounds, because time ran out.
    pub cut: bool,
}

/// One mapping of the chosen child as a line.
#[derive(Debug, Clone, PartialEq)]
pub struct MappingLine {
    /// Its address range.
    pub range: String,
    /// How many of the inherited pages were copied, in words.
    pub counts: String,
    /// What is mapped, printable.
    pub name: String,
    /// From its first page to its last: `None` where nothing is inherited, else the share that is no longer the parent's, 0 to 1.
    pub strip: Vec<Option<f32>>,
}

impl LedgerPane {
    /// Opens on a parent, with the child that was selected, if it was one.
    #[must_use]
    pub fn new(parent: ProcKey, name: String, chosen: Option<ProcKey>) -> Self {
        Self { parent, name, rss_bytes: None, chosen, ended: false, now: None, before: None }
    }

    /// What is to be read now; `None` once there is nothing left to read.
    #[must_use]
    pub fn wanted(&self) -> Option<(ProcKey, DetailPart)> {
        (!self.ended).then_some((self.parent, DetailPart::CopyOnWrite))
    }

    /// A new sample of the machine: the parent's memory, or its end.
    pub fn sample(&mut self, model: &Model) {
        match model.process(self.parent.pid).filter(|p| p.key == self.parent) {
            Some(parent) => self.rss_bytes = parent.rss_bytes,
            None => self.ended = true,
        }
    }

    /// A new reading; one of another process, or of another part, is dropped.
    pub fn take(&mut self, detail: Detail) {
        if detail.key != self.parent || detail.part != DetailPart::CopyOnWrite {
            return;
        }
        // It is gone: what was last read of it stays, and the samples tell how it ended.
        if detail.gone && self.ledger().is_some() {
            return;
        }
        self.before = self.now.replace(detail);
        let children = self.ledger().map_or(&[][..], |ledger| &ledger.children);
        if !children.iter().any(|child| Some(child.key) == self.chosen) {
            self.chosen = children.first().map(|child| child.key);
        }
    }

    /// Chooses the child so many lines below.
    pub fn step(&mut self, by: isize) {
        let Some(ledger) = self.ledger() else { return };
        let at = ledger.children.iter().position(|child| Some(child.key) == self.chosen).unwrap_or(0);
        let to = at.saturating_add_signed(by).min(ledger.children.len().saturating_sub(1));
        self.chosen = ledger.children.get(to).map(|child| child.key);
    }

    fn ledger(&self) -> Option<&Ledger> {
        ledger_of(self.now.as_ref())
    }

    /// What stands in place of a table: that it is being read, or why there is none.
    #[must_use]
    pub fn message(&self, charset: Charset) -> Option<String> {
        match self.now.as_ref().map(|detail| &detail.content) {
            None if self.ended => Some("the process ended before this was read".into()),
            None => Some("reading...".into()),
            Some(Err(why)) => Some(sanitize_str(why, charset).into_owned()),
            Some(Ok(_)) if self.ledger().is_some_and(|ledger| ledger.children.is_empty()) => {
                Some("the process has no children".into())
            }
            Some(Ok(_)) => None,
        }
    }

    /// The children.
    #[must_use]
    pub fn children(&self, charset: Charset) -> Vec<ChildLine> {
        let Some(ledger) = self.ledger() else { return Vec::new() };
        let line = |child: &crate::snapshot::LedgerChild| ChildLine {
            key: child.key,
            name: sanitize(child.comm.as_bytes(), charset).into_owned(),
            figures: match &child.reading {
                Ok(reading) => Ok(self.figures(child.key, reading, ledger.page_bytes)),
                Err(why) => Err(sanitize_str(why, charset).into_owned()),
            },
        };
        ledger.children.iter().map(line).collect()
    }

    fn figures(&self, key: ProcKey, reading: &LedgerReading, page_bytes: u64) -> Figures {
        let counts = &reading.counts;
        let pages = |pages: u64| in_bytes(pages.saturating_mul(page_bytes));
        let all = (counts.inherited() + counts.new).max(1) as f32;
        let or_dash = |bytes: Option<u64>| bytes.map_or_else(|| "-".to_owned(), in_bytes);
        let per_second = self
            .copied_per_second(key, reading)
            .map_or_else(|| "-".to_owned(), |rate| if rate < 0.5 { "0".to_owned() } else { pages(rate as u64) });
        Figures {
            shared: pages(counts.shared),
            // Nothing of some mapping is shared any more: both may have allocated it since the fork.
            copied: format!("{}{}", if reading.doubtful > 0 { "<=" } else { "" }, pages(gone(counts))),
            per_second,
            new: pages(counts.new),
            pss: or_dash(reading.pss_bytes),
            uss: or_dash(reading.uss_bytes),
            bar: [counts.shared as f32 / all, gone(counts) as f32 / all, counts.new as f32 / all],
            cut: reading.cut,
        }
    }

    /// Pages per second that have stopped being shared with the parent between the two newest readings; `None` without two whole ones.
    fn copied_per_second(&self, key: ProcKey, reading: &LedgerReading) -> Option<f64> {
        let before = ledger_of(self.before.as_ref())?.children.iter().find(|child| child.key == key)?;
        let before_counts = before.reading.as_ref().ok().filter(|r| !r.cut && !reading.cut)?.counts;
        let ns = self.now.as_ref()?.taken_ns.checked_sub(self.before.as_ref()?.taken_ns).filter(|ns| *ns > 0)?;
        Some(gone(&reading.counts).saturating_sub(gone(&before_counts)) as f64 * 1e9 / ns as f64)
    }

    /// The mappings of the chosen child, the most copied first.
    #[must_use]
    pub fn mappings(&self, charset: Charset) -> Vec<MappingLine> {
        let chosen = self.ledger().and_then(|ledger| ledger.children.iter().find(|child| Some(child.key) == self.chosen));
        let Some(Ok(reading)) = chosen.map(|child| &child.reading) else { return Vec::new() };
        reading.mappings.iter().map(|mapping| mapping_line(mapping, charset)).collect()
    }

    /// All children together in one sentence, and what cannot be known, a sentence each.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let Some(ledger) = self.ledger() else { return Vec::new() };
        let readings: Vec<&LedgerReading> = ledger.children.iter().filter_map(|child| child.reading.as_ref().ok()).collect();
        let mut counts = PageCounts::default();
        for reading in &readings {
            counts.add(&reading.counts);
        }
        let bytes = |pages: u64| in_bytes(pages.saturating_mul(ledger.page_bytes));
        let mut notes = vec![format!(
            "{} of {} children read: {} are still shared with the parent; {} have been copied since the fork.",
            readings.len(),
            ledger.children.len() + ledger.more,
            bytes(counts.shared),
            bytes(gone(&counts)),
        )];
        if counts.elsewhere > 0 {
            notes.push(format!(
                "{} are shared among siblings only: the parent has written to its copies.",
                bytes(counts.elsewhere)
            ));
        }
        if counts.swapped > 0 {
            notes.push(format!("{} are in swap: their owner is unknown.", bytes(counts.swapped)));
        }
        let doubtful: u64 = readings.iter().map(|reading| reading.doubtful).sum();
        if doubtful > 0 {
            notes.push(format!(
                "<= is an upper bound: {} are in mappings without shared pages, which both may have allocated after the fork.",
                bytes(doubtful)
            ));
        }
        notes.push(
            "Parent or child wrote to a copied page. The count is an upper bound: memory that both allocated at one address after the \
             fork is included. Unmodified file pages are not counted."
                .into(),
        );
        if readings.iter().any(|reading| !reading.exact) {
            notes.push(
                "\"Shared\" is inferred from the page flags of both sides: comparing the pages needs CAP_SYS_ADMIN.".into(),
            );
        }
        if readings.iter().any(|reading| reading.cut) {
            notes.push("Some were not read completely (+): their values are lower bounds.".into());
        }
        notes
    }
}

/// Inherited pages that the child no longer shares with the parent.
fn gone(counts: &PageCounts) -> u64 {
    counts.copied + counts.elsewhere
}

fn ledger_of(detail: Option<&Detail>) -> Option<&Ledger> {
    match &detail?.content {
        Ok(DetailContent::Ledger(ledger)) => Some(ledger),
        _ => None,
    }
}

fn mapping_line(mapping: &LedgerMapping, charset: Charset) -> MappingLine {
    let counts = &mapping.counts;
    let (mut copied, mut of) = (String::new(), String::new());
    format::count(&mut copied, gone(counts));
    format::count(&mut of, counts.inherited());
    let name = sanitize(&mapping.name, charset).into_owned();
    MappingLine {
        range: format!("{:x}-{:x}", mapping.start, mapping.end),
        counts: format!("{copied} of {of} pages"),
        name: if name.is_empty() { "anonymous".into() } else { name },
        strip: mapping.strip.iter().map(|(all, gone)| (*all > 0).then(|| *gone as f32 / *all as f32)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::{Comm, LedgerChild};

    const PARENT: ProcKey = ProcKey { pid: 10, start_ticks: 1 };
    const CHILD: ProcKey = ProcKey { pid: 11, start_ticks: 2 };

    fn reading(shared: u64, copied: u64) -> LedgerReading {
        LedgerReading {
            counts: PageCounts { shared, copied, ..PageCounts::default() },
            mappings: Vec::new(),
            doubtful: 0,
            exact: true,
            cut: false,
            pss_bytes: None,
            uss_bytes: Some(4096),
        }
    }

    fn detail(taken_ns: u64, reading: LedgerReading) -> Detail {
        let child = LedgerChild { key: CHILD, comm: Comm::new(b"a\x1b[1mb"), reading: Ok(reading) };
        let ledger = Ledger { page_bytes: 4096, children: vec![child], more: 0 };
        Detail::new(PARENT, DetailPart::CopyOnWrite, taken_ns, Ok(DetailContent::Ledger(Box::new(ledger))))
    }

    #[test]
    fn a_rate_takes_two_readings() {
        let mut pane = LedgerPane::new(PARENT, "p".into(), None);
        pane.take(detail(1_000_000_000, reading(64, 0)));
        let figures = |pane: &LedgerPane| pane.children(Charset::Unicode)[0].figures.clone().unwrap();
        assert_eq!((figures(&pane).per_second.as_str(), pane.chosen), ("-", Some(CHILD)));
        pane.take(detail(3_000_000_000, reading(48, 16)));
        let figures = figures(&pane);
        assert_eq!((figures.shared.as_str(), figures.copied.as_str(), figures.per_second.as_str()), ("192K", "64K", "32K"));
        assert_eq!((figures.pss.as_str(), figures.uss.as_str()), ("-", "4K"), "unknown is not 0");
        assert_eq!(figures.bar, [0.75, 0.25, 0.0]);
    }

    #[test]
    fn readings_of_others_are_dropped_and_names_are_printable() {
        let mut pane = LedgerPane::new(PARENT, "p".into(), None);
        pane.take(Detail { key: CHILD, ..detail(1, reading(1, 0)) });
        assert_eq!(pane.message(Charset::Unicode).as_deref(), Some("reading..."));
        pane.take(detail(1, reading(1, 0)));
        assert!(pane.message(Charset::Unicode).is_none());
        assert!(!pane.children(Charset::Unicode)[0].name.contains('\x1b'));
        pane.ended = true;
        assert_eq!(pane.wanted(), None, "nothing is left to read, and the last values stay");
        assert_eq!(pane.children(Charset::Unicode).len(), 1);
    }

    #[test]
    fn what_is_not_known_is_said() {
        let mut pane = LedgerPane::new(PARENT, "p".into(), None);
        let counts = PageCounts { shared: 1, elsewhere: 2, swapped: 3, ..PageCounts::default() };
        pane.take(detail(1, LedgerReading { counts, exact: false, cut: true, ..reading(0, 0) }));
        let notes = pane.notes().join("\n");
        for words in ["8K are shared among siblings", "12K are in swap", "CAP_SYS_ADMIN", "lower bound"] {
            assert!(notes.contains(words), "{words}: {notes}");
        }
    }
}
