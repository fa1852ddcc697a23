"""What the roots of the Python runs share: the spec, the parts of a run, and worker processes at the other end of a pipe.

The main file of a run defines what is special about its system; a child that starts from a fresh interpreter imports it again.
"""

import itertools
import json
import multiprocessing
import multiprocessing.context
import os
import signal
import subprocess
import sys
import threading
import time
import traceback

import concmon_lab as lab
import lab_tasks as tasks

#: What was asked for; every process of the run has it in its environment.
SPEC = json.loads(os.environ.get("CONCMON_LAB_SPEC", "{}"))
#: How a worker process came to be, in the protocol's words, by start method.
HOW = {"fork": "fork", "spawn": "spawn", "forkserver": "fork_server"}
#: Index of the worker that this process is, if it is one.
worker_index = 0
#: Memory that workers may inherit.
ballast = None

# A measurement is not to be disturbed; a person who looks on wants to see it happen.
lab.batch(SPEC.get("hold_ms", 0) == 0)


def count_what_is_sent():
    """Has all bytes counted that go through the pipes of multiprocessing, and those that a fresh interpreter is told at its start: one
    addition for each message."""
    from multiprocessing import connection, reduction

    plain_send, plain_dump = connection.Connection._send, reduction.dump

    def _send(self, buf, *rest):
        # An empty message carries nothing: with those an executor wakes a thread of its own process.
        if buf != b"\0\0\0\0":
            lab.sent(len(buf))
        return plain_send(self, buf, *rest)

    def dump(obj, file, *rest):
        before = file.tell()
        plain_dump(obj, file, *rest)
        lab.sent(file.tell() - before)

    lab.count_sent()
    connection.Connection._send, reduction.dump = _send, dump


def name_objects():
    """Has named semaphores named after the run, for its helper to take away what nobody else does: a root that is killed has no time to."""
    config = getattr(multiprocessing.current_process(), "_config", {})
    if "semprefix" in config:
        config["semprefix"] = "/" + os.environ["CONCMON_LAB_OBJECTS"] + "mp"


if lab.active():
    count_what_is_sent()
    name_objects()


class WorkerFailed(Exception):
    """A worker did not do what it should; one sentence."""


def hold_memory():
    """Takes the parent's memory and writes to all of it."""
    global ballast
    if SPEC["parent_mb"]:
        ballast = bytearray(b"\1") * (SPEC["parent_mb"] << 20)


def release_memory():
    """Gives it back."""
    global ballast
    ballast = None


def touch_inherited(megabytes):
    """Writes one byte into each page of the first `megabytes` of the inherited memory; the minor faults it cost this thread."""
    import resource

    who = getattr(resource, "RUSAGE_THREAD", resource.RUSAGE_SELF)
    before = resource.getrusage(who).ru_minflt
    page = resource.getpagesize()
    for at in range(0, min(len(ballast or b""), megabytes << 20), page):
        ballast[at] = 2
    return resource.getrusage(who).ru_minflt - before


def perform(k):
    """Does unit `k` of this run."""
    if SPEC["task"] == "touch":
        return touch_inherited(tasks.size(SPEC))
    if SPEC["task"] == "http":
        return len(fetch(server_port(), tasks.size(SPEC)))
    return tasks.perform(SPEC, k)


def work(w, k):
    """Does unit `k` as worker `w`, and says so."""
    lab.task_start(w, k)
    try:
        return perform(k)
    finally:
        lab.task_end(w, k)


def work_share(w):
    """Does the units that fall to worker `w` when they are dealt out in turn; the results by index."""
    return {k: work(w, k) for k in range(w, tasks.units(SPEC), SPEC["workers"])}


def pooled(k):
    """Unit `k`, in whatever worker process or thread of a pool runs it."""
    return k, work(worker_index, k)


def report(results):
    """Shows the results of all units."""
    if SPEC["task"] == "touch" and results:
        faults = sum(results.values())
        lab.value("touch_minor_faults", faults, faults)
        return
    if SPEC["task"] == "http" and results:
        lab.value("bytes_received", sum(results.values()), sum(results.values()))
        return
    described = tasks.describe(SPEC, results)
    if described:
        lab.value(*described)


def linger():
    """Keeps everything as it is for a person to look at."""
    if SPEC["hold_ms"]:
        lab.phase("hold")
        lab.flush()
        time.sleep(SPEC["hold_ms"] / 1000)


def show():
    """Everybody is there and at rest: lets concmon check the shape, then a person look."""
    lab.inspect()
    linger()


async def inspect_loop(timeout=2.0):
    """Holds still within an asyncio event loop: it waits in its selector, which is what there is to see."""
    import asyncio

    descriptor = lab.ask_for_inspection()
    if descriptor is None:
        return
    loop = asyncio.get_running_loop()
    seen = loop.create_future()

    def answered():
        os.read(descriptor, 64)
        if not seen.done():
            seen.set_result(None)

    loop.add_reader(descriptor, answered)
    try:
        await asyncio.wait_for(seen, timeout)
    except asyncio.TimeoutError:
        pass  # nobody has looked: as in `lab.inspect`
    finally:
        loop.remove_reader(descriptor)


