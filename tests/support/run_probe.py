"""Prepares odd surroundings, then becomes a program (LAUNCH), or says what a program finds of its surroundings (PROBE).

The same file twice: `run_probe.py launch DIR ROOT PROGRAM ARGS...` and `run_probe.py probe`. Each line of the probe is a property:
its name, a tab, its value. What differs from run to run by nature (PIDs) is said in relation to the launcher's own PID.
"""

import ctypes
import os
import resource
import signal
import sys


def launch(directory, root, *argv):
    keep = os.open("/dev/null", os.O_RDONLY)
    os.dup2(keep, 7, inheritable=True)
    reading, writing = os.pipe()
    os.write(writing, b"left over")
    os.dup2(reading, 9, inheritable=True)
    os.dup2(writing, 200, inheritable=True)
    for fd in (keep, reading, writing):
        os.close(fd)
    os.close(0)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    for ignored in (signal.SIGHUP, signal.SIGUSR1, signal.SIGCHLD, signal.SIGTSTP, signal.SIGRTMIN + 3):
        signal.signal(ignored, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, {signal.SIGUSR2, signal.SIGALRM, signal.SIGWINCH, signal.SIGRTMAX})
    os.umask(0o027)
    resource.setrlimit(resource.RLIMIT_NOFILE, (211, 400))
    resource.setrlimit(resource.RLIMIT_CORE, (4096, 8192))
    resource.setrlimit(resource.RLIMIT_STACK, (4 << 20, 64 << 20))
    resource.setrlimit(resource.RLIMIT_CPU, (1000, 2000))
    os.nice(3)
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("77")
    with open("/proc/self/timerslack_ns", "w") as file:
        file.write("123456")
    os.chdir(directory)
    if root == "root":
        os.setgroups([4, 24, 1234])
    os.setpgid(0, 0)
    env = {
        b"PATH": os.environb[b"PATH"],
        b"ODD": b"\xff\xfe\x80",
        b"EMPTY": b"",
        b"LISTEN_FDS": b"2",
        b"LISTEN_PID": str(os.getpid()).encode(),
        b"MAKEFLAGS": b" -j2 --jobserver-auth=9,200",
        b"LAUNCHER": str(os.getpid()).encode(),
        b"_": os.fsencode(argv[0]),
    }
    os.execve(argv[0], argv, env)


def stat(pid):
    text = open(f"/proc/{pid}/stat").read()
    return text[text.rindex(")") + 2 :].split()


def probe():
    launcher = int(os.environ["LAUNCHER"])
    own = os.getpid()
    found = {}
    fields = stat("self")
    found["process group is the started process's"] = int(fields[2]) == launcher
    found["session"] = fields[3]
    found["terminal"] = fields[4]
    found["foreground group"] = fields[5]
    for fd in sorted(int(name) for name in os.listdir("/proc/self/fd")):
        try:
            target = os.readlink(f"/proc/self/fd/{fd}")
        except OSError:
            continue  # The listing's own.
        flags = [line for line in open(f"/proc/self/fdinfo/{fd}") if line.startswith("flags")][0].split()[1]
        found[f"descriptor {fd}"] = f"{target.split(':')[0]} {flags}"
    found["bytes in an inherited pipe"] = os.read(9, 100)
    for line in open("/proc/self/status"):
        name, _, value = line.partition(":")
        names = "SigBlk SigIgn SigQ ShdPnd Uid Gid Groups CapInh CapPrm CapEff CapBnd CapAmb NoNewPrivs Seccomp Umask Cpus_allowed_list "
        if name in names.split() and name != "SigQ":
            found[name] = " ".join(value.split())
    for line in open("/proc/self/limits"):
        found["limit " + line[:25].strip()] = " ".join(line[25:].split())
    found["nice"] = os.getpriority(os.PRIO_PROCESS, 0)
    found["policy"] = os.sched_getscheduler(0)
    found["directory"] = os.getcwd()
    own_variables = {b"LAUNCHER", b"LISTEN_PID"}
    variables = open("/proc/self/environ", "rb").read().split(b"\0")
    found["environment, in order"] = [v for v in variables if v.split(b"=")[0] not in own_variables]
    found["LISTEN_PID is the program's"] = os.environ["LISTEN_PID"] == str(own)
    found["arguments"] = open("/proc/self/cmdline", "rb").read()
    for name in ("oom_score_adj", "timerslack_ns", "cgroup", "personality", "loginuid"):
        try:
            found[name] = open(f"/proc/self/{name}").read()
        except OSError as error:
            found[name] = error.errno
    prctl = ctypes.CDLL(None).prctl
    signal_of_parent = ctypes.c_int()
    prctl(2, ctypes.byref(signal_of_parent))
    found["parent death signal"] = signal_of_parent.value
    subreaper = ctypes.c_int()
    prctl(37, ctypes.byref(subreaper))
    found["subreaper"] = subreaper.value
    found["dumpable"] = prctl(3)
    found["I/O priority"] = ctypes.CDLL(None).syscall(252, 1, 0) if os.uname().machine == "x86_64" else ""
    found["threads"] = len(os.listdir("/proc/self/task"))
    found["children"] = [p for p in os.listdir("/proc") if p.isdigit() and is_child(p, own)]
    found["alarm"] = signal.getitimer(signal.ITIMER_REAL)[0] > 0
    for name, value in found.items():
        print(name, value, sep="\t")


def is_child(pid, own):
    try:
        return int(stat(pid)[1]) == own
    except (OSError, ValueError):
        return False


if sys.argv[1] == "launch":
    launch(*(os.fsencode(arg) if i > 1 else arg for i, arg in enumerate(sys.argv[2:])))
else:
    probe()
