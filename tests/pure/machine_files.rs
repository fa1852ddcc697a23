//! What kernels, containers and emulations write about a machine, and what a correct reader makes of it: one table for each file.

use concmon::kernel::host::cpu_times;
use concmon::kernel::parse::machine::{count_of, load, pressure, uptime_ns};
use concmon::kernel::parse::meminfo::{self, ZfsCache};
use concmon::kernel::parse::smaps::SmapsRollup;
use concmon::kernel::parse::status::{Status, cpus_allowed};
use concmon::kernel::parse::{cgroup, diskstats, net_dev};
use concmon::snapshot::MemorySample;

const KIB: u64 = 1024;
const GIB: u64 = 1 << 30;

/// `/proc/meminfo` of a desktop with kernel 6.1, without the lines that no reader uses.
const USUAL: &str = "MemTotal:       24684096 kB\nMemFree:        22533320 kB\nMemAvailable:   24213452 kB\nBuffers:           19824 kB\n\
    Cached:          1596632 kB\nSwapCached:            0 kB\nSwapTotal:       8388604 kB\nSwapFree:        8388604 kB\n\
    Shmem:              9392 kB\nSReclaimable:     377208 kB\n";

fn usual() -> MemorySample {
    MemorySample {
        total_bytes: 24_684_096 * KIB,
        available_bytes: Some(24_213_452 * KIB),
        free_bytes: Some(22_533_320 * KIB),
        buffers_bytes: Some(19_824 * KIB),
        cached_bytes: Some((1_596_632 + 377_208 - 9_392) * KIB),
        shmem_bytes: Some(9_392 * KIB),
        swap_total_bytes: Some(8_388_604 * KIB),
        swap_free_bytes: Some(8_388_604 * KIB),
    }
}

