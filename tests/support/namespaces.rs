//! Three hosts in namespaces of this machine, made and ended by `hosts.sh`.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The script; its first lines say what it can do.
pub const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/hosts.sh");

/// The hosts, until this is dropped.
pub struct Namespaces {
    directory: tempfile::TempDir,
    /// Their names, which end in those that were asked for.
    pub names: [String; 3],
}

impl Namespaces {
    /// Makes them, with sshd if its path is given; `None`, said loudly, where that cannot be done.
    pub fn up(names: [&str; 3], sshd: Option<&Path>) -> Option<Self> {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let names = names.map(|name| format!("c{}x{number}{name}", std::process::id()));
        let hosts = Self { directory: tempfile::tempdir().unwrap(), names };
        std::fs::set_permissions(hosts.directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let sshd = sshd.map_or("", |path| path.to_str().unwrap());
        let made = hosts.run_for_all(&["up", hosts.directory(), env!("CARGO_BIN_EXE_concmon"), sshd]);
        if !made.status.success() {
            loudly!("SKIPPED: hosts in namespaces need root and ip: {}", String::from_utf8_lossy(&made.stderr));
            return None;
        }
        Some(hosts)
    }

    /// Runs the script.
    pub fn run(&self, args: &[&str]) -> Output {
        Command::new(SCRIPT).args(args).output().unwrap()
    }

    fn run_for_all(&self, args: &[&str]) -> Output {
        let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        self.run(&[args, &names].concat())
    }

    /// The directory of the script's files.
    pub fn directory(&self) -> &str {
        self.directory.path().to_str().unwrap()
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        self.run_for_all(&["down", self.directory()]);
    }
}
