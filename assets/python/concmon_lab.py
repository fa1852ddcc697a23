"""The worker side of concmon's lab protocol: one line of JSON per event over a Unix socket.

Only the standard library, Python 3.9 or later. Every process connects by itself when it first has something to say, and again after a
fork, so that the kernel can vouch for its PID (SO_PEERCRED). Nothing here ever waits for the reader while work goes on: what the socket
does not take is kept up to a bound, then dropped, and the counter in each line shows the gap. Without CONCMON_LAB_SOCKET in the
environment every call does nothing, so a program of yours can keep its calls.

    import concmon_lab as lab

    lab.ready(0, "thread")            # worker 0 runs its first own instruction
    with lab.task(0, 7):              # worker 0 does unit of work 7
        ...
    lab.value("requests_per_second", "812", 812)
"""

import _socket
import _thread
import os
import sys
from time import monotonic_ns, thread_time_ns

# Taken before gevent or anything else can patch the modules: these must be the kernel's, whatever the program does.
from _thread import get_ident, get_native_id
from os import close as _close, listdir as _listdir, open as _open, read as _read

VERSION = 1
#: What a reader that is slow may leave unread here, bytes.
KEEP_MOST = 256 * 1024
#: With batching, the longest that something stays untold while more is said, nanoseconds.
BATCH_NS = 250_000_000

_path = os.environ.get("CONCMON_LAB_SOCKET")
_lock = _thread.allocate_lock()
_socket_ = None
_pid = 0
_role = "worker"
_count = 0
_unsent = b""
_batching = False
_sent_at = 0
_events = 0
_spent_ns = 0
#: Nanoseconds that each task of this process has waited for CPUs, by tid; None if some come and go without being looked at.
_waits = {}
#: What of that came before the first worker, in the root.
_waited_before = {}
_began = False
#: Bytes sent to other processes of the run, by thread, as threads must not add to one number at once; None if nobody counts them.
_sent = None


def _forget_connection():
    """A forked child starts with a connection of its own, and with a lock that no thread of its parent holds."""
    global _lock, _socket_, _pid, _role, _unsent, _count, _events, _spent_ns, _waits, _sent, _waited_before
    _waited_before = {}
    _waits = None if _waits is None else {}
    _sent = None if _sent is None else {}
    _lock = _thread.allocate_lock()
    if _socket_ is not None:
        _socket_.close()
    _socket_, _pid, _role, _unsent, _count, _events, _spent_ns = None, 0, "worker", b"", 0, 0, 0


os.register_at_fork(after_in_child=_forget_connection)


def _connect():
    global _socket_, _pid, _path, _unsent, _count
    _pid, _unsent, _count = os.getpid(), b"", 0
    try:
        _socket_ = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        _socket_.connect(_path)
    except OSError:
        # concmon has gone; the work goes on without it.
        _path = None
        return
    hello = '"m":"hello","v":%d,"role":"%s","lang":"python %d.%d.%d"' % (VERSION, _role, *sys.version_info[:3])
    _queue(hello, monotonic_ns())


def _queue(body, t):
    global _count, _unsent
    if len(_unsent) < KEEP_MOST:
        line = '{"t":%d,"pid":%d,"tid":%d,"n":%d,%s}\n' % (t, _pid, get_native_id(), _count, body)
        _unsent += line.encode("ascii")
    _count += 1


def _send():
    global _unsent, _path, _sent_at
    _sent_at = monotonic_ns()
    if not _unsent or _socket_ is None:
        return
    try:
        sent = _socket_.send(_unsent, _socket.MSG_DONTWAIT | _socket.MSG_NOSIGNAL)
        _unsent = _unsent[sent:]
    except BlockingIOError:
        pass
    except OSError:
        _path, _unsent = None, b""


def _say(body, t=None, urgent=False):
    """Sends one event that happened at `t` (now, if not given)."""
    global _events, _spent_ns
    begun, own = monotonic_ns(), thread_time_ns()
    if _path is None:
        return
    with _lock:
        if _pid != os.getpid():
            _connect()
        if _path is None:
            return
        _queue(body, begun if t is None else t)
        if urgent or not _batching or begun - _sent_at > BATCH_NS:
            _send()
        _events += 1
        _spent_ns += thread_time_ns() - own


