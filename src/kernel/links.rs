//! Which block devices and network interfaces to count, so that each byte is counted once: sysfs says what each device is made of.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// What a block device is, by `/sys/block` (Documentation/ABI/stable/sysfs-block).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disk {
    /// A device of its own: what it reads and writes is counted nowhere else.
    Own,
    /// One path to a disk that has several (NVMe multipath). Kernels before 6.5 count here only, later ones at the disk too.
    Path,
    /// A disk that has such paths.
    Paths,
    /// Made of other devices, of memory or of a file, or part of another.
    Other,
}

/// What a network interface is, by `/sys/class/net` (Documentation/ABI/testing/sysfs-class-net).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// It leads out of the machine.
    Outer,
    /// Virtual, with no interface below it.
    Virtual {
        /// Whether it has another end: in another network namespace, in a virtual machine, or here.
        linked: bool,
        /// Whether it is a port of a bridge or the like.
        port: bool,
        /// Whether the same bytes are counted at its other end, which is here and comes first.
        twin: bool,
    },
    /// What goes through it is counted at another interface: bridge, bond, VLAN, tunnel; or it is the loopback.
    Other,
}

/// ARPHRD_ETHER and ARPHRD_LOOPBACK of `include/uapi/linux/if_arp.h`.
const ETHERNET: u64 = 1;
const LOOPBACK: u64 = 772;
/// IFF_TAP of `include/uapi/linux/if_tun.h`: a virtual machine is behind it, not a tunnel.
const TAP: u64 = 2;

/// A `/sys`, or a directory that looks like it.
#[derive(Debug, Clone)]
pub struct Sysfs {
    root: PathBuf,
}

impl Sysfs {
    /// The one that goes with a `/proc`: `/sys`, or in a tree that looks like `/proc` the directory `sys` of that tree.
    #[must_use]
    pub fn beside(proc: &Path) -> Self {
        Self { root: if proc == Path::new("/proc") { PathBuf::from("/sys") } else { proc.join("sys") } }
    }

    /// Its directory.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What the block device of this name is; `None` if there is none here.
    #[must_use]
    pub fn disk(&self, name: &[u8]) -> Option<Disk> {
        let name: Vec<u8> = name.iter().map(|byte| if *byte == b'/' { b'!' } else { *byte }).collect();
        let dir = self.root.join("block").join(OsStr::from_bytes(&name));
        if name.is_empty() || !dir.is_dir() {
            let class = self.root.join("class/block").join(OsStr::from_bytes(&name));
            return (!name.is_empty() && class.join("partition").exists()).then_some(Disk::Other);
        }
        let is_made_of_others = has_entry(&dir.join("slaves"), |_| true);
        let device = dir.join("device");
        Some(match () {
            () if is_made_of_others => Disk::Other,
            () if number(&dir.join("hidden")) == Some(1) => Disk::Path,
            // The device of such a disk is the subsystem, which has a link to each controller.
            () if device.is_dir() && is_subsystem(&device) => Disk::Paths,
            () if device.exists() => Disk::Own,
            // No device, but a server behind it: a connected network block device.
            () if dir.join("pid").exists() => Disk::Own,
            () => Disk::Other,
        })
    }

    /// What the interface of this name is; `None` if there is none here.
    #[must_use]
    pub fn link(&self, name: &[u8]) -> Option<Link> {
        let dir = self.root.join("class/net").join(OsStr::from_bytes(name));
        if name.is_empty() || !dir.is_dir() {
            return None;
        }
        let is_ethernet = number(&dir.join("type")).is_none_or(|kind| kind == ETHERNET);
        let has_device = dir.join("device").exists();
        let made_of_others = has_entry(&dir, |entry| entry.starts_with(b"lower_"));
        let leads = has_entry(&dir, |entry| {
            let lower = entry.strip_prefix(b"lower_").map(|_| dir.join(OsStr::from_bytes(entry)));
            lower.is_some_and(|lower| same_file(&lower.join("master"), &dir))
        });
        // One card as two interfaces (a virtual function below a hypervisor's interface): the upper one counts for both.
        let half = dir.join("master/device").exists();
        Some(match () {
            () if number(&dir.join("type")) == Some(LOOPBACK) => Link::Other,
            () if has_device && !half && (leads || !made_of_others) => Link::Outer,
            () if has_device || made_of_others => Link::Other,
            () if dir.join("bridge").is_dir() || dir.join("bonding").is_dir() => Link::Other,
            () if is_tunnel(&dir, is_ethernet) => Link::Other,
            () => self.virtual_link(&dir),
        })
    }

