//! The pure parsers: hostile bytes never make them panic, and values written by the kernel are read back.

use concmon::kernel::host::cpu_times;
use concmon::kernel::parse::schedstat::Schedstat;
use concmon::kernel::parse::smaps::SmapsRollup;
use concmon::kernel::parse::stat::Stat;
use concmon::kernel::parse::statm::Statm;
use concmon::kernel::parse::status::Status;
use concmon::kernel::parse::{cgroup, connector, io::Io};
use proptest::prelude::*;

/// A line of `stat` with the given name and the numbers that tests look at.
fn line(pid: i32, comm: &[u8], state: char, ppid: i32, utime: u64, start: u64, rss: i64) -> Vec<u8> {
    let mut line = format!("{pid} (").into_bytes();
    line.extend_from_slice(comm);
    line.extend_from_slice(
        format!(
            ") {state} {ppid} 7 8 -1 -1 4194560 11 0 12 0 {utime} 13 0 0 39 19 4 0 {start} 4096 {rss} 18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 \
             3 0 2 0 0 0 0 0 0 0 0 0 0 0\n"
        )
        .as_bytes(),
    );
    line
}

/// Pieces that a hostile name, or a file cut at any byte, may be made of.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b") R 1 (".to_vec()),
        Just(b"\n".to_vec()),
        Just(b"\x1b[31m".to_vec()),
        Just(b"\xff\xfe".to_vec()),
        Just(b"((((".to_vec()),
        Just(b"))))".to_vec()),
        Just(b" -9223372036854775808 ".to_vec()),
        Just(b" 18446744073709551616 ".to_vec()),
        Just(b"VmHWM:\t18446744073709551615 kB\n".to_vec()),
        Just(b"0::/a:b\n".to_vec()),
        Just(b"cpu 1 2 3\ncpu99999999999 1\n".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..24),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_bytes_make_a_parser_panic(bytes in hostile()) {
        let _ = Stat::parse(&bytes);
        let _ = Statm::parse(&bytes);
        let _ = Schedstat::parse(&bytes);
        let _ = Status::parse(&bytes);
        let _ = Io::parse(&bytes);
        let _ = SmapsRollup::parse(&bytes).uss_bytes();
        let _ = cgroup::path(&bytes);
        let _ = cpu_times(&bytes, u64::MAX);
        let _ = connector::messages(&bytes).count();
    }

    #[test]
    fn a_name_of_any_bytes_does_not_shift_a_field(
        comm in proptest::collection::vec(1u8.., 0..16),
        hostile in hostile(),
        ppid in 0..i32::MAX,
        utime: u64,
        start: u64,
    ) {
        for name in [&comm, &hostile] {
            let stat = Stat::parse(&line(42, name, 'D', ppid, utime, start, 5)).expect("a whole line");
            prop_assert_eq!(stat.comm.as_bytes(), &name[..name.len().min(31)]);
            prop_assert_eq!((stat.pid, stat.state.letter(), stat.ppid), (42, 'D', ppid));
            prop_assert_eq!((stat.utime_ticks, stat.start_ticks, stat.rss_pages), (utime, start, 5));
        }
    }

    #[test]
    fn a_line_cut_anywhere_before_its_last_needed_field_is_refused(cut in 0usize..90) {
        let whole = line(42, b"name", 'S', 1, 2, 3, 4);
        prop_assert!(Stat::parse(&whole[..cut]).is_err());
    }
}

#[test]
fn stat_takes_each_field_from_its_place() {
    let stat = Stat::parse(&line(9, b"a) R 1 (b", 'S', 5, 100, 200, 300)).expect("a whole line");
    assert_eq!((stat.ppid, stat.pgrp, stat.session, stat.tty_nr), (5, 7, 8, -1));
    assert_eq!((stat.minor_faults, stat.major_faults, stat.stime_ticks), (11, 12, 13));
    assert_eq!((stat.priority, stat.nice, stat.nlwp, stat.virt_bytes), (39, 19, 4, 4096));
    assert_eq!((stat.last_cpu, stat.rt_priority, stat.policy, stat.kernel_thread), (Some(3), Some(0), Some(2), false));
}

#[test]
fn a_negative_resident_size_is_the_kernels_batching_and_reads_as_nothing() {
    assert_eq!(Stat::parse(&line(9, b"x", 'S', 1, 1, 1, -3)).map(|stat| stat.rss_pages), Ok(0));
}

#[test]
fn the_unified_hierarchy_is_preferred_and_colons_belong_to_the_path() {
    assert_eq!(cgroup::path(b"12:cpu:/legacy\n0::/a:b/c\n"), Some("/a:b/c"));
    assert_eq!(cgroup::path(b"12:cpu,cpuacct:/legacy\n1:name=systemd:/x\n"), Some("/legacy"));
    assert_eq!(cgroup::path(b""), None);
    assert_eq!(cgroup::path(b"0::/\xff\n"), None);
}

#[test]
fn memory_lines_are_kibibytes_and_absent_ones_unknown() {
    let status = Status::parse(b"Name:\tx\nVmHWM:\t    2048 kB\nRssAnon:\t8 kB\nvoluntary_ctxt_switches:\t5\n");
    assert_eq!((status.peak_rss_bytes, status.rss_anon_bytes, status.rss_file_bytes), (Some(2 << 20), Some(8192), None));
    assert_eq!((status.voluntary_switches, status.involuntary_switches), (Some(5), None));
    let rollup = SmapsRollup::parse(b"Pss:  10 kB\nPss_Dirty: 3 kB\nPrivate_Clean: 4 kB\nPrivate_Dirty: 6 kB\n");
    assert_eq!((rollup.pss_bytes, rollup.uss_bytes(), rollup.private_dirty_bytes), (Some(10_240), Some(10_240), Some(6144)));
    assert_eq!(SmapsRollup::parse(b"Private_Clean: 4 kB\n").uss_bytes(), None, "half a sum is no sum");
}

#[test]
fn cpus_keep_their_numbers_when_one_is_unplugged() {
    let (total, cpus) =
        cpu_times(b"cpu  4 0 4 80 0 1 1 2 0 0\ncpu0 1 0 1 20\ncpu3 3 0 3 60 0 1 1 2\nintr 5\ncpu9 not a cpu\n", 10);
    assert_eq!(cpus.iter().map(|(number, times)| (*number, times.idle_ns)).collect::<Vec<_>>(), [(0, 200), (3, 600)]);
    assert_eq!(total.map(|times| (times.user_ns, times.irq_ns, times.steal_ns)), Some((40, 20, 20)));
}