def _quoted(text):
    """A JSON string: ASCII only, so that no encoding can fail (PEP 383 surrogates included)."""
    out = []
    for char in str(text)[:16_000]:
        code = ord(char)
        if char in '"\\':
            out.append("\\" + char)
        elif 32 <= code < 127:
            out.append(char)
        elif code < 0x10000:
            # Half a surrogate pair is no character: what cannot be said is marked.
            out.append("\\u%04x" % (0xFFFD if 0xD800 <= code < 0xE000 else code))
        else:
            code -= 0x10000
            out.append("\\u%04x\\u%04x" % (0xD800 + (code >> 10), 0xDC00 + (code & 0x3FF)))
    return '"' + "".join(out) + '"'


def active():
    """Whether anybody listens."""
    return _path is not None


def now_ns():
    """The clock of every event, CLOCK_MONOTONIC in nanoseconds."""
    return monotonic_ns()


def batch(on=True):
    """With batching, events are told some at a time: a system call per event would distort short work, and lets go of the GIL."""
    global _batching
    _batching = on


def flush(timeout=1.0):
    """Sends what is kept; waits for the reader at most `timeout` seconds."""
    global _unsent, _path
    with _lock:
        if _pid != os.getpid() or not _unsent or _socket_ is None:
            return
        try:
            _socket_.settimeout(timeout)
            _socket_.sendall(_unsent)
            _unsent = b""
            _socket_.settimeout(None)
        except OSError:
            _path, _unsent = None, b""


def _note_wait(path):
    """How long a task has been ready but waited for a CPU, from its schedstat (proc_pid_schedstat, second field); None if it has gone or
    the kernel keeps no such figures: then the third field, how often it ran, is 0."""
    try:
        file = _open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _, waited, turns = _read(file, 80).split()
        finally:
            _close(file)
    except (OSError, ValueError):
        return None
    return int(waited) if turns != b"0" else None


def note_waits():
    """Notes how long each thread of this process has waited for CPUs so far. Called by itself at the beginning of the teardown, while all
    are still there, and at the end of the process."""
    global _spent_ns
    if _path is None or _waits is None:
        return
    own = thread_time_ns()
    for tid in _listdir("/proc/self/task"):
        waited = _note_wait("/proc/self/task/%s/schedstat" % tid)
        if waited is not None:
            _waits[int(tid)] = waited - _waited_before.get(int(tid), 0)
    _spent_ns += thread_time_ns() - own


def thread_ends():
    """Notes the same of the calling thread, if it ends before the teardown begins."""
    if _path is not None and _waits is not None:
        waited = _note_wait("/proc/thread-self/schedstat")
        if waited is not None:
            _waits[get_native_id()] = waited


def forgo_waits():
    """Threads of this process will come and go without being looked at: how long the run waited for CPUs will not be known."""
    global _waits
    _waits = None


def count_sent():
    """From here on this process counts what it sends to other processes of the run, with `sent`."""
    global _sent
    _sent = {} if _sent is None else _sent


def sent(count):
    """So many bytes go into a pipe or socket to another process of the run."""
    mine = get_ident()
    _sent[mine] = _sent.get(mine, 0) + count


def _say_costs():
    """What this process has counted."""
    note_waits()
    waits = None if _waits is None else list(_waits.items())
    count = "" if _sent is None else ',"sent_bytes":%d' % sum(_sent.values())
    # In parts, as a line must not be too long.
    for at in range(0, len(waits or ()) or 1, 500):
        part = "" if waits is None else ',"waits":[%s]' % ",".join("[%d,%d]" % pair for pair in waits[at : at + 500])
        _say('"m":"costs"%s%s' % (part, count))


def farewell():
    """Says what this process has cost, and what CPU time the protocol took of it, and sends everything. Called by itself when the
    interpreter or a child process of multiprocessing ends; to be called before `os._exit`."""
    global _events, _spent_ns
    if _path is not None and _pid == os.getpid() and _events:
        _say_costs()
        _say('"m":"overhead","events":%d,"ns":%d' % (_events, _spent_ns))
        _events = _spent_ns = 0
    flush()


def requested(w, t=None):
    """The creator is about to create worker `w`."""
    _note_before()
    _say('"m":"requested","w":%d' % w, t)


def ready(w, how, t=None):
    """Worker `w` runs its first own instruction. `how`: fork, fork_exec, spawn, fork_server, thread, interpreter, async_task, greenlet or
    inline."""
    _say('"m":"ready","w":%d,"how":"%s"' % (w, how), t, urgent=True)


def task_start(w, k, t=None):
    """Worker `w` begins unit of work `k`."""
    _say('"m":"task_start","w":%d,"k":%d' % (w, k), t)


def task_end(w, k, t=None):
    """Worker `w` has finished unit of work `k`."""
    _say('"m":"task_end","w":%d,"k":%d' % (w, k), t)


