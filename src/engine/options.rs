//! The display options that a session starts with.

use std::collections::HashSet;

use crate::app::lab_view::Watched;
use crate::app::options::Options;
use crate::config::Config;
use crate::query::Filter;
use crate::ui::theme::THEMES;

/// From the config file and the command line.
///
/// # Errors
/// If the filter is none.
pub(super) fn options(config: &Config) -> anyhow::Result<Options> {
    let filter = match &config.filter {
        Some(text) => Some(
            Filter::parse_with(text, &config.saved_filters)
                .map_err(|e| anyhow::anyhow!("invalid filter: {}", e.pointed(text)))?,
        ),
        None => None,
    };
    Ok(Options {
        columns: config.columns.clone(),
        meters: config.meters.clone(),
        sort: config.sort.column,
        descending: config.sort.descending,
        tree: config.tree,
        threads: config.threads,
        kernel_threads: config.kernel_threads,
        show_path: config.show_path,
        user: config.user.as_ref().map(|u| u.name.clone()),
        pids: (!config.pids.is_empty()).then(|| config.pids.iter().copied().collect::<HashSet<_>>()),
        filter,
        saved_filters: config.saved_filters.clone(),
        keys: config.keys,
        clipboard: config.clipboard,
        readonly: config.readonly,
        find_deadlocks: config.find_deadlocks,
        unicode: config.unicode,
        theme: config.theme.clone(),
        themes: THEMES,
        delay_s: config.delay.as_secs_f64(),
        own_pid: i32::try_from(std::process::id()).unwrap_or(0),
        watched: Watched {
            hold_ms: u32::try_from(config.lab.hold.as_millis()).unwrap_or(u32::MAX),
            timeout_ms: u64::try_from(config.lab.timeout.as_millis()).unwrap_or(u64::MAX),
        },
        ..Options::default()
    })
}
