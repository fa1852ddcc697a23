//! The machine's disks, network interfaces and temperatures.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use super::kept_file::KeptFile;
use super::links::{Disk, Link, Sysfs, is_disk_by_name};
use super::parse::{diskstats, net_dev};
use super::privilege::let_go_of_loading;
use super::sensors;
use crate::snapshot::{DiskSample, NetworkSample, Temperature};

/// A sector of `/proc/diskstats`, bytes, independent of the disk's own sectors.
const SECTOR: u64 = 512;
/// Sensors are slow to read (some ask the hardware over a bus) and slow to change.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// What a device is made of is asked again after as long as no name has come, within these bounds: an interface becomes a port of a bridge
/// under its own name, but seldom long after the bridge was made.
const ASK_AGAIN: (Duration, Duration) = (LOOK_EVERY, Duration::from_secs(60));

/// Reads them, from files that are kept open.
#[derive(Debug)]
pub(super) struct Devices {
    diskstats: KeptFile,
    dev: KeptFile,
    sysfs: Sysfs,
    disks: Made<Disk>,
    links: Made<Link>,
    sensors: Option<Sensors>,
}

impl Devices {
    /// Below `root`, `/proc` outside tests.
    pub(super) fn new(root: &Path) -> Self {
        Self {
            diskstats: KeptFile::new(root.join("diskstats")),
            dev: KeptFile::new(root.join("net/dev")),
            sysfs: Sysfs::beside(root),
            disks: Made::new(Instant::now()),
            links: Made::new(Instant::now()),
            sensors: None,
        }
    }

    pub(super) fn disks(&mut self, buffer: &mut Vec<u8>) -> Option<Vec<DiskSample>> {
        let Self { diskstats, sysfs, disks: made, .. } = self;
        let bytes = diskstats.read(buffer)?;
        made.begin(Instant::now());
        Some(disks(bytes, |name| made.of(name, || sysfs.disk(name))))
    }

    pub(super) fn networks(&mut self, buffer: &mut Vec<u8>) -> Option<Vec<NetworkSample>> {
        let Self { dev, sysfs, links: made, .. } = self;
        let bytes = dev.read(buffer)?;
        made.begin(Instant::now());
        Some(networks(bytes, |name| made.of(name, || sysfs.link(name))))
    }

    /// `None` if the sensors have not answered for a while, or not yet.
    pub(super) fn temperatures(&mut self) -> Option<Vec<Temperature>> {
        let root = self.sysfs.root().to_owned();
        self.sensors.get_or_insert_with(|| Sensors::start(move || sensors::temperatures(&root))).newest()
    }
}

/// What sysfs said of devices, by their names.
#[derive(Debug)]
struct Made<T> {
    known: HashMap<Box<[u8]>, Option<T>>,
    /// Names that were known before all were asked again.
    before: HashSet<Box<[u8]>>,
    now: Instant,
    asked: Instant,
    /// When a name came last.
    came: Instant,
}

impl<T: Copy> Made<T> {
    fn new(now: Instant) -> Self {
        Self { known: HashMap::new(), before: HashSet::new(), now, asked: now, came: now }
    }

    /// Before a list of names.
    fn begin(&mut self, now: Instant) {
        self.now = now;
        let pause = self.asked.duration_since(self.came).clamp(ASK_AGAIN.0, ASK_AGAIN.1);
        if now.duration_since(self.asked) >= pause {
            self.before = self.known.drain().map(|(name, _)| name).collect();
            self.asked = now;
        }
    }

