"""The worker side of concmon's lab protocol: one line of JSON per event over a Unix socket.

Only the standard library, Python 3.9 or later. Without CONCMON_LAB_SOCKET in the environment every call does nothing, so a program of
yours can keep its calls.

    import concmon_lab as lab

    lab.ready(0, "thread")            # worker 0 runs its first own instruction
    with lab.task(0, 7):              # worker 0 does unit of work 7
        ...
    lab.value("requests_per_second", "812", 812)

There are two ways to report, and the lab's own runs choose between them in `lab_root`:

* live (the default; runs that stay to be looked at): each event is formatted and sent when it happens. Every process connects by itself
  when it first has something to say, so that the kernel can vouch for its PID (SO_PEERCRED). The sending takes time inside of what is
  timed: times of such a run are not measurements.
* measured: an event is a mark, one clock read and four integers appended to a list. Marks stay in memory until the work of their process
  has ended. Then the process appends them to a file of the run with one write, and the root sends everything when the run is over.
  Nothing is formatted, connected or sent in what is timed. What a forked worker has used to write is no part of the run's costs; what the
  marks and the writes cost is measured on the spot, see `_reporting_ns`.
"""

from time import monotonic_ns

#: When this module was loaded: the interpreter has started, and the program's own code begins.
BORN_NS = monotonic_ns()

import _thread  # noqa: E402 - the time is taken first
import os  # noqa: E402
import sys  # noqa: E402
from time import sleep as _sleep, thread_time_ns  # noqa: E402

# Taken before gevent or anything else can patch the modules: these must be the kernel's, whatever the program does.
from _thread import get_ident, get_native_id  # noqa: E402
from os import close as _close, listdir as _listdir, open as _open, read as _read, write as _write  # noqa: E402
from os import getpid as _getpid  # noqa: E402

VERSION = 1
#: What a reader that is slow may leave unread here, bytes.
KEEP_MOST = 256 * 1024
#: MSG_DONTWAIT | MSG_NOSIGNAL (send(2)), without the module that has their names.
_DONTWAIT_NOSIGNAL = 0x40 | 0x4000
#: With batching, the longest that an event stays unsent while more happen, nanoseconds.
BATCH_NS = 250_000_000
#: What others get to go back to sleep before something is timed, seconds.
QUIET_S = 0.005
#: How a worker can be created, in the protocol's words.
HOWS = ("fork", "fork_exec", "spawn", "fork_server", "thread", "interpreter", "async_task", "greenlet", "inline")
#: The file that the processes of a measured run append their marks to; its name is in the environment of all.
_FILE = "CONCMON_LAB_MARKS"
#: When the interpreter of the root was started, monotonic nanoseconds; it was another one of the same process before (`lab_boot`).
_STARTED = "CONCMON_LAB_STARTED"
#: Is in the environment of a run that cannot count what its processes send.
_UNCOUNTED = "CONCMON_LAB_UNCOUNTED"

#: Kinds of marks. A mark is four integers: its kind, when it happened, and two more.
_REQUESTED, _READY, _START, _END, _EXITED, _RESULT = range(6)

_path = os.environ.get("CONCMON_LAB_SOCKET")
_file = os.environ.get(_FILE) if _path else None
_measured = _file is not None
#: Marks of this process that have not been written, one after the other.
_marks = []
#: What a forked child has inherited of those and of other counts. It is kept: to free it would be to touch it.
_inherited = None
#: The process that the state of this module belongs to; a forked child has inherited another's.
_owner = _getpid()
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
#: Pause between two creations of a demo, seconds.
_pace_s = 0
#: Bytes sent to other processes of the run, by thread, as threads must not add to one number at once; None if they are not counted.
_sent = None
#: In the root of a measured run: bodies of lines that are sent when the run is over, with their times.
_later = []
#: In the root: when the measured part began and ended, and what had been used by then.
_begin = _end = _own_at_end = None
#: In the root: how many processes have written marks, and how many marks there were.
_written = [0, 0]


def _claim():
    """From here on marks and counts are those of this process, a copy of another one, whose threads may have held the lock. Nothing else is
    touched, as each page that a copy touches is a cost of its creation."""
    global _lock, _role, _waits, _sent, _owner, _marks, _inherited
    _inherited = _marks, _waits, _sent
    _owner, _role, _marks = _getpid(), "worker", []
    _waits = None if _waits is None else {}
    _sent = None if _sent is None else {}
    _lock = _thread.allocate_lock()