#[test]
fn meminfo() {
    let without = |line: &str| USUAL.lines().filter(|l| !l.starts_with(line)).map(|l| format!("{l}\n")).collect::<String>();
    let with = |line: &str, other: &str| USUAL.replace(USUAL.lines().find(|l| l.starts_with(line)).unwrap_or_default(), other);
    let cases: Vec<(&str, String, Option<MemorySample>)> = vec![
        ("Linux 6.1", USUAL.into(), Some(usual())),
        (
            "WSL: a swap with more free than there is",
            USUAL.replace("SwapFree:        8388604 kB", "SwapFree:18014398503714728 kB"),
            Some(MemorySample { swap_free_bytes: None, ..usual() }),
        ),
        (
            "DD-WRT: the table of kernel 2.4 before the lines",
            format!(
                "        total:    used:    free:  shared: buffers:  cached:\nMem:  260579328 136073216 124506112        0  4915200 94064640\n\
                 Swap:        0        0        0\n{USUAL}"
            ),
            Some(usual()),
        ),
        (
            "that table alone",
            "        total:    used:    free:  shared: buffers:  cached:\nMem:  260579328 136073216 124506112        0  4915200 94064640\n\
             Swap:  1000 400 600\n"
                .into(),
            Some(MemorySample {
                total_bytes: 260_579_328,
                free_bytes: Some(124_506_112),
                swap_total_bytes: Some(1000),
                swap_free_bytes: Some(600),
                ..MemorySample::default()
            }),
        ),
        (
            "gVisor: SwapCache for SwapCached, no slab",
            "MemTotal:        2097152 kB\nMemFree:         1800000 kB\nMemAvailable:    1900000 kB\nBuffers:               0 kB\n\
             Cached:           100000 kB\nSwapCache:             0 kB\nSwapTotal:             0 kB\nSwapFree:              0 kB\nShmem:  0 kB\n"
                .into(),
            Some(MemorySample {
                total_bytes: 2 * GIB,
                available_bytes: Some(1_900_000 * KIB),
                free_bytes: Some(1_800_000 * KIB),
                buffers_bytes: Some(0),
                cached_bytes: Some(100_000 * KIB),
                shmem_bytes: Some(0),
                swap_total_bytes: Some(0),
                swap_free_bytes: Some(0),
            }),
        ),
        ("before 3.14: no MemAvailable", without("MemAvailable"), Some(MemorySample { available_bytes: None, ..usual() })),
        (
            "before 2.6.32: no Shmem either",
            without("Shmem").replace("MemAvailable:   24213452 kB\n", ""),
            Some(MemorySample {
                available_bytes: None,
                shmem_bytes: None,
                cached_bytes: Some((1_596_632 + 377_208) * KIB),
                ..usual()
            }),
        ),
        (
            "LXCFS: less memory than the machine, no slab, available above the total",
            "MemTotal:        1048576 kB\nMemFree:          900000 kB\nMemAvailable:   24213452 kB\nCached:            50000 kB\n\
             Buffers:               0 kB\nSwapTotal:             0 kB\nSwapFree:              0 kB\nSlab:                  0 kB\n"
                .into(),
            Some(MemorySample {
                total_bytes: GIB,
                available_bytes: Some(GIB),
                free_bytes: Some(900_000 * KIB),
                buffers_bytes: Some(0),
                cached_bytes: Some(50_000 * KIB),
                shmem_bytes: None,
                swap_total_bytes: Some(0),
                swap_free_bytes: Some(0),
            }),
        ),
        ("Android: lines of its own", format!("{USUAL}RsvdPool: 1 kB\nION_heap:  12 kB\nCmaTotal:  0 kB\n"), Some(usual())),
        ("CRLF", USUAL.replace('\n', "\r\n"), Some(usual())),
        ("lower case", USUAL.to_ascii_lowercase(), Some(usual())),
        ("without units", USUAL.replace(" kB", ""), Some(usual())),
        ("blank lines and a line of bytes", USUAL.replace("Buffers", "\n\u{fffd}\u{0}:::\n:\nBuffers"), Some(usual())),
        (
            "a figure that is none",
            with("MemAvailable", "MemAvailable:  many kB"),
            Some(MemorySample { available_bytes: None, ..usual() }),
        ),
        (
            "a negative figure",
            with("Buffers", "Buffers: -4 kB"),
            Some(MemorySample { buffers_bytes: None, ..usual() }),
        ),
        (
            "a figure beyond 64 bits",
            with("SwapTotal", "SwapTotal: 99999999999999999999 kB"),
            Some(MemorySample { swap_total_bytes: None, swap_free_bytes: None, ..usual() }),
        ),
        (
            "a figure whose bytes are beyond 64 bits",
            with("MemFree", "MemFree: 18446744073709551615 kB"),
            Some(MemorySample { free_bytes: None, ..usual() }),
        ),
        ("another unit", with("Buffers", "Buffers: 19 mB"), Some(MemorySample { buffers_bytes: None, ..usual() })),
        ("a line twice: the last", format!("MemFree: 1 kB\n{USUAL}"), Some(usual())),
        ("a line twice: the one that is a number", format!("{USUAL}MemFree: x kB\n"), Some(usual())),
        ("the last line cut in its figure", format!("{}SReclaimable:     37", without("SReclaimable")), {
            Some(MemorySample { cached_bytes: Some((1_596_632 - 9_392) * KIB), ..usual() })
        }),
        ("the last line without its newline", USUAL.trim_end().into(), Some(usual())),
        ("no total", without("MemTotal"), None),
        ("a total of nothing", with("MemTotal", "MemTotal: 0 kB"), None),
        ("nothing", String::new(), None),
    ];
    for (what, text, want) in cases {
        assert_eq!(meminfo::parse(text.as_bytes(), None), want, "{what}");
    }
    assert_eq!(meminfo::parse(b"MemTotal: 8 kB\n\xff\xfe\xfd: 3 kB\n", None).map(|memory| memory.total_bytes), Some(8192));
}

#[test]
fn the_zfs_cache_is_a_cache() {
    let arcstats = b"13 1 0x01 147 39984 5024\nname                            type data\nhits                            4    99\n\
        c                               4    8589934592\nc_min                           4    1073741824\nsize                            4    5368709120\n";
    let zfs = ZfsCache::parse(arcstats);
    assert_eq!(zfs, Some(ZfsCache { size: 5 * GIB, least: GIB }));
    assert_eq!(ZfsCache::parse(b"size 4 5\n"), None);
    assert_eq!(ZfsCache::parse(b"size 4 5\nc_min 4 1"), None, "cut");
    let text = b"MemTotal: 16777216 kB\nMemFree: 4194304 kB\nMemAvailable: 5242880 kB\nBuffers: 0 kB\nCached: 1048576 kB\n";
    let with = meminfo::parse(text, zfs).map(|memory| (memory.available_bytes, memory.cached_bytes));
    assert_eq!(with, Some((Some(9 * GIB), Some(5 * GIB))), "all but its least can be given back");
    let container = b"MemTotal: 4194304 kB\nMemFree: 2097152 kB\nMemAvailable: 3145728 kB\nBuffers: 0 kB\nCached: 1048576 kB\n";
    let with = meminfo::parse(container, zfs).map(|memory| (memory.available_bytes, memory.cached_bytes));
    assert_eq!(with, Some((Some(3 * GIB), Some(GIB))), "the machine's cache does not fit into a container's figures");
}