    fn of(&mut self, name: &[u8], ask: impl FnOnce() -> Option<T>) -> Option<T> {
        if let Some(known) = self.known.get(name) {
            return *known;
        }
        if !self.before.contains(name) {
            self.came = self.now;
        }
        let found = ask();
        self.known.insert(name.into(), found);
        found
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
    const STALE: Duration = LOOK_EVERY.saturating_mul(3);

    fn start(mut read: impl FnMut() -> Vec<Temperature> + Send + 'static) -> Self {
        let ((ask, asked), (tell, answers)) = (channel(), channel());
        // Without a thread there is never an answer, which is what is said then.
        let _ = std::thread::Builder::new().name("sensors".into()).spawn(move || {
            let_go_of_loading(|| true);
            while asked.recv().is_ok() && tell.send(read()).is_ok() {}
        });
        Self { ask, answers, known: None, asked: None }
    }

    fn newest(&mut self) -> Option<Vec<Temperature>> {
        let first = self.asked.is_none();
        if self.asked.is_none_or(|asked| asked.elapsed() >= LOOK_EVERY && self.known.is_some()) {
            self.asked = self.ask.send(()).is_ok().then(Instant::now);
        }
        let answer = if first { self.answers.recv_timeout(Self::FIRST).ok() } else { self.answers.try_iter().last() };
        if let Some(answer) = answer {
            self.known = Some((answer, Instant::now()));
        }
        self.known.as_ref().filter(|(_, read)| read.elapsed() < Self::STALE).map(|(known, _)| known.clone())
    }
}

/// The disks of `/proc/diskstats` that are counted nowhere else. `what` is what sysfs says of a name; of those that it does not know (a
/// container sees another one, or none) the names tell. A name that comes twice counts once, as it was written last.
pub fn disks(bytes: &[u8], mut what: impl FnMut(&[u8]) -> Option<Disk>) -> Vec<DiskSample> {
    let mut lines: Vec<(diskstats::DiskLine<'_>, Option<Disk>)> = Vec::new();
    for line in diskstats::lines(bytes) {
        match lines.iter_mut().find(|(known, _)| known.name == line.name) {
            Some((known, _)) => *known = line,
            None => lines.push((line, what(line.name))),
        }
    }
    let names: Vec<String> = lines.iter().map(|(line, _)| String::from_utf8_lossy(line.name).into_owned()).collect();
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    // The kernel counts at the paths, or at both: then the disk's own figures are those of its paths together.
    let counted = |line: &diskstats::DiskLine<'_>| line.sectors_read.saturating_add(line.sectors_written) > 0;
    let disk_counts = lines.iter().any(|(line, disk)| *disk == Some(Disk::Paths) && counted(line));
    let is_counted = |name: &str, disk: Option<Disk>| match disk {
        Some(Disk::Own) => true,
        Some(Disk::Paths) => disk_counts,
        Some(Disk::Path) => !disk_counts,
        Some(Disk::Other) => false,
        None => is_disk_by_name(name, &all),
    };
    let chosen = lines.iter().zip(&names).filter(|((_, disk), name)| is_counted(name, *disk));
    let sample = |((line, _), name): (&(diskstats::DiskLine<'_>, Option<Disk>), &String)| DiskSample {
        name: name.clone(),
        read_bytes: line.sectors_read.saturating_mul(SECTOR),
        written_bytes: line.sectors_written.saturating_mul(SECTOR),
        busy_ns: line.busy_ms.saturating_mul(1_000_000),
    };
    chosen.map(sample).collect()
}

/// The interfaces of `/proc/net/dev` at which bytes are counted once. `what` is what sysfs says of a name; if sysfs has none it counts,
/// unless it is the loopback.
pub fn networks(bytes: &[u8], mut what: impl FnMut(&[u8]) -> Option<Link>) -> Vec<NetworkSample> {
    let mut lines: Vec<(net_dev::NetLine<'_>, Option<Link>)> = Vec::new();
    for line in net_dev::lines(bytes) {
        match lines.iter_mut().find(|(known, _)| known.name == line.name) {
            Some((known, _)) => *known = line,
            None => lines.push((line, what(line.name))),
        }
    }
    let any = |wanted: fn(Option<Link>) -> bool| lines.iter().any(|(line, link)| line.name != b"lo" && wanted(*link));
    let has_outer = any(|link| matches!(link, None | Some(Link::Outer)));
    let has_way_out = any(|link| matches!(link, Some(Link::Virtual { linked: true, port: false, .. })));
    // In a container the way out is one end of a pair itself. Where nothing leads out, what is left is counted.
    let role = |line: &net_dev::NetLine<'_>, link: Option<Link>| match link {
        None if line.name == b"lo" => None,
        None | Some(Link::Outer) => Some(false),
        Some(Link::Other | Link::Virtual { twin: true, .. }) => None,
        Some(Link::Virtual { linked, port, .. }) => match (has_outer, has_way_out) {
            (true, _) => linked.then_some(true),
            (false, true) => linked.then_some(port),
            (false, false) => Some(port),
        },
    };
    let mut found: Vec<NetworkSample> = lines
        .iter()
        .filter_map(|(line, link)| {
            Some(NetworkSample {
                name: String::from_utf8_lossy(line.name).into_owned(),
                received_bytes: line.received_bytes,
                sent_bytes: line.sent_bytes,
                inner: role(line, *link)?,
            })
        })
        .collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_asked_again_more_and_more_seldom_until_a_name_comes() {
        let begun = Instant::now();
        let mut made = Made::new(begun);
        let mut asked_at = Vec::new();
        for second in 0..400 {
            made.begin(begun + Duration::from_secs(second));
            made.of(b"eth0", || {
                asked_at.push(second);
                Some(())
            });
            if second >= 300 {
                made.of(b"br0", || Some(()));
            }
        }
        assert_eq!(asked_at[..6], [0, 5, 10, 20, 40, 80]);
        assert!(asked_at.contains(&140) && asked_at.contains(&301) && asked_at.contains(&306), "{asked_at:?}");
    }

    #[test]
    fn a_sensor_that_does_not_answer_holds_up_nothing() {
        let mut stuck = Sensors::start(|| {
            loop {
                std::thread::park();
            }
        });
        let begun = Instant::now();
        assert_eq!((stuck.newest(), stuck.newest()), (None, None));
        assert!(begun.elapsed() < Duration::from_secs(5));
        let reading = || Temperature { label: "board".into(), celsius: 40.0 };
        let mut well = Sensors::start(|| vec![Temperature { label: "board".into(), celsius: 40.0 }]);
        let until = Instant::now() + Duration::from_secs(20);
        while well.newest().is_none() && Instant::now() < until {
            std::thread::yield_now();
        }
        assert_eq!(well.newest(), Some(vec![reading()]));
    }
}