def _forget():
    """A forked child starts with a connection of its own, too."""
    global _socket_, _pid, _unsent, _count, _events, _spent_ns, _waited_before, _later
    _claim()
    _waited_before, _later = {}, []
    if _socket_ is not None:
        _socket_.close()
    _socket_, _pid, _unsent, _count, _events, _spent_ns = None, 0, b"", 0, 0, 0


_forgets = False


def _forget_in_children():
    """Only live: in a measured run nothing is done between a fork and the child's own code, and `ready` looks whose marks there are."""
    global _forgets
    if not _forgets:
        os.register_at_fork(after_in_child=_forget)
        _forgets = True


def _connect():
    global _socket_, _pid, _path, _unsent, _count
    import _socket

    if _owner != _getpid():
        _forget()
    if not _measured:
        _forget_in_children()
    _pid, _unsent, _count = os.getpid(), b"", 0
    try:
        _socket_ = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        _socket_.connect(_path)
    except OSError:
        # concmon has gone; the work goes on without it.
        _path = None
        return
    gil = "GIL" if getattr(sys, "_is_gil_enabled", lambda: True)() else "no GIL"
    hello = '"m":"hello","v":%d,"role":"%s","lang":"python %d.%d.%d, %s"' % (VERSION, _role, *sys.version_info[:3], gil)
    if _role == "root" and _STARTED in os.environ:
        hello += ',"started":%d' % int(os.environ.pop(_STARTED))
    _queue(hello, BORN_NS if _role == "root" else monotonic_ns())


def _queue(body, t, pid=None, tid=None):
    global _count, _unsent
    if len(_unsent) < KEEP_MOST:
        line = '{"t":%d,"pid":%d,"tid":%d,"n":%d,%s}\n' % (t, pid or _pid, tid or get_native_id(), _count, body)
        _unsent += line.encode("ascii")
    _count += 1


def _send():
    global _unsent, _path, _sent_at
    _sent_at = monotonic_ns()
    if not _unsent or _socket_ is None:
        return
    try:
        sent = _socket_.send(_unsent, _DONTWAIT_NOSIGNAL)
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
    """Notes how long each thread of this process has waited for CPUs so far, while all are still there."""
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
    """Notes the same of the calling thread, if it ends before the others."""
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


def forgo_sent():
    """What the processes of this run send to each other cannot be counted: it will not be known. Called by the root before it creates
    any; they know it from their environment."""
    global _sent
    _sent = None
    os.environ[_UNCOUNTED] = "1"


def counts_sent():
    """Whether this run counts what its processes send."""
    return _UNCOUNTED not in os.environ


def sent(count):
    """So many bytes go into a pipe or socket to another process of the run."""
    if _sent is not None:
        mine = get_ident()
        _sent[mine] = _sent.get(mine, 0) + count


def _cost_lines(waits, bytes_sent):
    """What a process has counted, as bodies of lines; in parts, as a line must not be too long."""
    count = "" if bytes_sent is None else ',"sent_bytes":%d' % bytes_sent
    for at in range(0, len(waits or ()) or 1, 500):
        part = "" if waits is None else ',"waits":[%s]' % ",".join("[%d,%d]" % tuple(pair) for pair in waits[at : at + 500])
        yield '"m":"costs"%s%s' % (part, count)


def _counted():
    """What this process has waited and sent so far."""
    return None if _waits is None else [list(pair) for pair in _waits.items()], None if _sent is None else sum(_sent.values())


def farewell():
    """Reports what this process has done and what it has cost. Called by itself when the interpreter or a child process of
    multiprocessing ends; to be called before `os._exit`."""
    global _events, _spent_ns
    if _measured:
        _write_marks()
        return
    if _path is not None and _pid == os.getpid() and _events:
        note_waits()
        for body in _cost_lines(*_counted()):
            _say(body)
        _say('"m":"overhead","events":%d,"ns":%d' % (_events, _spent_ns))
        _events = _spent_ns = 0
    flush()


# --- measured: marks -----------------------------------------------------------------------------------------------------------------


def measure(file):
    """Called by the root before anything is created: this run is measured, and its processes write their marks to `file`."""
    global _measured, _file
    if _path is not None:
        _measured, _file = True, file
        os.environ[_FILE] = file


def measured():
    """Whether marks stay in memory until the work is done."""
    return _measured