#[test]
fn stat_of_the_machine() {
    let numbers = |text: &str| {
        let (total, cpus) = cpu_times(text.as_bytes(), 1);
        (total.map(|t| (t.user_ns, t.idle_ns, t.steal_ns)), cpus.iter().map(|(n, t)| (*n, t.user_ns)).collect::<Vec<_>>())
    };
    let two = |a, b| vec![(0, a), (1, b)];
    for (what, text, want) in [
        (
            "today",
            "cpu  5 0 1 90 0 0 0 3 0 0\ncpu0 2 0 1 45 0 0 0 1 0 0\ncpu1 3 0 0 45 0 0 0 2 0 0\nintr 1\n",
            (Some((5, 90, 3)), two(2, 3)),
        ),
        ("before 2.6: four figures", "cpu  5 0 1 90\ncpu0 2 0 1 45\ncpu1 3 0 0 45\nintr 1\n", (Some((5, 90, 0)), two(2, 3))),
        (
            "columns of the future",
            "cpu  5 0 1 90 0 0 0 3 0 0 7 8 9\ncpu0 2 0 1 45 x y\ncpu1 3 0 0 45\n",
            (Some((5, 90, 3)), two(2, 3)),
        ),
        ("a line before them", "\nversion 2\ncpu  5 0 1 90\ncpu0 2 0 1 45\ncpu1 3 0 0 45\n", (Some((5, 90, 0)), two(2, 3))),
        (
            "a bad line between them",
            "cpu  5 0 1 90\ncpu0 2 0 1 45\ncpux 9 9 9 9\ncpu9 - - - -\ncpufreq 1 1 1 1\ncpu1 3 0 0 45\n",
            (Some((5, 90, 0)), two(2, 3)),
        ),
        ("no line of all", "cpu0 2 0 1 45 0 0 0 1\ncpu1 3 0 0 45 0 0 0 2\n", (Some((5, 90, 3)), two(2, 3))),
        ("out of order and twice", "cpu  5 0 1 90\ncpu1 3 0 0 45\ncpu0 2 0 1 45\ncpu0 2 0 1 45\n", (Some((5, 90, 0)), two(2, 3))),
        ("CRLF", "cpu  5 0 1 90\r\ncpu0 2 0 1 45\r\ncpu1 3 0 0 45\r\n", (Some((5, 90, 0)), two(2, 3))),
        ("the last line cut", "cpu  5 0 1 90\ncpu0 2 0 1 45\ncpu1 3 0 0 4", (Some((5, 90, 0)), vec![(0, 2)])),
        ("hidden, as on Android", "", (None, vec![])),
        ("beyond 64 bits", "cpu  99999999999999999999 0 1 90\ncpu0 2 0 1 45\n", (Some((2, 45, 0)), vec![(0, 2)])),
    ] {
        assert_eq!(numbers(text), want, "{what}");
    }
    assert_eq!(count_of(b"cpu 1\nprocesses 12\nprocs_running 3\n", b"processes "), Some(12));
    assert_eq!(count_of(b"processes 12\r\n", b"processes "), Some(12));
    assert_eq!(count_of(b"cpu 1\nprocesses 12", b"processes "), None, "cut");
    assert_eq!(count_of(b"", b"btime "), None);
}