    fn virtual_link(&self, dir: &Path) -> Link {
        let (own, other) = (number(&dir.join("ifindex")), number(&dir.join("iflink")));
        let is_tap = dir.join("tun_flags").exists();
        let twin = own.zip(other).filter(|(own, other)| own != other && self.is_twin(*own, *other));
        Link::Virtual {
            linked: is_tap || own != other,
            port: dir.join("master").exists(),
            twin: twin.is_some_and(|(own, other)| other < own),
        }
    }

    /// Whether the interface with the number `other` has `own` as its other end: both ends of a pair are here.
    fn is_twin(&self, own: u64, other: u64) -> bool {
        let all = std::fs::read_dir(self.root.join("class/net")).into_iter().flatten().flatten();
        all.map(|entry| entry.path())
            .any(|dir| number(&dir.join("ifindex")) == Some(other) && number(&dir.join("iflink")) == Some(own))
    }
}

/// Whether what goes through this virtual interface is sent on inside packets of another one.
fn is_tunnel(dir: &Path, is_ethernet: bool) -> bool {
    let flags = std::fs::read_to_string(dir.join("tun_flags")).ok();
    let flags = flags.and_then(|text| u64::from_str_radix(text.trim().trim_start_matches("0x"), 16).ok());
    if let Some(flags) = flags {
        return flags & TAP == 0;
    }
    let uevent = std::fs::read_to_string(dir.join("uevent")).unwrap_or_default();
    let kind = uevent.lines().find_map(|line| line.strip_prefix("DEVTYPE=")).unwrap_or_default();
    !is_ethernet || ["vxlan", "geneve", "bareudp", "gre", "wireguard", "ppp", "vlan", "macsec"].contains(&kind)
}

fn is_subsystem(device: &Path) -> bool {
    device.join("subsysnqn").exists() && !device.join("transport").exists()
}

fn number(path: &Path) -> Option<u64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn has_entry(dir: &Path, wanted: impl Fn(&[u8]) -> bool) -> bool {
    std::fs::read_dir(dir).into_iter().flatten().flatten().any(|entry| wanted(entry.file_name().as_bytes()))
}

fn same_file(a: &Path, b: &Path) -> bool {
    let real = |path: &Path| std::fs::canonicalize(path).ok();
    real(a).is_some_and(|a| Some(a) == real(b))
}

/// Names of devices that are made of others, of memory, or of nothing, for where sysfs does not say; each is followed by a number.
const NOT_DISKS: &[&str] = &["loop", "ram", "zram", "dm-", "md", "sr", "fd", "bcache", "zd", "drbd", "ublkb"];

/// Whether a block device is a disk by its name alone, and no part of one of `all`: a part is called like its disk with a number, after a
/// `p` where the disk's own name ends in a digit.
#[must_use]
pub fn is_disk_by_name(name: &str, all: &[&str]) -> bool {
    let is_number = |rest: &str| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit());
    let part_of = |disk: &&str| {
        let Some(rest) = name.strip_prefix(*disk) else { return false };
        if disk.ends_with(|c: char| c.is_ascii_digit()) { rest.strip_prefix('p').is_some_and(is_number) } else { is_number(rest) }
    };
    // nvme0c1n1 is a path to nvme0n1.
    let path_of_nvme =
        name.strip_prefix("nvme").is_some_and(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()).starts_with('c'));
    let other = NOT_DISKS
        .iter()
        .filter_map(|prefix| name.strip_prefix(prefix))
        .any(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    !other && !path_of_nvme && !all.iter().filter(|disk| **disk != name).any(part_of)
}