class task:  # noqa: N801 - reads as a statement: `with lab.task(w, k):`
    """A unit of work as a context: its beginning and its end."""

    __slots__ = ("w", "k")

    def __init__(self, w, k):
        self.w, self.k = w, k

    def __enter__(self):
        task_start(self.w, self.k)

    def __exit__(self, *_):
        task_end(self.w, self.k)


def exited(w, status=None, t=None):
    """Worker `w` has ended, as its creator has seen it; `status` is the raw wait status of a process."""
    _say('"m":"exited","w":%d' % w + ("" if status is None else ',"status":%d' % status), t)


def value(name, text, number=None):
    """A result worth showing; the unit belongs into the name (`wall_ns`). `number` is a whole number from 0, if it is one."""
    number = "" if number is None else ',"number":%d' % max(0, int(number))
    _say('"m":"value","name":%s,"text":%s%s' % (_quoted(name), _quoted(text), number), urgent=True)


def phase(name):
    """The run goes into another part. With the teardown threads begin to end: what they have waited is noted first, in a pause that is
    not counted as wall time."""
    if name == "launch":
        _note_before()
    if name == "teardown" and _path is not None:
        _say('"m":"phase","name":"note"')
        note_waits()
    _say('"m":"phase","name":%s' % _quoted(name), urgent=True)


def warn(text):
    """Something to know that is no failure."""
    _say('"m":"warn","text":%s' % _quoted(text), urgent=True)


def error(text):
    """The worker failed."""
    _say('"m":"error","text":%s' % _quoted(text), urgent=True)


def _used(since=(0, 0, 0, 0, 0, 0)):
    """What this process has used so far (getrusage(2)), and the words that say of what it has used since `since` that it is no part of
    the run."""
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF)
    now = (int(used.ru_utime * 1e9), int(used.ru_stime * 1e9), used.ru_minflt, used.ru_majflt, used.ru_nvcsw, used.ru_nivcsw)
    names = ("user_ns", "sys_ns", "minor_faults", "major_faults", "voluntary_switches", "involuntary_switches")
    pairs = zip(names, now, since)
    return now, '"m":"apart",' + ",".join('"%s":%d' % (name, max(0, is_ - was)) for name, is_, was in pairs)


def _note_before():
    """In the root, before the first worker: what it has used so far and how long it has waited for CPUs. Its start, its imports and the
    filling of its memory are no part of what is measured."""
    global _began, _waited_before
    if _began or _role != "root" or _path is None:
        return
    _began = True
    _waited_before = {get_native_id(): _note_wait("/proc/thread-self/schedstat") or 0}
    _say(_used()[1])


def apart(act):
    """Does `act()` in the root, after everything else, and says what it has used as something that is no part of the run."""
    before, _ = _used()
    act()
    _say(_used(before)[1], urgent=True)


def begin_root():
    """This process is the root of the run."""
    global _role
    _role = "root"
    with _lock:
        if _path is not None:
            _connect()
            _send()


def ask_for_inspection():
    """Asks concmon to look at the processes of the run; the descriptor that becomes readable once it has, None if nobody listens."""
    phase("inspect")
    flush()
    return None if _path is None else _socket_.fileno()


def inspect(timeout=2.0):
    """Holds still until concmon has looked at the processes of the run; that pause is not counted as wall time."""
    if ask_for_inspection() is None:
        return
    try:
        _socket_.settimeout(timeout)
        while not _socket_.recv(64).endswith(b"\n"):
            pass
    except OSError:
        # Nobody has looked; the run goes on, and its shape stays unchecked.
        pass
    finally:
        _socket_.settimeout(None)


def done(t=None):
    """The root has finished its work, at `t` or now: its own costs and those of the children it has waited for (getrusage(2))."""
    t = monotonic_ns() if t is None else t
    import resource

    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    farewell()
    _say(
        '"m":"done","user_ns":%d,"sys_ns":%d,"minor_faults":%d,"major_faults":%d,"voluntary_switches":%d,"involuntary_switches":%d'
        % (
            (own.ru_utime + children.ru_utime) * 1e9,
            (own.ru_stime + children.ru_stime) * 1e9,
            own.ru_minflt + children.ru_minflt,
            own.ru_majflt + children.ru_majflt,
            own.ru_nvcsw + children.ru_nvcsw,
            own.ru_nivcsw + children.ru_nivcsw,
        ),
        t,
        urgent=True,
    )
    flush()


def _at_exit():
    farewell()


import atexit  # noqa: E402 - registers what is defined above

atexit.register(_at_exit)