#[test]
fn loadavg_uptime_and_pressure() {
    for (text, want) in [
        ("0.50 0.25 0.10 1/70 4242\n", Some([0.5, 0.25, 0.1])),
        ("0.50 0.25 0.10\n", Some([0.5, 0.25, 0.1])),
        ("0.00 0.00 0.00 0/0 0\n", Some([0.0, 0.0, 0.0])),
        ("1024.00 900 800.5 9/999999 1 extra\r\n", Some([1024.0, 900.0, 800.5])),
        ("0.50 0.25\n", None),
        ("0.50 nan 0.10 1/70 4242\n", None),
        ("-1 0.25 0.10\n", None),
        ("", None),
    ] {
        assert_eq!(load(text.as_bytes()), want, "{text:?}");
    }
    for (text, want) in [
        ("1000.50 1900.00\n", Some(1_000_500_000_000)),
        ("1000\n", Some(1_000_000_000_000)),
        ("1000.50\r\n", Some(1_000_500_000_000)),
        ("-3.0 1.0\n", None),
        ("1e30 1\n", None),
        ("soon\n", None),
        ("", None),
    ] {
        assert_eq!(uptime_ns(text.as_bytes()), want, "{text:?}");
    }
    for (text, want) in [
        (
            "some avg10=1.50 avg60=0.00 avg300=0.00 total=1000\nfull avg10=0.50 avg60=0.00 avg300=0.00 total=500\n",
            Some((1.5, 0.5)),
        ),
        ("some avg10=1.50 avg60=0.00 avg300=0.00 total=1000\n", Some((1.5, 0.0))),
        ("some avg10=1.50\nfull avg10=0.50 avg60=x\n", Some((1.5, 0.5))),
        ("some avg1=9 avg10=1.50 avg3600=0 total=18446744073709551616\r\nirq avg10=3\r\n", Some((1.5, 0.0))),
        ("full avg10=0.50 avg60=0.00 avg300=0.00 total=500\n", None),
        ("some avg10=inf\n", None),
        ("some avg10=1.5", None),
        ("", None),
    ] {
        assert_eq!(pressure(text.as_bytes()).map(|p| (p.some_avg10, p.full_avg10)), want, "{text:?}");
    }
}

#[test]
fn net_dev_lines() {
    const HEAD: &str = "Inter-|   Receive                                                |  Transmit\n \
        face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n";
    let names = |text: &[u8]| {
        net_dev::lines(text)
            .map(|l| (String::from_utf8_lossy(l.name).into_owned(), l.received_bytes, l.sent_bytes))
            .collect::<Vec<_>>()
    };
    let eth0 = || ("eth0".to_owned(), 22_000, 4_000);
    let line =
        "eth0: 22000    100    0    0    0     0          0         0     4000      50    0    0    0     0       0          0\n";
    for (what, text, want) in [
        ("today", format!("{HEAD}  {line}"), vec![eth0()]),
        ("no blank behind the colon", format!("{HEAD}eth0:22000 100 0 0 0 0 0 0 4000 50 0 0 0 0 0 0\n"), vec![eth0()]),
        ("an alias with a colon", format!("{HEAD}eth0:1: 1 1 0 0 0 0 0 0 2 1 0 0 0 0 0 0\n"), vec![("eth0:1".into(), 1, 2)]),
        ("columns of the future", format!("{HEAD}{}", line.replace('\n', " 7 7 7\n")), vec![eth0()]),
        (
            "another number of columns",
            "a|b|c\n face |bytes packets errs|bytes packets errs\neth0: 22000 1 0 4000 2 0\n".into(),
            vec![eth0()],
        ),
        ("no head", line.into(), vec![eth0()]),
        ("a bad line between them", format!("{HEAD}w: x y\n:\nnothing here\n{line}down: - - -\n"), vec![eth0()]),
        ("CRLF", format!("{HEAD}{line}").replace('\n', "\r\n"), vec![eth0()]),
        ("too short", format!("{HEAD}{line}eth1: 5 1 0\n"), vec![eth0()]),
        ("the last line cut", format!("{HEAD}{line}eth1: 22000 100 0 0 0 0 0 0 40"), vec![eth0()]),
        ("beyond 64 bits", format!("{HEAD}{line}eth1: 99999999999999999999 0 0 0 0 0 0 0 1 0\n"), vec![eth0()]),
        ("nothing", String::new(), vec![]),
    ] {
        assert_eq!(names(text.as_bytes()), want, "{what}");
    }
    let odd = [HEAD.as_bytes(), b"w\xfff: 1 1 0 0 0 0 0 0 2 1 0 0 0 0 0 0\n", line.as_bytes()].concat();
    assert_eq!(names(&odd), [("w\u{fffd}f".to_owned(), 1, 2), eth0()], "a name that is no UTF-8");
}

