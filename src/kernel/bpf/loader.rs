#![expect(unsafe_code, reason = "bpf(2) has no safe wrapper for links that are read more than once")]
//! Loads the task iterator and reads it. Needs CAP_BPF and CAP_PERFMON (or CAP_SYS_ADMIN) and a kernel with BTF, 5.8 or later.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use aya::programs::Iter;
use aya::{Btf, EbpfLoader};
use rustix::thread::{CapabilitySet, capabilities};

/// The compiled `assets/bpf/task_iter.bpf.c`.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("CARGO_MANIFEST_DIR"), "/assets/bpf/task_iter.bpf.o"));

const BPF_LINK_CREATE: libc::c_int = 28;
const BPF_ITER_CREATE: libc::c_int = 33;
const BPF_TRACE_ITER: u32 = 28;

/// Why the task iterator does not work here, and what would make it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct BpfUnavailable {
    /// One sentence.
    pub why: String,
    /// A command that would enable it, if one would.
    pub better: Option<String>,
}

impl BpfUnavailable {
    fn new(why: impl Into<String>) -> Self {
        Self { why: why.into(), better: None }
    }
}

/// A loaded and attached iterator.
#[derive(Debug)]
pub struct TaskIterator {
    link: OwnedFd,
}

impl TaskIterator {
    /// Loads and attaches; takes some 100 ms, most of it for the kernel's type information.
    ///
    /// # Errors
    /// Why it does not work here.
    pub fn load() -> Result<Self, BpfUnavailable> {
        check_privilege()?;
        let btf = Btf::from_sys_fs().map_err(|error| {
            BpfUnavailable::new(format!("the kernel has no type information in /sys/kernel/btf/vmlinux: {error}"))
        })?;
        let failed = |what: &str, error: &dyn std::error::Error| BpfUnavailable::new(format!("{what}: {}", chain(error)));
        let mut object = EbpfLoader::new()
            .btf(Some(&btf))
            .load(OBJECT)
            .map_err(|error| failed("the task iterator does not fit this kernel", &error))?;
        let program =
            object.program_mut("tasks").ok_or_else(|| BpfUnavailable::new("the task iterator's object has no program"))?;
        let iterator: &mut Iter = program.try_into().map_err(|error| failed("the task iterator has the wrong type", &error))?;
        iterator.load("task", &btf).map_err(|error| failed("the kernel refuses the task iterator", &error))?;
        let program = iterator.fd().map_err(|error| failed("the task iterator has no descriptor", &error))?;
        // The link holds the program; the loader's memory goes when this function ends.
        let link = link_create(program.as_fd()).map_err(|error| failed("cannot attach the task iterator", &error))?;
        Ok(Self { link })
    }

    /// What holds it in the kernel, and is all of it.
    pub(super) fn link(&self) -> BorrowedFd<'_> {
        self.link.as_fd()
    }

    /// One that another process has loaded.
    pub(super) fn from_link(link: OwnedFd) -> Self {
        Self { link }
    }

    /// A descriptor from which all tasks can be read once.
    ///
    /// # Errors
    /// As the kernel says.
    pub fn open(&self) -> std::io::Result<OwnedFd> {
        let mut attributes = [0u32; 16];
        attributes[0] = raw(self.link.as_fd())?;
        bpf(BPF_ITER_CREATE, &attributes)
    }
}

fn link_create(program: BorrowedFd<'_>) -> std::io::Result<OwnedFd> {
    let mut attributes = [0u32; 16];
    attributes[0] = raw(program)?;
    attributes[2] = BPF_TRACE_ITER;
    bpf(BPF_LINK_CREATE, &attributes)
}

fn raw(fd: BorrowedFd<'_>) -> std::io::Result<u32> {
    u32::try_from(fd.as_raw_fd()).map_err(std::io::Error::other)
}

/// bpf(2) for commands that return a descriptor and take only numbers.
fn bpf(command: libc::c_int, attributes: &[u32; 16]) -> std::io::Result<OwnedFd> {
    // SAFETY: the kernel reads 64 bytes from `attributes`, all of them initialised; the commands used here hold no pointers in them.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attributes.as_ptr(), size_of_val(attributes)) };
    let fd = i32::try_from(result).ok().filter(|fd| *fd >= 0).ok_or_else(std::io::Error::last_os_error)?;
    // SAFETY: the kernel has just made this descriptor for us, and no other code knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

pub(super) fn check_privilege() -> Result<(), BpfUnavailable> {
    let effective = capabilities(None).map(|sets| sets.effective).unwrap_or(CapabilitySet::empty());
    let needed = CapabilitySet::BPF | CapabilitySet::PERFMON;
    if effective.contains(needed) || effective.contains(CapabilitySet::SYS_ADMIN) {
        return Ok(());
    }
    Err(BpfUnavailable {
        why: "reading all tasks at once with BPF needs CAP_BPF and CAP_PERFMON".to_owned(),
        better: Some("sudo setcap cap_bpf,cap_perfmon+ep \"$(command -v concmon)\"".to_owned()),
    })
}

/// An error with its causes, on one line: the verifier's log has hundreds, of which the last says what is wrong.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    let line = text.lines().next().unwrap_or_default();
    line.chars().take(240).collect()
}
