//! Disks, network interfaces and sensors of made-up machines: each byte is counted once, and what does not work is left out.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use concmon::kernel::ProcSource;
use concmon::kernel::sensors::temperatures;
use concmon::kernel::source::{Needs, Request, Source};
use concmon::snapshot::HostSample;

use crate::support::fake_proc::FakeProc;

/// A machine whose `/sys` is made of files.
struct Machine {
    proc: FakeProc,
}

impl Machine {
    fn new() -> Self {
        Self { proc: FakeProc::new() }
    }

    fn file(&self, path: &str, content: &str) -> &Self {
        self.proc.write(&format!("sys/{path}"), content);
        self
    }

    fn link(&self, path: &str, target: &str) -> &Self {
        let (path, target) = (self.proc.root().join("sys").join(path), self.proc.root().join("sys").join(target));
        std::fs::create_dir_all(&target).expect("the target");
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
        symlink(target, path).expect("a link");
        self
    }

    /// A block device; `device` is what its link of that name leads to.
    fn disk(&self, name: &str, device: Option<&str>, slaves: &[&str]) -> &Self {
        self.file(&format!("block/{name}/size"), "8\n");
        if let Some(device) = device {
            self.link(&format!("block/{name}/device"), &format!("devices/{device}"));
        }
        for slave in slaves {
            self.link(&format!("block/{name}/slaves/{slave}"), &format!("block/{slave}"));
        }
        self
    }

    /// An interface of Ethernet with its number and that of its other end.
    fn interface(&self, name: &str, index: u32, other: u32) -> &Self {
        let dir = format!("class/net/{name}");
        self.file(&format!("{dir}/type"), "1\n").file(&format!("{dir}/ifindex"), &format!("{index}\n"));
        self.file(&format!("{dir}/iflink"), &format!("{other}\n")).file(&format!("{dir}/uevent"), &format!("INTERFACE={name}\n"))
    }

    fn card(&self, name: &str, index: u32) -> &Self {
        self.interface(name, index, index).link(&format!("class/net/{name}/device"), &format!("devices/pci/{name}"))
    }

    /// `upper` is made of `lower`, or has it as a port.
    fn over(&self, upper: &str, lower: &str, port: bool) -> &Self {
        self.link(&format!("class/net/{upper}/lower_{lower}"), &format!("class/net/{lower}"));
        if port {
            self.link(&format!("class/net/{lower}/master"), &format!("class/net/{upper}"));
        }
        self
    }

    fn host(&self, needs: Needs) -> HostSample {
        let mut source = ProcSource::with_system(self.proc.root(), self.proc.system()).expect("the tree");
        source.sample(&Request::basic(needs)).expect("a sample").host
    }

    fn disks(&self, names: &[&str]) -> Vec<String> {
        let line = |name: &&str| format!(" 8 0 {name} 1 0 8 5 1 0 16 5 0 5 10\n");
        self.proc.write("diskstats", names.iter().map(line).collect::<String>());
        self.host(Needs::DISKS).disks.expect("disks").into_iter().map(|disk| disk.name).collect()
    }

    /// The interfaces that count, those of inner links with a `+`.
    fn networks(&self, names: &[&str]) -> Vec<String> {
        let line = |name: &&str| format!("{name}: 1 1 0 0 0 0 0 0 2 1 0 0 0 0 0 0\n");
        self.proc.write("net/dev", names.iter().map(line).collect::<String>());
        let all = self.host(Needs::NETWORKS).networks.expect("interfaces");
        all.into_iter().map(|network| if network.inner { format!("{}+", network.name) } else { network.name }).collect()
    }
}

#[test]
fn a_byte_of_a_stacked_disk_is_counted_once() {
    let machine = Machine::new();
    machine.disk("sda", Some("a"), &[]).disk("sdb", Some("b"), &[]).file("class/block/sda1/partition", "1\n");
    machine.disk("mdraid", None, &["sda", "sdb"]).disk("dm-0", None, &["mdraid"]).disk("bcache0", None, &["sdb"]);
    machine.disk("zd0", None, &[]).disk("drbd0", None, &[]).disk("ublkb0", None, &[]);
    machine.disk("loop0", None, &[]).disk("zram0", None, &[]).disk("nbd1", None, &[]);
    machine.disk("nbd0", None, &[]).file("block/nbd0/pid", "77\n").disk("cciss!c0d0", Some("c"), &[]);
    let found = machine.disks(&[
        "sda",
        "sda1",
        "sdb",
        "mdraid",
        "dm-0",
        "bcache0",
        "zd0",
        "drbd0",
        "ublkb0",
        "loop0",
        "zram0",
        "nbd0",
        "nbd1",
        "cciss/c0d0",
    ]);
    assert_eq!(found, ["sda", "sdb", "nbd0", "cciss/c0d0"]);
}