#[test]
fn diskstats_lines() {
    let names = |text: &str| {
        let of = |l: diskstats::DiskLine<'_>| {
            (String::from_utf8_lossy(l.name).into_owned(), l.sectors_read, l.sectors_written, l.busy_ms)
        };
        diskstats::lines(text.as_bytes()).map(of).collect::<Vec<_>>()
    };
    let sda = || ("sda".to_owned(), 8, 16, 5);
    let line = "   8       0 sda 1 0 8 5 1 0 16 5 0 5 10\n";
    for (what, text, want) in [
        ("before 4.18: eleven figures", line.to_owned(), vec![sda()]),
        ("4.18: discards", line.replace('\n', " 0 0 0 0\n"), vec![sda()]),
        ("5.5: flushes", line.replace('\n', " 0 0 0 0 0 0\n"), vec![sda()]),
        ("columns of the future", line.replace('\n', " 0 0 0 0 0 0 x y z\n"), vec![sda()]),
        ("before 2.6.25: four figures of a partition", format!("{line}   8       1 sda1 35486 0 35496 38030\n"), vec![sda()]),
        ("a bad line between them", format!("8 0 sdb x y z\n\n{line}garbage\n"), vec![sda()]),
        ("a name with a slash", " 104 0 cciss/c0d0 1 0 8 5 1 0 16 5 0 5 10\n".into(), vec![("cciss/c0d0".into(), 8, 16, 5)]),
        ("CRLF", line.replace('\n', "\r\n"), vec![sda()]),
        ("the last line cut", format!("{line} 8 16 sdb 1 0 8 5 1 0 16 5 0 5"), vec![sda()]),
        ("beyond 64 bits", format!("{line} 8 16 sdb 1 0 99999999999999999999 5 1 0 16 5 0 5 10\n"), vec![sda()]),
        ("a device without figures", format!("{line} 8 16 sdb\n"), vec![sda()]),
        ("nothing", String::new(), vec![]),
    ] {
        assert_eq!(names(&text), want, "{what}");
    }
}

#[test]
fn status_lines() {
    let of = |text: &str| {
        let s = Status::parse(text.as_bytes());
        (s.rss_anon_bytes, s.swap_bytes, s.voluntary_switches, cpus_allowed(text.as_bytes()).map(str::to_owned))
    };
    let groups: String = (0..300).map(|n| format!("{} ", 1_000_000_000 + n)).collect();
    let rest = "RssAnon:\t     8 kB\nVmSwap:\t     4 kB\nCpus_allowed_list:\t0-1\nvoluntary_ctxt_switches:\t150\n";
    let all = (Some(8192), Some(4096), Some(150), Some("0-1".to_owned()));
    for (what, text, want) in [
        ("300 groups", format!("Name:\tx\nGroups:\t{groups}\n{rest}"), all.clone()),
        ("a name that looks like a line", format!("Name:\tVmSwap: 9 kB\\nx\n{rest}"), all.clone()),
        ("cut in the last figure", format!("Name:\tx\n{}", &rest[..rest.len() - 2]), (all.0, all.1, None, all.3.clone())),
        ("cut in the list of CPUs", "RssAnon:\t8 kB\nCpus_allowed_list:\t0".into(), (all.0, None, None, None)),
        ("a kernel thread", "Name:\tkthreadd\nvoluntary_ctxt_switches:\t150\n".into(), (None, None, Some(150), None)),
        ("before 4.5: no RssAnon", "VmRSS:\t12 kB\nVmSwap:\t4 kB\n".into(), (None, all.1, None, None)),
        ("CRLF", rest.replace('\n', "\r\n"), all.clone()),
        ("columns of the future", rest.replace("8 kB", "8 kB extra"), all.clone()),
        ("a list that is none", rest.replace("0-1", "all"), (all.0, all.1, all.2, None)),
        ("a negative figure", rest.replace("     8 kB", "-8 kB"), (None, all.1, all.2, all.3)),
        ("nothing", String::new(), (None, None, None, None)),
    ] {
        assert_eq!(of(&text), want, "{what}");
    }
}

