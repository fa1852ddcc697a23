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
from _thread import get_native_id

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


def _forget_connection():
    """A forked child starts with a connection of its own, and with a lock that no thread of its parent holds."""
    global _lock, _socket_, _pid, _role, _unsent, _count, _events, _spent_ns
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


def farewell():
    """Says what CPU time the protocol cost this process, and sends everything. Called by itself when the interpreter or a child process of
    multiprocessing ends; to be called before `os._exit`."""
    global _events, _spent_ns
    if _path is not None and _pid == os.getpid() and _events:
        _say('"m":"overhead","events":%d,"ns":%d' % (_events, _spent_ns))
        _events = _spent_ns = 0
    flush()


def requested(w, t=None):
    """The creator is about to create worker `w`."""
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
    """The run goes into another part."""
    _say('"m":"phase","name":%s' % _quoted(name), urgent=True)


def warn(text):
    """Something to know that is no failure."""
    _say('"m":"warn","text":%s' % _quoted(text), urgent=True)


def error(text):
    """The worker failed."""
    _say('"m":"error","text":%s' % _quoted(text), urgent=True)


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
