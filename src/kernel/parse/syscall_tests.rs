use super::*;
use proptest::prelude::*;

#[test]
fn lines_of_the_kernel_are_understood() {
    let line = b"202 0x7f80 0x189 0x0 0x0 0x0 0xffffffff 0x7ffe43414478 0x7f1900249503\n";
    let Some(SyscallLine::Inside { number: 202, args, narrow: false }) = SyscallLine::parse(line) else {
        panic!("{:?}", SyscallLine::parse(line))
    };
    assert_eq!(reason_of_call(Machine::X86_64, 202, &args), Some(WaitReason::Futex { address: Some(0x7f80) }));
    assert_eq!(SyscallLine::parse(b"running\n"), Some(SyscallLine::Running));
    assert_eq!(SyscallLine::parse(b"-1 0x7ffe 0x7f19\n"), Some(SyscallLine::Outside));
    let old = SyscallLine::parse(b"7 0x1 0x2 0x0 0x0 0x0 0x0 0xffff0000 0xf7f00000\n");
    assert!(matches!(old, Some(SyscallLine::Inside { narrow: true, .. })), "a 32-bit program's numbers are another table's");
    for bad in ["", "\n", "x", "202", "202 0x1", "202 1 2 3 4 5 6 7 8", "202 0x+1 0x0 0x0 0x0 0x0 0x0 0x0 0x0"] {
        assert_eq!(SyscallLine::parse(bad.as_bytes()), None, "{bad:?}");
    }
}

#[test]
fn the_table_agrees_with_the_c_library_here() {
    let Some(here) = Machine::HERE else { return };
    for (name, number) in [
        ("read", libc::SYS_read),
        ("write", libc::SYS_write),
        ("readv", libc::SYS_readv),
        ("writev", libc::SYS_writev),
        ("pread64", libc::SYS_pread64),
        ("pwrite64", libc::SYS_pwrite64),
        ("preadv", libc::SYS_preadv),
        ("pwritev", libc::SYS_pwritev),
        ("nanosleep", libc::SYS_nanosleep),
        ("clock_nanosleep", libc::SYS_clock_nanosleep),
        ("connect", libc::SYS_connect),
        ("accept", libc::SYS_accept),
        ("accept4", libc::SYS_accept4),
        ("sendto", libc::SYS_sendto),
        ("recvfrom", libc::SYS_recvfrom),
        ("sendmsg", libc::SYS_sendmsg),
        ("recvmsg", libc::SYS_recvmsg),
        ("sendmmsg", libc::SYS_sendmmsg),
        ("recvmmsg", libc::SYS_recvmmsg),
        ("wait4", libc::SYS_wait4),
        ("waitid", libc::SYS_waitid),
        ("semop", libc::SYS_semop),
        ("semtimedop", libc::SYS_semtimedop),
        ("msgsnd", libc::SYS_msgsnd),
        ("msgrcv", libc::SYS_msgrcv),
        ("fcntl", libc::SYS_fcntl),
        ("flock", libc::SYS_flock),
        ("fsync", libc::SYS_fsync),
        ("fdatasync", libc::SYS_fdatasync),
        ("sync", libc::SYS_sync),
        ("syncfs", libc::SYS_syncfs),
        ("rt_sigtimedwait", libc::SYS_rt_sigtimedwait),
        ("rt_sigsuspend", libc::SYS_rt_sigsuspend),
        ("futex", libc::SYS_futex),
        ("io_getevents", libc::SYS_io_getevents),
        ("restart_syscall", libc::SYS_restart_syscall),
        ("mq_timedsend", libc::SYS_mq_timedsend),
        ("mq_timedreceive", libc::SYS_mq_timedreceive),
        ("pselect6", libc::SYS_pselect6),
        ("ppoll", libc::SYS_ppoll),
        ("epoll_pwait", libc::SYS_epoll_pwait),
        ("epoll_pwait2", libc::SYS_epoll_pwait2),
        ("io_uring_enter", libc::SYS_io_uring_enter),
        ("futex_waitv", libc::SYS_futex_waitv),
    ] {
        let number = u64::try_from(number).unwrap();
        assert_eq!(here.name(number), Some(name));
    }
}

