//! Words that several screens draw.

use ratatui::style::Style;

use crate::lab::run::{Outcome, Run, RunPhase};
use crate::text::{Charset, sanitize_str};

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