def _write_marks():
    """Appends the marks of this process, whose work has ended, to the run's file with one write, and then what that has used."""
    global _marks
    if not _marks or _role == "root" or _owner != _getpid():
        return
    before = _used_by_telling()
    mine, _marks = _marks, []
    if _waits is not None:
        if _thread._count():
            note_waits()
        else:
            # Not /proc/self: an interpreter of its own may end in another thread than the first of the process.
            waited = _note_wait("/proc/thread-self/schedstat")
            if waited is not None:
                _waits[get_native_id()] = waited
    waits, bytes_sent = _counted()
    _append(_file, [_owner, -1 if waits is None else waits, -1 if bytes_sent is None else bytes_sent, mine])
    if before is not None:
        _append(_file, [a - b for a, b in zip(_used_by_telling(), before)])


def _used_by_telling():
    """What this thread has used so far; None where the module for that would have to be loaded first, which costs more than telling."""
    return _used_by("RUSAGE_THREAD") if "resource" in sys.modules else None


def _append(file, what):
    try:
        opened = _open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _write(opened, (repr(what) + "\n").encode("ascii"))
        finally:
            _close(opened)
    except OSError:
        pass  # the gap is seen: a worker that has not said that it was there


def _reporting_ns(processes, marks):
    """CPU time that reporting took of the run, nanoseconds, from what a mark and a write cost here and now."""
    scratch, file = [], "%s-cost" % _file

    def once(act, times):
        costs = []
        for _ in range(times):
            begun = thread_time_ns()
            act()
            costs.append(thread_time_ns() - begun)
        return sorted(costs)[times // 2]

    def hundred_marks():
        for _ in range(100):
            scratch.extend((_START, monotonic_ns(), 0, 0))

    def write():
        _note_wait("/proc/self/schedstat")
        _append(file, scratch[:80])

    mark, written = once(hundred_marks, 5) / 100, once(write, 5)
    os.unlink(file)
    return int(marks * mark + processes * written)


def result(k, number):
    """In a measured run: the result of unit `k`, for `results`."""
    _marks.extend((_RESULT, k, number, 0))


def results():
    """In the root, when the workers have ended: the results that they have noted, by index of unit."""
    found = {}
    for marks in [_marks] + _take_marks():
        found.update((marks[at + 1], marks[at + 2]) for at in range(0, len(marks), 4) if marks[at] == _RESULT)
    return found


def _take_marks():
    """The marks that other processes have written. They are kept to be sent, as is what the processes have counted."""
    import json

    taken = []
    try:
        with open(_file) as file:
            lines = file.readlines()
        os.unlink(_file)
    except OSError:
        return taken
    for line in lines:
        try:
            told = json.loads(line)
        except ValueError:
            continue
        if len(told) == len(_NAMES):
            # Six figures: what a worker has used to write its marks, which is no part of the run.
            _keep('"m":"apart",' + _usage_words(told))
            continue
        pid, waits, bytes_sent, marks = told
        _written[0] += 1
        taken.append(marks)
        _later.append((pid, marks))
        for body in _cost_lines(None if waits == -1 else waits, None if bytes_sent == -1 else bytes_sent):
            _keep(body, pid)
    return taken


def _keep(body, pid=None, t=None):
    """In the root of a measured run: a line that is sent when the run is over."""
    _later.append((pid or _pid, (monotonic_ns() if t is None else t, body)))


_BODIES = (
    '"m":"requested","w":%d',
    '"m":"ready","w":%d,"how":"%s"',
    '"m":"task_start","w":%d,"k":%d',
    '"m":"task_end","w":%d,"k":%d',
    '"m":"exited","w":%d',
)


def _lines_of(pid, tid, marks):
    """Marks as lines: time, tid and body."""
    for at in range(0, len(marks), 4):
        kind, t, w, x = marks[at : at + 4]
        if kind == _READY:
            yield t, x >> 8, _BODIES[kind] % (w, HOWS[x & 0xFF])
        elif kind in (_START, _END):
            yield t, tid, _BODIES[kind] % (w, x)
        elif kind == _EXITED:
            yield t, tid, _BODIES[kind] % w + (',"status":%d' % (x - 1) if x else "")
        elif kind == _REQUESTED:
            yield t, tid, _BODIES[kind] % w


def _send_marks():
    """In the root of a measured run, when it is over: sends everything that was kept, of all processes."""
    global _marks, _later
    _take_marks()
    mine, _marks = _marks, []
    kept, _later = [(_pid, mine)] + _later, []
    for pid, what in kept:
        if isinstance(what, tuple):
            lines = [(what[0], pid, what[1])]
        else:
            _written[1] += len(what) // 4
            lines = _lines_of(pid, pid, what)
        for t, tid, body in lines:
            _queue(body, t, pid, tid)
            if len(_unsent) > KEEP_MOST // 2:
                flush()
    flush()


# --- what happens --------------------------------------------------------------------------------------------------------------------


def pace(ms):
    """In a run that is watched: pauses this long, milliseconds, before each worker but the first."""
    global _pace_s
    _pace_s = ms / 1000


def requested(w, t=None):
    """The creator is about to create worker `w`."""
    if not _began:
        _begin_here()
    if _pace_s and w and not _measured:
        # The pause is a phase of its own, outside of every figure.
        phase("pace")
        flush()
        _sleep(_pace_s)
        _say('"m":"phase","name":"launch"', urgent=True)
        flush()
    if _measured:
        _marks.extend((_REQUESTED, monotonic_ns() if t is None else t, w, 0))
    else:
        _say('"m":"requested","w":%d' % w, t)


def ready(w, how, t=None):
    """Worker `w` runs its first own instruction. `how`: one of `HOWS`."""
    if t is None:
        t = monotonic_ns()
    if _measured:
        if _owner != _getpid():
            _claim()
        _marks.extend((_READY, t, w, get_native_id() << 8 | HOWS.index(how)))
    else:
        _say('"m":"ready","w":%d,"how":"%s"' % (w, how), t, urgent=True)


def task_start(w, k, t=None):
    """Worker `w` begins unit of work `k`."""
    if _measured:
        _marks.extend((_START, monotonic_ns() if t is None else t, w, k))
    else:
        _say('"m":"task_start","w":%d,"k":%d' % (w, k), t)


def task_end(w, k, t=None):
    """Worker `w` has finished unit of work `k`."""
    if _measured:
        _marks.extend((_END, monotonic_ns() if t is None else t, w, k))
    else:
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
    if _measured:
        _marks.extend((_EXITED, monotonic_ns() if t is None else t, w, 0 if status is None else status + 1))
    else:
        _say('"m":"exited","w":%d' % w + ("" if status is None else ',"status":%d' % status), t)


def shown(w, how, pid):
    """In the root of a measured run: the process that can be looked at as worker `w` at the next `inspect`."""
    with _lock:
        _queue('"m":"shown","w":%d,"how":"%s"' % (w, how), monotonic_ns(), pid, pid)


def _report(body):
    """Reports what is not urgent: at once, or when the measured run is over."""
    if _measured and _role == "root":
        _keep(body)
    else:
        _say(body, urgent=True)


def value(name, text, number=None):
    """A result worth showing; the unit belongs into the name (`wall_ns`). `number` is a whole number from 0, if it is one."""
    number = "" if number is None else ',"number":%d' % max(0, int(number))
    _report('"m":"value","name":%s,"text":%s%s' % (_quoted(name), _quoted(text), number))


def warn(text):
    """Something to know that is no failure."""
    _report('"m":"warn","text":%s' % _quoted(text))


def error(text):
    """The worker failed."""
    _say('"m":"error","text":%s' % _quoted(text), urgent=True)


def phase(name):
    """The run goes into another part. With `launch` the measured part begins: what comes next is the first act of creation. With
    `teardown` threads begin to end: what they have waited is noted first, in a pause that is not counted as wall time."""
    if _path is None:
        return
    if name == "launch":
        _say('"m":"phase","name":"launch"', urgent=True)
        flush()
        if _measured:
            # Those that this line wakes are to sleep again before anything is timed: there may be few CPUs.
            _sleep(QUIET_S)
            _warm_up()
        _begin_here()
        return
    if _measured and name != "inspect":
        return
    if name == "teardown":
        _say('"m":"phase","name":"note"')
        note_waits()
    _say('"m":"phase","name":%s' % _quoted(name), urgent=True)


def _warm_up():
    """After a sleep the CPU is slow and its caches are cold. A program that measures itself has just been running: so has this one."""
    kept = len(_marks)
    until = monotonic_ns() + 300_000
    while monotonic_ns() < until:
        task_start(0, 0)
        task_end(0, 0)
    del _marks[kept:]
    _usage()


def _used_by(who):
    """What this process, or the children it has waited for, have used so far (getrusage(2)): nanoseconds and counts."""
    import resource

    used = resource.getrusage(getattr(resource, who))
    time = [int(getattr(used, name) * 1e9) for name in ("ru_utime", "ru_stime")]
    return time + [getattr(used, name) for name in ("ru_minflt", "ru_majflt", "ru_nvcsw", "ru_nivcsw")]


def _usage(own=None):
    """What both have used so far; `own` is what this process had used at another time."""
    return [a + b for a, b in zip(own or _used_by("RUSAGE_SELF"), _used_by("RUSAGE_CHILDREN"))]


_NAMES = ("user_ns", "sys_ns", "minor_faults", "major_faults", "voluntary_switches", "involuntary_switches")


def _usage_words(used, since=(0, 0, 0, 0, 0, 0)):
    return ",".join('"%s":%d' % (name, max(0, is_ - was)) for name, is_, was in zip(_NAMES, used, since))


def _begin_here():
    """In the root: the next thing that happens is the first act of creation. What has been used so far, the start of the interpreter, its
    imports and the filling of its memory, is no part of what is measured."""
    global _began, _waited_before, _begin
    if _began or _role != "root" or _path is None:
        return
    _began = True
    _waited_before = {get_native_id(): _note_wait("/proc/thread-self/schedstat") or 0}
    if _measured:
        used = _usage()
        _begin = monotonic_ns(), used
    else:
        _say('"m":"apart",' + _usage_words(_usage()))


def end(children=False):
    """In the root: the last worker has ended, or its pool has been shut down, and so has what is measured. With `children`, called again:
    more children have been waited for that belong to the run. What the root itself has done meanwhile is no part of it."""
    global _end, _own_at_end
    if _end is None:
        now = monotonic_ns()
        _own_at_end = _used_by("RUSAGE_SELF")
        _end = now, _usage(_own_at_end)
        if _measured:
            _keep_root_costs()
    elif children:
        _end = _end[0], _usage(_own_at_end)


def apart(act):
    """Does `act()` in the root and says what it has used as something that is no part of the run."""
    before = _usage()
    act()
    _say('"m":"apart",' + _usage_words(_usage(), before), urgent=True)


def begin_root():
    """This process is the root of the run."""
    global _role
    import resource  # noqa: F401 - loaded before what is measured

    _role = "root"
    with _lock:
        if _path is not None:
            _connect()
            _send()


def ask_for_inspection():
    """Asks concmon to look at the processes of the run; the descriptor that becomes readable once it has, None without a listener. To be
    followed by `resumed`."""
    if _path is None:
        return None
    phase("inspect")
    flush()
    return None if _path is None else _socket_.fileno()


def resumed():
    """In a measured run: the pause to be looked at is over."""
    if _measured:
        _keep('"m":"phase","name":"resume"')


def inspect(timeout=2.0):
    """Holds still until concmon has looked at the processes of the run. The pause is not counted: neither as wall time, nor what this
    process uses in it."""
    if _path is None:
        return
    before = _usage()
    if ask_for_inspection() is None:
        return
    if _measured and _end is None:
        note_waits()
    try:
        _socket_.settimeout(timeout)
        while not _socket_.recv(64).endswith(b"\n"):
            pass
    except OSError:
        # Nobody has looked; the run goes on, and its shape stays unchecked.
        pass
    finally:
        _socket_.settimeout(None)
    if _measured and _end is None:
        _keep('"m":"apart",' + _usage_words(_usage(), before))
    resumed()


def done(t=None):
    """The root has finished its work, at `end`, at `t` or now: its own costs and those of the children it has waited for."""
    if _path is None:
        return
    now = monotonic_ns() if t is None else t, _usage()
    if _measured:
        if _began and _begin is not None:
            _keep('"m":"begins"', t=_begin[0])
            _keep('"m":"apart",' + _usage_words(_begin[1]))
        end()
        _send_marks()
        spent = _reporting_ns(*_written)
        _say('"m":"overhead","events":%d,"ns":%d' % (_written[1], spent))
    else:
        farewell()
    t, used = now if _end is None or t is not None else _end
    _say('"m":"done",' + _usage_words(used), t, urgent=True)
    flush()


def _keep_root_costs():
    # The pools' threads were looked at while they were there; this thread goes on.
    if _waits is not None:
        waited = _note_wait("/proc/thread-self/schedstat")
        if waited is not None:
            tid = get_native_id()
            _waits.setdefault(tid, waited - _waited_before.get(tid, 0))
    for body in _cost_lines(*_counted()):
        _keep(body)


def leave():
    """The last word of the root: what comes next is the end of its interpreter."""
    if _path is not None:
        _say('"m":"leaves"', urgent=True)
        flush()


def _at_exit():
    farewell()


import atexit  # noqa: E402 - registers what is defined above

atexit.register(_at_exit)
