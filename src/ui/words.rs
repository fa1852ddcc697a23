//! Words that several screens draw.

use ratatui::style::Style;

use crate::lab::run::{Outcome, Run, RunPhase};
use crate::text::{self, Charset, sanitize_str};

pub use crate::text::wrap;

use super::theme::Theme;

/// How far a run is, in words.
pub fn phase(run: &Run, theme: &Theme) -> (String, Style) {
    match &run.phase {
        RunPhase::Starting => ("starting".into(), theme.warn),
        // It only stays to be looked at.
        RunPhase::Running if run.costs.wall_ns.is_some() => ("work done".into(), theme.good),
        RunPhase::Running => ("running".into(), theme.good),
        RunPhase::Ending => ("ending".into(), theme.warn),
        RunPhase::Ended(Outcome::Done) => ("done".into(), theme.good),
        RunPhase::Ended(Outcome::Failed(why)) => (format!("failed: {}", sanitize_str(why, Charset::Unicode)), theme.bad),
        RunPhase::Ended(Outcome::Stopped) => ("stopped".into(), theme.warn),
        RunPhase::Ended(Outcome::TimedOut) => ("timed out".into(), theme.bad),
    }
}

/// How many lines are out of sight, in words.
pub fn more_lines(count: usize) -> String {
    format!("{count} more line{}", if count == 1 { "" } else { "s" })
}

/// A line in as many as it needs. Those that follow begin below its words: a tab ends what stands before these and keeps its column.
pub fn laid(line: &str, width: usize) -> Vec<String> {
    let (before, words) = line.split_once('\t').unwrap_or_else(|| line.split_at(line.len() - line.trim_start().len()));
    let indent = text::width(before);
    if indent + text::width(words) <= width {
        return vec![format!("{before}{words}")];
    }
    let parts = wrap(words, width.saturating_sub(indent).max(10)).into_iter().enumerate();
    parts.map(|(i, part)| if i == 0 { format!("{before}{part}") } else { format!("{:indent$}{part}", "") }).collect()
}