#[test]
fn a_disk_with_several_paths_is_counted_at_itself_or_at_them() {
    let machine = Machine::new();
    machine.file("devices/subsys0/subsysnqn", "nqn\n").disk("nvme0n1", Some("subsys0"), &[]);
    machine.file("devices/nvme0/transport", "pcie\n").disk("nvme0c0n1", Some("nvme0"), &[]).file("block/nvme0c0n1/hidden", "1\n");
    machine.disk("nvme0c1n1", Some("nvme0"), &[]).file("block/nvme0c1n1/hidden", "1\n");
    assert_eq!(machine.disks(&["nvme0c0n1", "nvme0c1n1", "nvme0n1"]), ["nvme0n1"]);
    // Before 6.5 the kernel counts at the paths only.
    let line = |name: &str, n: u32| format!(" 259 0 {name} {n} 0 {n} {n} {n} 0 {n} {n} 0 {n} {n}\n");
    machine.proc.write("diskstats", [line("nvme0c0n1", 8), line("nvme0c1n1", 8), line("nvme0n1", 0)].concat());
    let names: Vec<String> = machine.host(Needs::DISKS).disks.expect("disks").into_iter().map(|disk| disk.name).collect();
    assert_eq!(names, ["nvme0c0n1", "nvme0c1n1"]);
}

#[test]
fn without_sysfs_the_names_of_disks_tell() {
    let names = [
        "sda",
        "sda1",
        "sda12",
        "nvme0n1",
        "nvme0n1p1",
        "loop0",
        "dm-0",
        "md127",
        "vdb",
        "zram0",
        "sr0",
        "bcache0",
        "zd16",
        "drbd1",
    ];
    let more = ["ublkb0", "nvme0c0n1", "mmcblk0", "mmcblk0p2", "mdadmish", "loopy"];
    let found = Machine::new().disks(&[&names[..], &more[..]].concat());
    assert_eq!(found, ["sda", "nvme0n1", "vdb", "mmcblk0", "mdadmish", "loopy"]);
}

#[test]
fn a_byte_is_counted_at_one_interface() {
    let machine = Machine::new();
    machine.interface("lo", 1, 1).file("class/net/lo/type", "772\n").card("eth0", 2).card("eth1", 3);
    machine.interface("bond0", 4, 4).over("bond0", "eth0", true).over("bond0", "eth1", true);
    machine
        .interface("bond0.7", 5, 4)
        .over("bond0.7", "bond0", false)
        .interface("macvlan0", 6, 2)
        .over("macvlan0", "eth0", false);
    machine.interface("docker0", 7, 7).interface("veth1", 8, 2).over("docker0", "veth1", true);
    machine.interface("tap0", 9, 9).file("class/net/tap0/tun_flags", "0x1002\n");
    machine.interface("tun0", 10, 10).file("class/net/tun0/tun_flags", "0x1001\n").file("class/net/tun0/type", "65534\n");
    machine.interface("wg0", 11, 11).file("class/net/wg0/type", "65534\n");
    machine.interface("vxlan0", 12, 12).file("class/net/vxlan0/uevent", "DEVTYPE=vxlan\n");
    machine.interface("dummy0", 13, 13).interface("br1", 14, 14).file("class/net/br1/bridge/bridge_id", "8\n");
    machine.interface("pair-a", 15, 16).interface("pair-b", 16, 15);
    let all = [
        "lo", "eth0", "eth1", "bond0", "bond0.7", "macvlan0", "docker0", "veth1", "tap0", "tun0", "wg0", "vxlan0", "dummy0",
        "br1", "pair-a", "pair-b",
    ];
    assert_eq!(machine.networks(&all), ["eth0", "eth1", "pair-a+", "tap0+", "veth1+"]);
}

#[test]
fn in_a_container_the_end_of_a_pair_leads_out() {
    let machine = Machine::new();
    machine.interface("lo", 1, 1).file("class/net/lo/type", "772\n").interface("eth0", 2, 44);
    assert_eq!(machine.networks(&["lo", "eth0"]), ["eth0"]);
    machine.interface("docker0", 3, 3).interface("veth9", 4, 2).over("docker0", "veth9", true).interface("dummy0", 5, 5);
    assert_eq!(machine.networks(&["lo", "eth0", "docker0", "veth9", "dummy0"]), ["eth0", "veth9+"], "containers in a container");
    let alone = Machine::new();
    alone.interface("lo", 1, 1).file("class/net/lo/type", "772\n").interface("dummy0", 2, 2);
    assert_eq!(alone.networks(&["lo", "dummy0"]), ["dummy0"], "nothing else is there");
    assert_eq!(Machine::new().networks(&["lo", "eth0", "odd"]), ["eth0", "odd"], "no sysfs, or another namespace's");
}

