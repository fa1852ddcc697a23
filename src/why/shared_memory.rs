//! Objects in `/dev/shm` that no process uses.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::SystemTime;

use crate::causes::Reader;
use crate::kernel::proc_fs::{ProcFs, RelPath};
use crate::snapshot::SharedObject;
use crate::text::{Charset, sanitize};

/// The most entries that are looked at.
const MOST: usize = 4096;

/// Names below the directory that each process has open. They hold as long as no task of the process has run.
pub(super) type Opened = HashMap<i32, Vec<Vec<u8>>>;

/// Those of `directory` that none of these processes maps or has open; `None` if that is not known: the directory cannot be read, or a process
/// did not answer. Objects of other users are left out unless concmon may read every process.
pub(super) fn unused(
    reader: &mut Reader,
    opened: &mut Opened,
    directory: &Path,
    pids: &[i32],
    all_readable: bool,
) -> Option<Vec<SharedObject>> {
    let own = rustix::process::geteuid().as_raw();
    let now = SystemTime::now();
    let mut objects = Vec::new();
    for entry in std::fs::read_dir(directory).ok()?.take(MOST).flatten() {
        let Ok(about) = entry.metadata() else { continue };
        if !about.is_file() || (!all_readable && about.uid() != own) {
            continue;
        }
        let device = (rustix::fs::major(about.dev()), rustix::fs::minor(about.dev()));
        let age_s = about.modified().ok().and_then(|at| now.duration_since(at).ok()).map_or(0, |age| age.as_secs());
        let name = sanitize(std::os::unix::ffi::OsStrExt::as_bytes(entry.file_name().as_os_str()), Charset::Unicode).into_owned();
        objects.push(((device, about.ino()), SharedObject { name, bytes: about.blocks() * 512, age_s }));
    }
    for pid in pids {
        if objects.is_empty() {
            return Some(Vec::new());
        }
        let used = reader.shared_files(*pid)?;
        objects.retain(|(file, _)| used.binary_search(file).is_err());
    }
    for pid in pids {
        if objects.is_empty() {
            return Some(Vec::new());
        }
        let open = match opened.entry(*pid) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                let (pid, directory) = (*pid, directory.to_owned());
                new.insert(reader.asked(pid, move |fs| open_below(fs, pid, &directory))?)
            }
        };
        objects.retain(|(_, object)| !open.iter().any(|name| name == object.name.as_bytes()));
    }
    let mut unused: Vec<SharedObject> = objects.into_iter().map(|(_, object)| object).collect();
    unused.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.name.cmp(&b.name)));
    Some(unused)
}

/// Names below the directory that a process has open.
fn open_below(fs: &ProcFs, pid: i32, directory: &Path) -> Vec<Vec<u8>> {
    let prefix = std::os::unix::ffi::OsStrExt::as_bytes(directory.as_os_str());
    let mut numbers = Vec::new();
    if fs.list_fds(pid, &mut numbers).is_err() {
        return Vec::new();
    }
    let links = numbers.into_iter().filter_map(|fd| fs.read_link(&RelPath::descriptor(pid, fd)).ok());
    links.filter_map(|link| Some(link.strip_prefix(prefix)?.strip_prefix(b"/")?.to_vec())).collect()
}
