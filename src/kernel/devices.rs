//! The machine's disks, network interfaces and temperatures.

use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use procfs::net::InterfaceDeviceStatus;
use procfs::{DiskStats, FromBufRead};
use sysinfo::Components;

use super::host::Kept;
use super::privilege::let_go_of_loading;
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
    sensors: Option<Sensors>,
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

    /// `None` if the sensors have not answered for a while, or not yet.
    pub(super) fn temperatures(&mut self) -> Option<Vec<Temperature>> {
        self.sensors.get_or_insert_with(|| Sensors::start(read_sensors)).newest()
    }
}

/// A thread that reads the sensors when it is asked: a driver that waits for its device holds up nothing else.
#[derive(Debug)]
struct Sensors {
    ask: Sender<()>,
    answers: Receiver<Vec<Temperature>>,
    known: Option<(Vec<Temperature>, Instant)>,
    asked: Option<Instant>,
}

impl Sensors {
    /// The first answer is waited for, so that the first picture is whole.
    const FIRST: Duration = Duration::from_millis(100);
    /// Temperatures older than this are not shown any more.
    const STALE: Duration = SENSORS_EVERY.saturating_mul(3);

    fn start(make: fn() -> Box<dyn FnMut() -> Vec<Temperature>>) -> Self {
        let ((ask, asked), (tell, answers)) = (channel(), channel());
        // Without a thread there is never an answer, which is what is said then.
        let _ = std::thread::Builder::new().name("sensors".into()).spawn(move || {
            let_go_of_loading(|| true);
            let mut read = make();
            while asked.recv().is_ok() && tell.send(read()).is_ok() {}
        });
        Self { ask, answers, known: None, asked: None }
    }

    fn newest(&mut self) -> Option<Vec<Temperature>> {
        let first = self.asked.is_none();
        if self.asked.is_none_or(|asked| asked.elapsed() >= SENSORS_EVERY && self.known.is_some()) {
            self.asked = self.ask.send(()).is_ok().then(Instant::now);
        }
        let answer = if first { self.answers.recv_timeout(Self::FIRST).ok() } else { self.answers.try_iter().last() };
        if let Some(answer) = answer {
            self.known = Some((answer, Instant::now()));
        }
        self.known.as_ref().filter(|(_, read)| read.elapsed() < Self::STALE).map(|(known, _)| known.clone())
    }
}

fn read_sensors() -> Box<dyn FnMut() -> Vec<Temperature>> {
    let mut sensors = Components::new_with_refreshed_list().ok();
    let mut fresh = true;
    Box::new(move || {
        if let (Some(sensors), false) = (&mut sensors, std::mem::take(&mut fresh)) {
            sensors.refresh(true);
        }
        let known = sensors.iter().flatten().filter_map(|c| Some((c.label(), c.temperature()?)));
        known.filter(|(_, t)| t.is_finite()).map(|(label, celsius)| Temperature { label: label.to_owned(), celsius }).collect()
    })
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
    fn a_sensor_that_does_not_answer_holds_up_nothing() {
        let mut stuck = Sensors::start(|| {
            Box::new(|| {
                loop {
                    std::thread::park();
                }
            })
        });
        let begun = Instant::now();
        assert_eq!((stuck.newest(), stuck.newest()), (None, None));
        assert!(begun.elapsed() < Duration::from_secs(5));
        let reading = || Temperature { label: "board".into(), celsius: 40.0 };
        let mut well = Sensors::start(|| Box::new(|| vec![Temperature { label: "board".into(), celsius: 40.0 }]));
        let until = Instant::now() + Duration::from_secs(20);
        while well.newest().is_none() && Instant::now() < until {
            std::thread::yield_now();
        }
        assert_eq!(well.newest(), Some(vec![reading()]));
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