#[test]
fn every_number_stands_once() {
    for pick in [|c: &Call| c.x86_64, |c: &Call| c.aarch64] {
        let mut numbers: Vec<u64> = CALLS.iter().filter_map(pick).collect();
        let all = numbers.len();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), all);
    }
}

#[test]
fn arguments_name_child_and_descriptor() {
    let args = |a: u64, b: u64| [a, b, 0, 0, 0, 0];
    let here = |number, a, b| reason_of_call(Machine::Aarch64, number, &args(a, b));
    assert_eq!(here(260, 0xffff_ffff, 0), Some(WaitReason::Child { pid: None }), "any child");
    assert_eq!(here(260, 77, 0), Some(WaitReason::Child { pid: Some(77) }));
    assert_eq!(here(95, 1, 78), Some(WaitReason::Child { pid: Some(78) }));
    assert_eq!(here(73, 0xdead, 3), Some(WaitReason::Poll { fds: Some(3) }));
    assert_eq!(here(25, 3, 5), None, "F_GETLK does not wait");
    assert_eq!(here(25, 3, 7), Some(WaitReason::FileLock { holder: None }));
    assert_eq!(here(128, 0, 0), None, "the kernel function must tell what goes on");
    assert_eq!(descriptor(Machine::Aarch64, 63, &args(5, 0)), Some(5));
    assert_eq!(descriptor(Machine::Aarch64, 63, &args(0xffff_ffff, 0)), None);
}

#[test]
fn kernel_functions_are_the_second_best_witness() {
    for (name, want) in [
        ("futex_wait_queue", "futex wait"),
        ("futex_wait_queue_me", "futex wait"),
        ("wait_for_partner", "opens fifo"),
        ("anon_pipe_read", "reads pipe"),
        ("pipe_read", "reads pipe"),
        ("ep_poll", "epoll"),
        ("do_epoll_wait", "epoll"),
        ("hrtimer_nanosleep", "nanosleep"),
        ("do_wait", "waits for child"),
        ("inet_csk_accept", "accepts connections"),
    ] {
        assert_eq!(reason_of_function(name).map(|r| r.to_string()).as_deref(), Some(want), "{name}");
    }
    assert_eq!(reason_of_function("worker_thread"), None);
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..80), number in 0u64..600, args in any::<[u64; 6]>()) {
        let _ = SyscallLine::parse(&bytes);
        let _ = endpoint(&bytes);
        let _ = epoll_targets(&bytes).count();
        for machine in [Machine::X86_64, Machine::Aarch64] {
            if let Some(reason) = reason_of_call(machine, number, &args) {
                prop_assert!(!reason.to_string().is_empty());
            }
        }
    }
}

#[test]
fn what_an_epoll_instance_listens_to_and_for_how_long() {
    let info = b"pos:\t0\nflags:\t02\ntfd:        5 events:       19 data: 5  pos:0 ino:2c41 sdev:8\ntfd:       12 events: 1\n";
    assert_eq!(epoll_targets(info).collect::<Vec<_>>(), [Some(5), Some(12)]);
    assert_eq!(epoll_targets(b"tfd: x\ntfd:").collect::<Vec<_>>(), [None, None]);
    let patience = |name: &str, timeout: u64| epoll_patience_ms(name, &[3, 0, 64, timeout, 0, 8]);
    assert_eq!(patience("epoll_wait", 0xffff_ffff), Some(u32::MAX));
    assert_eq!(patience("epoll_pwait", u64::MAX), Some(u32::MAX));
    assert_eq!(patience("epoll_wait", 500), Some(500));
    assert_eq!((patience("epoll_pwait2", 0), patience("epoll_pwait2", 0x7fff)), (Some(u32::MAX), None));
    assert_eq!(patience("poll", 500), None);
}
