//! What makes `import concmon_lab` work in the program: a directory with the module and a socket, and the variables that name them.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use crate::lab::catalog::RunSpec;
use crate::lab::helper::{self, objects};
use crate::lab::python::WORKER_MODULE;

/// It; the directory is removed with the run, and by a later concmon if this one is killed.
pub struct Offer {
    pub dir: PathBuf,
    pub lock: File,
    pub listener: UnixListener,
    pub variables: Vec<(String, OsString)>,
}

impl Offer {
    /// Makes one for run `run`.
    pub fn new(run: u32, spec: &RunSpec) -> io::Result<Self> {
        helper::sweep_stale();
        let (base, lock) = helper::private_dir()?;
        let dir = base.join(run.to_string());
        std::fs::create_dir(&dir)?;
        let socket = dir.join("sock");
        let listener = UnixListener::bind(&socket)?;
        listener.set_nonblocking(true)?;
        std::fs::write(dir.join(WORKER_MODULE.0), WORKER_MODULE.1)?;
        let mut search = dir.clone().into_os_string().into_vec();
        if let Some(theirs) = std::env::var_os("PYTHONPATH").filter(|v| !v.is_empty()) {
            search.push(b':');
            search.extend(theirs.into_vec());
        }
        let variables = [
            ("CONCMON_LAB_SOCKET", socket.into()),
            ("CONCMON_LAB_SPEC", serde_json::to_string(spec)?.into()),
            ("CONCMON_LAB_RUN", run.to_string().into()),
            ("CONCMON_LAB_OBJECTS", objects::of_run(&dir).unwrap_or_default().into()),
            ("PYTHONPATH", OsString::from_vec(search)),
        ];
        Ok(Self { dir, lock, listener, variables: variables.map(|(name, value)| (name.to_owned(), value)).into() })
    }
}