async def linger_loop():
    """`linger` within an asyncio event loop."""
    import asyncio

    if SPEC["hold_ms"]:
        lab.phase("hold")
        lab.flush()
        await asyncio.sleep(SPEC["hold_ms"] / 1000)


async def show_loop():
    """`show` within an asyncio event loop."""
    await inspect_loop()
    await linger_loop()


async def launch_tasks(worker):
    """Starts an asyncio task `worker(w)` for each worker, one after the other."""
    import asyncio

    lab.phase("launch")
    running = []
    for w in range(SPEC["workers"]):
        lab.requested(w)
        running.append(asyncio.create_task(worker(w), name="worker-%d" % w))
        # A task runs when its creator waits; otherwise its latency would be that of all who come after it.
        await asyncio.sleep(0)
    return running


async def see_off_tasks(running):
    """Waits for the end of each."""
    for w, task in enumerate(running):
        await task
        lab.exited(w)


async def run_tasks(perform):
    """All that a run of asyncio tasks does, from their creation to their end: unit `k` is `await perform(k)`; the results by index."""
    import asyncio

    workers, units = SPEC["workers"], tasks.units(SPEC)
    go, leave, finished = asyncio.Event(), asyncio.Event(), asyncio.Event()
    results, left = {}, workers

    async def worker(w):
        nonlocal left
        lab.ready(w, "async_task")
        await go.wait()
        for k in range(w, units, workers):
            with lab.task(w, k):
                results[k] = await perform(k)
        left -= 1
        if left == 0:
            finished.set()
        await leave.wait()

    running = await launch_tasks(worker)
    await inspect_loop()
    lab.phase("steady")
    go.set()
    await finished.wait()
    await linger_loop()
    lab.phase("teardown")
    leave.set()
    await see_off_tasks(running)
    return results


def main(body):
    """Runs the root: `body()` does what the system does and gives the results by index of unit, or None."""
    lab.begin_root()
    try:
        hold_memory()
        with loopback_server():
            results = body()
            ended = lab.now_ns()
            report(results or {})
        lab.done(ended)
        lab.apart(release_memory)
        lab.flush()
    except WorkerFailed as failure:
        lab.error(str(failure))
        lab.done()
        sys.exit(1)
    except BaseException:
        lab.error(traceback.format_exc())
        lab.flush()
        sys.exit(1)


# --- worker processes at the other end of a pipe -----------------------------------------------------------------------------------


def serve(w, how, pipe):
    """All that a worker process of a crew does: says that it is there, is let go, works, is let leave."""
    global worker_index
    lab.ready(w, how)
    worker_index = w
    pipe.send_bytes(b"ready")
    pipe.recv_bytes()
    pipe.send(work_share(w))
    pipe.recv_bytes()
    lab.farewell()


class Crew:
    """The workers as the root sees them: a pipe to each, and a way to see it off."""

    def __init__(self):
        self.pipes, self.pids, self.wait = [], [], []
        self.failure = None

    def add(self, pipe, pid, wait):
        """A worker has been started: its pipe, its PID, and a function that waits for its end and gives the raw wait status. Waits until
        it is there, so that the next creation is not measured together with this one."""
        self.pipes.append(pipe)
        self.pids.append(pid)
        self.wait.append(wait)
        try:
            pipe.recv_bytes()
        except (EOFError, OSError):
            self._see_off(len(self.pipes) - 1)
            raise WorkerFailed(self.failure or "worker %d (pid %d) ended before it began" % (len(self.pipes) - 1, pid)) from None

    def run(self):
        """From all workers being there to all having left; the results by index of unit."""
        lab.inspect()
        lab.phase("steady")
        results = {}
        for pipe in self.pipes:
            self._tell(pipe)
        for pipe in self.pipes:
            try:
                results.update(pipe.recv())
            except (EOFError, OSError):
                pass  # its end is seen below, with its status
        if SPEC["task"] == "touch":
            lab.inspect()
        linger()
        lab.phase("teardown")
        for pipe in self.pipes:
            self._tell(pipe)
        for w in range(len(self.pipes)):
            self._see_off(w)
        if self.failure:
            raise WorkerFailed(self.failure)
        return results

    @staticmethod
    def _tell(pipe):
        try:
            pipe.send_bytes(b"on")
        except OSError:
            pass  # as above

    def _see_off(self, w):
        status = self.wait[w]()
        lab.exited(w, status)
        if status and not self.failure:
            self.failure = "worker %d (pid %d) %s" % (w, self.pids[w], how_it_ended(status))


def run_crew(start):
    """All that a run of a crew does; `start(w, crew)` starts worker `w` and adds it."""
    crew = Crew()
    lab.phase("launch")
    for w in range(SPEC["workers"]):
        start(w, crew)
    return crew.run()


def how_it_ended(status):
    """A raw wait status in words."""
    if status & 0x7F:
        try:
            return "was killed by %s" % signal.Signals(status & 0x7F).name
        except ValueError:
            return "was killed by signal %d" % (status & 0x7F)
    return "ended with exit code %d" % (status >> 8)


