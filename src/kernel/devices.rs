//! The machine's disks, network interfaces and temperatures.

use std::path::Path;
use std::time::{Duration, Instant};

use procfs::net::InterfaceDeviceStatus;
use procfs::{DiskStats, FromBufRead};
use sysinfo::Components;

use super::host::Kept;
use crate::snapshot::{DiskSample, NetworkSample, Temperature};

/// A sector of `/proc/diskstats`, bytes, whatever the disk's own are.
const SECTOR: u64 = 512;
/// Sensors are slow to read (some ask the hardware over a bus) and slow to change.
const SENSORS_EVERY: Duration = Duration::from_secs(5);
/// Names of devices that are made of others, of memory, or of nothing: what they do is counted elsewhere too.
const NOT_DISKS: &[&str] = &["loop", "ram", "zram", "dm-", "md", "sr", "fd"];

/// Reads them, from files that are kept open.
#[derive(Debug)]
pub(super) struct Devices {
    diskstats: Kept,
    dev: Kept,
    sensors: Option<(Option<Components>, Instant)>,
}

impl Devices {
    /// Below `root`, `/proc` outside tests; temperatures are the machine's own in any case.
    pub(super) fn new(root: &Path) -> Self {
        Self { diskstats: Kept::new(root.join("diskstats")), dev: Kept::new(root.join("net/dev")), sensors: None }
    }

    pub(super) fn disks(&mut self, buffer: &mut Vec<u8>) -> Option<Vec<DiskSample>> {
        disks(self.diskstats.read(buffer)?)
    }

    pub(super) fn networks(&mut self, buffer: &mut Vec<u8>) -> Option<Vec<NetworkSample>> {
        networks(self.dev.read(buffer)?)
    }

    pub(super) fn temperatures(&mut self) -> Vec<Temperature> {
        let (sensors, read) = self.sensors.get_or_insert_with(|| (Components::new_with_refreshed_list().ok(), Instant::now()));
        if read.elapsed() >= SENSORS_EVERY {
            if let Some(sensors) = sensors {
                sensors.refresh(false);
            }
            *read = Instant::now();
        }
        let known = sensors.iter().flatten().filter_map(|c| Some((c.label(), c.temperature()?)));
        known.filter(|(_, t)| t.is_finite()).map(|(label, celsius)| Temperature { label: label.to_owned(), celsius }).collect()
    }
}

/// The whole disks of `/proc/diskstats`.
#[must_use]
pub fn disks(bytes: &[u8]) -> Option<Vec<DiskSample>> {
    let DiskStats(all) = DiskStats::from_buf_read(bytes).ok()?;
    let names: Vec<&str> = all.iter().map(|d| d.name.as_str()).collect();
    let whole = all.iter().filter(|d| is_whole(&d.name, &names));
    let sample = |d: &procfs::DiskStat| DiskSample {
        name: d.name.clone(),
        read_bytes: d.sectors_read.saturating_mul(SECTOR),
        written_bytes: d.sectors_written.saturating_mul(SECTOR),
        busy_ns: d.time_in_progress.saturating_mul(1_000_000),
    };
    Some(whole.map(sample).collect())
}

/// Whether a device is a disk, and no part of one: a partition is called like its disk with a number, after a `p` where the disk's own
/// name ends in a digit.
fn is_whole(name: &str, all: &[&str]) -> bool {
    let number = |rest: &str| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit());
    let part_of = |disk: &&str| {
        let Some(rest) = name.strip_prefix(*disk) else { return false };
        if disk.ends_with(|c: char| c.is_ascii_digit()) { rest.strip_prefix('p').is_some_and(number) } else { number(rest) }
    };
    !NOT_DISKS.iter().any(|prefix| name.starts_with(prefix)) && !all.iter().filter(|disk| **disk != name).any(part_of)
}

/// The interfaces of `/proc/net/dev` but the loopback, which leads nowhere.
#[must_use]
pub fn networks(bytes: &[u8]) -> Option<Vec<NetworkSample>> {
    let InterfaceDeviceStatus(all) = InterfaceDeviceStatus::from_buf_read(bytes).ok()?;
    let mut found: Vec<NetworkSample> = all
        .into_values()
        .filter(|d| d.name != "lo")
        .map(|d| NetworkSample { name: d.name, received_bytes: d.recv_bytes, sent_bytes: d.sent_bytes })
        .collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_disks_are_not_counted_twice() {
        let line = |name: &str, read: u32| format!(" 8 0 {name} 1 0 {read} 5 1 0 16 5 0 {} 10\n", read * 2);
        let names =
            ["sda", "sda1", "sda12", "nvme0n1", "nvme0n1p1", "nvme0n1p12", "loop0", "dm-0", "md127", "vdb", "zram0", "sr0"];
        let text: String = names.iter().map(|n| line(n, 8)).collect();
        let found = disks(text.as_bytes()).unwrap();
        let whole: Vec<&str> = found.iter().map(|d| d.name.as_str()).collect();
        assert_eq!(whole, ["sda", "nvme0n1", "vdb"]);
        assert_eq!((found[0].read_bytes, found[0].written_bytes, found[0].busy_ns), (4096, 8192, 16_000_000));
        assert_eq!(disks(b" 8 0 sda x y z\n"), None);
        assert_eq!(disks(b""), Some(Vec::new()));
    }

    #[test]
    fn the_loopback_is_no_network() {
        let text = "Inter-|   Receive                                                |  Transmit\n \
             face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n\
             lo:    9504      88    0    0    0     0          0         0     9504      88    0    0    0     0       0          0\n\
             eth0: 22000    100    0    0    0     0          0         0     4000      50    0    0    0     0       0          0\n";
        let eth0 = NetworkSample { name: "eth0".into(), received_bytes: 22_000, sent_bytes: 4_000 };
        assert_eq!(networks(text.as_bytes()), Some(vec![eth0]));
        assert_eq!(networks(b"\xff\n\xfe\n: x"), None);
    }
}
