//! `concmon stream`: writes samples of this machine to standard output as a recording, each frame as soon as it is taken.

use std::path::Path;
use std::time::Instant;

use anyhow::Context as _;

use crate::columns;
use crate::config::Config;
use crate::inspect::watch::WithPythons;
use crate::kernel::AutoSource;
use crate::kernel::source::{Needs, Request, Source as _};
use crate::record::{ALWAYS, Writer};

use super::Failure;

/// Whether `--record` names standard output.
pub(super) fn is_standard_output(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Runs it until standard output is closed by its reader. While a reader is slow no samples are taken: frames are left out, not
/// queued.
pub(super) fn run(config: &Config) -> Result<(), Failure> {
    let mut writer = Writer::standard_output().map_err(|error| Failure::Usage(error.into()))?;
    let source = AutoSource::new("/proc", config.source).map_err(|error| Failure::Unavailable(error.into()))?;
    let mut source = WithPythons::new(source);
    let request = Request::basic(needs(config));
    let mut due = Instant::now();
    loop {
        let snapshot = source.sample(&request).context("cannot read the processes")?;
        writer.write(&snapshot).map_err(anyhow::Error::from)?;
        due = (due + config.delay).max(Instant::now());
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
}

/// What every recording has, and the columns and meters of the config as far as they are cheap: which rows a reader looks at is not known.
fn needs(config: &Config) -> Needs {
    let shown = columns::needs(config.columns.iter().copied()) | config.meters.needs();
    (ALWAYS | shown) - Needs::VISIBLE_ONLY - Needs::SURVEY
}