def raw_status(exitcode):
    """The raw wait status for what multiprocessing calls an exit code."""
    return 0 if exitcode is None else -exitcode if exitcode < 0 else exitcode << 8


# --- contexts of multiprocessing whose processes say how they come to be -----------------------------------------------------------

_numbers = itertools.count()
_started = []


class _Announced:
    """A process of multiprocessing that says when it is asked for and when it is there."""

    def start(self):
        self._lab_worker = next(_numbers)
        lab.requested(self._lab_worker)
        super().start()
        _started.append(self)

    def run(self):
        global worker_index
        lab.ready(self._lab_worker, HOW[self._start_method])
        worker_index = self._lab_worker
        try:
            super().run()
        finally:
            lab.farewell()


class _ForkProcess(_Announced, multiprocessing.context.ForkProcess):
    pass


class _SpawnProcess(_Announced, multiprocessing.context.SpawnProcess):
    pass


class _ForkServerProcess(_Announced, multiprocessing.context.ForkServerProcess):
    pass


class _ForkContext(multiprocessing.context.ForkContext):
    Process = _ForkProcess


class _SpawnContext(multiprocessing.context.SpawnContext):
    Process = _SpawnProcess


class _ForkServerContext(multiprocessing.context.ForkServerContext):
    Process = _ForkServerProcess


def preload(context):
    """What a fork server has imported, its children need not."""
    context.set_forkserver_preload(["__main__", "lab_root"])


def start_method():
    """The start method that was asked for, or the interpreter's own default."""
    return SPEC.get("start_method") or multiprocessing.get_context().get_start_method()


def announcing_context():
    """The context for the start method, with processes that announce themselves."""
    method = start_method()
    lab.value("start_method", method)
    context = {"fork": _ForkContext, "spawn": _SpawnContext, "forkserver": _ForkServerContext}[method]()
    if method == "forkserver":
        preload(context)
    return context


def see_off_announced():
    """Says how the announced processes, which have been joined, have ended."""
    for process in _started:
        lab.exited(process._lab_worker, raw_status(process.exitcode))


# --- threads -----------------------------------------------------------------------------------------------------------------------


class Gate:
    """Threads wait here until they are let go; a lock that is held, not an Event, so that a waiting thread sleeps in one futex."""

    def __init__(self):
        self._lock = threading.Lock()
        self._lock.acquire()

    def wait(self):
        """Until it is open."""
        with self._lock:
            pass

    def open(self):
        """Lets everybody through."""
        self._lock.release()


class AnnouncedSubmit:
    """For a pool of threads: says when one is asked for. The pool starts one within `submit` while it has fewer than it may and nobody
    is idle."""

    def submit(self, fn, /, *args, **kwargs):
        before, begun = len(self._threads), lab.now_ns()
        future = super().submit(fn, *args, **kwargs)
        if len(self._threads) > before:
            lab.requested(before, begun)
        return future


def run_thread_pool(kind, name, announce, unit):
    """All that a run of such a pool does: its threads call `announce` first, and `unit(k)` gives `k` and its result. The results by
    index, and how many threads there were."""
    units = tasks.units(SPEC)
    lab.phase("launch")
    with kind(SPEC["workers"], thread_name_prefix=name, initializer=announce) as pool:
        if units == 0:
            list(pool.map(abs, range(SPEC["workers"])))
        results = dict(pool.map(unit, range(units)))
        threads = len(pool._threads)
        show()
        lab.phase("teardown")
    for w in range(threads):
        lab.exited(w)
    return results, threads


def one_blas_thread():
    """To be called before numpy is imported: its library for linear algebra would make a thread for each CPU, and nobody could tell whose
    threads, and whose speed-up, they were."""
    for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
        os.environ[name] = "1"


# --- a server on loopback ----------------------------------------------------------------------------------------------------------

_server = None


class loopback_server:  # noqa: N801 - a context
    """A process that answers GET requests on 127.0.0.1 after as many milliseconds as asked for; only for task http."""

    def __enter__(self):
        global _server
        if SPEC["task"] == "http":
            path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "lab_server.py")
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
            _server = subprocess.Popen([sys.executable, "-S", path], **pipes)
            os.environ["CONCMON_LAB_PORT"] = str(int(_server.stdout.readline()))

    def __exit__(self, *_):
        if _server is not None:
            # The end of its standard input is what it waits for.
            _server.stdin.close()
            _server.wait()
            _server.stdout.close()


def server_port():
    """Port of the server of this run."""
    return int(os.environ["CONCMON_LAB_PORT"])


def request(milliseconds):
    """The bytes of a GET that the server answers after so many milliseconds."""
    return b"GET /%d HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n" % milliseconds


def body_of(answer):
    """The body of a whole answer."""
    head, _, body = answer.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200 "):
        raise WorkerFailed("the server on loopback answered %r" % head[:60])
    return body


def fetch(port, milliseconds):
    """A GET over a raw, blocking socket; the body."""
    import socket

    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(request(milliseconds))
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    return body_of(answer)