#[test]
fn cgroup_lines() {
    let id = "0123456789abcdef".repeat(4);
    for (what, text, want) in [
        ("version 2", "0::/user.slice/session-1.scope\n".into(), "/user.slice/session-1.scope"),
        ("version 2 in a namespace of its own", "0::/\n".into(), "/"),
        ("version 1", "5:memory:/a/b\n4:cpu,cpuacct:/a\n1:name=systemd:/\n".to_owned(), "/a/b"),
        (
            "hybrid, systemd",
            "5:memory:/\n1:name=systemd:/system.slice/cron.service\n0::/system.slice/cron.service\n".into(),
            "/system.slice/cron.service",
        ),
        ("hybrid, the unified one empty", "5:memory:/a\n1:name=systemd:/a/b.scope\n0::/\n".into(), "/a/b.scope"),
        ("hybrid, the unified one without a path", "1:name=systemd:/a/b.scope\n0::\n".into(), "/a/b.scope"),
        ("hybrid, docker", format!("5:memory:/docker/{id}\n1:name=systemd:/docker/{id}\n0::/\n"), &format!("/docker/{id}")),
        (
            "hybrid, the engine's own service",
            format!("5:memory:/docker/{id}\n0::/system.slice/containerd.service\n"),
            &format!("/docker/{id}"),
        ),
        (
            "hybrid, only one controller knows",
            format!("7:freezer:/\n6:cpuset:/docker/{id}\n1:name=systemd:/\n0::/\n"),
            &format!("/docker/{id}"),
        ),
        (
            "kubernetes on version 1",
            format!("3:pids:/kubepods/burstable/pod1/{id}\n0::/system.slice/kubelet.service\n"),
            &format!("/kubepods/burstable/pod1/{id}"),
        ),
        ("podman", format!("2:memory:/machine.slice/libpod-{id}.scope\n0::/\n"), &format!("/machine.slice/libpod-{id}.scope")),
        ("lxc", "9:devices:/lxc/web\n1:name=systemd:/lxc/web/init.scope\n0::/\n".into(), "/lxc/web/init.scope"),
        ("a path with colons", "0::/a:b/c\n".into(), "/a:b/c"),
        ("a group that was deleted", "0::/a (deleted)\n".into(), "/a (deleted)"),
        ("a line that is no UTF-8 or none at all", "no line\n:\n2:memory:/x\n".into(), "/x"),
        ("Android", "4:cpuset:/foreground\n3:cpu:/\n0::/uid_10061/pid_3\n".into(), "/uid_10061/pid_3"),
    ] {
        assert_eq!(cgroup::path(text.as_bytes()), Some(want), "{what}");
    }
    assert_eq!(cgroup::path(b"0::/\xff\n3:memory:/rest\n"), Some("/rest"));
    assert_eq!(cgroup::path(b""), None);
}

#[test]
fn smaps_sums() {
    let of = |text: &str| {
        let rollup = SmapsRollup::parse(text.as_bytes());
        (rollup.pss_bytes, rollup.uss_bytes())
    };
    for (what, text, want) in [
        ("no huge pages", "Pss: 10 kB\nPrivate_Clean: 4 kB\nPrivate_Dirty: 6 kB\nPrivate_Hugetlb: 0 kB\n", (Some(10), Some(10))),
        (
            "48 MiB of its own",
            "Pss: 10 kB\nPrivate_Clean: 4 kB\nPrivate_Dirty: 6 kB\nShared_Hugetlb: 0 kB\nPrivate_Hugetlb: 49152 kB\n",
            (Some(49_162), Some(49_162)),
        ),
        (
            "huge pages of several",
            "Pss: 10 kB\nPrivate_Clean: 4 kB\nPrivate_Dirty: 6 kB\nShared_Hugetlb: 49152 kB\nPrivate_Hugetlb: 0 kB\n",
            (Some(10), Some(10)),
        ),
        ("before 4.4: no such line", "Pss: 10 kB\nPrivate_Clean: 4 kB\nPrivate_Dirty: 6 kB\n", (Some(10), Some(10))),
        ("half a sum", "Pss: 10 kB\nPrivate_Clean: 4 kB\n", (Some(10), None)),
        ("cut", "Pss: 10 kB\nPrivate_Clean: 4 kB\nPrivate_Dirty: 6", (Some(10), None)),
    ] {
        let bytes = |kib: Option<u64>| kib.map(|kib| kib * KIB);
        assert_eq!(of(text), (bytes(want.0), bytes(want.1)), "{what}");
    }
}