#[test]
fn one_card_as_two_interfaces_is_one() {
    let machine = Machine::new();
    machine.card("eth0", 2).card("enP1", 3).over("eth0", "enP1", true);
    assert_eq!(machine.networks(&["eth0", "enP1"]), ["eth0"], "a hypervisor's interface over a virtual function");
    let switch = Machine::new();
    switch.card("eth0", 2).card("lan1", 3).over("lan1", "eth0", false);
    assert_eq!(switch.networks(&["eth0", "lan1"]), ["eth0"], "a port of a switch behind a card");
}

/// Chips with their inputs: directory, then files.
fn sys(files: &[(&str, &str)]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a directory");
    for (path, content) in files {
        let path = dir.path().join("class").join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
        std::fs::write(path, content).expect("a file");
    }
    let root = dir.path().to_owned();
    (dir, root)
}

fn read(root: &Path) -> Vec<(String, f32)> {
    temperatures(root).into_iter().map(|found| (found.label, found.celsius)).collect()
}

#[test]
fn sensors_that_do_not_work_are_left_out() {
    let good = [
        ("hwmon/hwmon0/name", "coretemp\n"),
        ("hwmon/hwmon0/temp1_input", "45000\n"),
        ("hwmon/hwmon0/temp1_label", "Package id 0\n"),
    ];
    let package = || ("coretemp Package id 0".to_owned(), 45.0);
    for (what, more, want) in [
        ("alone", vec![], vec![package()]),
        ("a fault flag", vec![("temp1_input", "127500\n"), ("temp1_fault", "1\n")], vec![package()]),
        ("a fault flag on a plausible figure", vec![("temp1_input", "41000\n"), ("temp1_fault", "1\n")], vec![package()]),
        (
            "a fault flag that is not set",
            vec![("temp1_input", "41000\n"), ("temp1_fault", "0\n")],
            vec![package(), ("nct temp1".into(), 41.0)],
        ),
        ("the end of an 8-bit scale", vec![("temp1_input", "127000\n")], vec![package()]),
        ("the other end", vec![("temp1_input", "-128000\n")], vec![package()]),
        ("65,262 degrees", vec![("temp1_input", "65262000\n")], vec![package()]),
        ("disabled", vec![("temp1_input", "41000\n"), ("temp1_enable", "0\n")], vec![package()]),
        ("no figure", vec![("temp1_input", "\n"), ("temp2_input", "N/A\n")], vec![package()]),
        (
            "an input that cannot be read",
            vec![("temp1_input/x", "\n"), ("temp3_input", "30000\n")],
            vec![package(), ("nct temp3".into(), 30.0)],
        ),
        ("below zero", vec![("temp1_input", "-12500\n")], vec![package(), ("nct temp1".into(), -12.5)]),
        ("beyond 64 bits", vec![("temp1_input", "99999999999999999999\n")], vec![package()]),
        ("in the order of their numbers", vec![("temp10_input", "10000\n"), ("temp2_input", "2000\n")], {
            vec![package(), ("nct temp2".into(), 2.0), ("nct temp10".into(), 10.0)]
        }),
        ("an old driver", vec![("device/temp1_input", "30000\n")], vec![package(), ("nct temp1".into(), 30.0)]),
    ] {
        let more: Vec<(String, &str)> =
            more.into_iter().map(|(path, content)| (format!("hwmon/hwmon1/{path}"), content)).collect();
        let name = [("hwmon/hwmon1/name", "nct\n")];
        let files: Vec<(&str, &str)> = good.into_iter().chain(name).chain(more.iter().map(|(p, c)| (p.as_str(), *c))).collect();
        let (_dir, root) = sys(&files);
        assert_eq!(read(&root), want, "{what}");
    }
}

#[test]
fn a_sensor_that_is_removed_is_gone_and_zones_stand_in_for_chips() {
    let (_dir, root) = sys(&[("hwmon/hwmon0/name", "usb\n"), ("hwmon/hwmon0/temp1_input", "45000\n")]);
    assert_eq!(read(&root).len(), 1);
    std::fs::remove_dir_all(root.join("class/hwmon/hwmon0")).expect("it is removed");
    assert_eq!(read(&root), []);
    let zones = [
        ("thermal/thermal_zone0/type", "cpu-thermal\n"),
        ("thermal/thermal_zone0/temp", "51500\n"),
        ("thermal/thermal_zone1/type", "off\n"),
        ("thermal/thermal_zone1/temp", "20000\n"),
        ("thermal/thermal_zone1/mode", "disabled\n"),
        ("thermal/cooling_device0/type", "Fan\n"),
    ];
    let (_dir, root) = sys(&zones);
    assert_eq!(read(&root), [("cpu-thermal".to_owned(), 51.5)]);
    assert_eq!(read(Path::new("/nonexistent")), []);
}
