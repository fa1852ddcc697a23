"""What the roots of the Python runs share: the spec, the parts of a run, and how its processes are looked at.

The main file of a run defines what is special about its system. A child that starts from a fresh interpreter imports the main file again,
which therefore imports this only where it is the root; what workers need is in `lab_worker`.
"""

import os
import sys
import time

import concmon_lab as lab
import lab_tasks as tasks
import lab_worker
from lab_worker import WorkerFailed, body_of, fetch, perform, request, server_port, work, work_share  # noqa: F401 - for the main files

# What a root loads is in the memory of its forked children: modules are loaded where they are needed, and here only what every program
# has that measures itself.


def _spec():
    import json

    return json.loads(os.environ.get("CONCMON_LAB_SPEC", "{}"))


#: What was asked for.
SPEC = _spec()

lab_worker.SPEC = SPEC
tasks.publish(SPEC)
#: Whether the run stays for a person to look at: then everything is reported when it happens, and its times are not measurements.
LIVE = SPEC.get("hold_ms", 0) > 0
if not LIVE:
    lab.measure(os.path.join(os.environ.get("TMPDIR", "/tmp"), "marks"))
lab.pace(SPEC.get("pace_ms", 0) if LIVE else 0)


def name_objects():
    """Names named semaphores after the run, so that its helper can remove those that a killed root has left."""
    import multiprocessing

    config = getattr(multiprocessing.current_process(), "_config", {})
    if "semprefix" in config:
        config["semprefix"] = "/" + os.environ["CONCMON_LAB_OBJECTS"] + "mp"


if lab.active():
    lab.count_sent()


def with_multiprocessing():
    """To be called by the main files that use multiprocessing, before anything is timed."""
    import lab_pool

    if lab.active():
        lab_pool.count_what_is_sent()
        name_objects()
    return lab_pool


def hold_memory():
    """Takes the parent's memory and writes to all of it. The copy-on-write exhibit fills its memory itself, with objects."""
    if SPEC["parent_mb"] and not SPEC["system"].endswith("/copy-on-write"):
        lab_worker.ballast = bytearray(b"\1") * (SPEC["parent_mb"] << 20)


def release_memory():
    """Gives it back."""
    lab_worker.ballast = None


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


def name_threads():
    """Gives the threads of CPython's own modules the names of their classes, or of the functions they run, in the kernel too: by these
    concmon knows what they are. CPython does so itself from 3.14 on, for threads that have names."""
    threading = sys.modules.get("threading")
    for thread in threading.enumerate() if threading else ():
        kind = type(thread).__name__.lstrip("_")
        function = thread.name.partition("(")[2][:-1] if thread.name.endswith(")") else ""
        if kind == "Thread":
            kind = function or thread.name
        if kind in ("MainThread", "DummyThread"):
            continue
        try:
            with open("/proc/self/task/%d/comm" % thread.native_id, "w") as file:
                file.write(kind[:15])
        except (OSError, TypeError):
            pass  # it has ended, or has not begun


if LIVE:
    _ask_for_inspection = lab.ask_for_inspection

    def _named_and_asked():
        name_threads()
        return _ask_for_inspection()

    lab.ask_for_inspection = _named_and_asked


def name_new_threads():
    """In a run that stays: names each thread as soon as it has started, and not only when concmon looks."""
    import threading

    if not LIVE or hasattr(threading.Thread.start, "names"):
        return
    plain_start = threading.Thread.start

    def start(self):
        plain_start(self)
        name_threads()

    start.names = True
    threading.Thread.start = start


def kept():
    """Whether the run stays until it is stopped: concmon has put a file beside the socket."""
    return os.path.exists(os.path.join(os.path.dirname(os.environ["CONCMON_LAB_SOCKET"]), "kept"))


def linger():
    """Keeps everything as it is for a person to look at."""
    if LIVE:
        lab.phase("hold")
        lab.flush()
        time.sleep(SPEC["hold_ms"] / 1000)
        if kept():
            import signal

            signal.pause()


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
        pass  # no answer: as in `lab.inspect`
    finally:
        loop.remove_reader(descriptor)
    lab.resumed()


async def linger_loop():
    """`linger` within an asyncio event loop."""
    import asyncio

    if LIVE:
        lab.phase("hold")
        lab.flush()
        await asyncio.sleep(SPEC["hold_ms"] / 1000)
        if kept():
            await asyncio.Event().wait()


async def show_loop():
    """`show` within an asyncio event loop."""
    await inspect_loop()
    await linger_loop()


async def launch_tasks(worker):
    """Starts an asyncio task `worker(w)` for each worker, all before the first of them runs, as programs do."""
    import asyncio

    lab.phase("launch")
    running = []
    for w in range(SPEC["workers"]):
        lab.requested(w)
        running.append(asyncio.create_task(worker(w), name="worker-%d" % w))
    return running


async def see_off_tasks(running):
    """Waits for the end of each."""
    for w, task in enumerate(running):
        await task
        lab.exited(w)


async def run_tasks(perform):
    """All that a run of asyncio tasks does, from their creation to their end: unit `k` is `await perform(k)`; the results by index. In a
    run that stays, they stay."""
    import asyncio

    workers, units = SPEC["workers"], tasks.units(SPEC)
    leave, finished = asyncio.Event(), asyncio.Event()
    results, left = {}, workers

    async def worker(w):
        nonlocal left
        lab.ready(w, "async_task")
        # All begin before any of them works, or one that computes would be a part of the creation of the next.
        await asyncio.sleep(0)
        for k in range(w, units, workers):
            with lab.task(w, k):
                results[k] = await perform(k)
        if LIVE:
            left -= 1
            if left == 0:
                finished.set()
            await leave.wait()

    running = await launch_tasks(worker)
    if LIVE:
        await finished.wait()
        await show_loop()
        lab.phase("teardown")
        leave.set()
    await see_off_tasks(running)
    lab.end()
    if not LIVE:
        await inspect_loop()
    return results


#: What is done after the measured part, in the order in which it was asked for.
_afterwards = []


def afterwards(act):
    """Has `act()` done when nothing is measured any more."""
    _afterwards.append(act)


def main(body):
    """Runs the root: `body()` does what the system does and gives the results by index of unit, or None."""
    lab.begin_root()
    try:
        tasks.prepare(SPEC)
        hold_memory()
        with loopback_server():
            results = body()
            lab.end()
            for act in _afterwards:
                act()
            report(results or {})
        lab.done()
        lab.apart(release_memory)
        lab.leave()
    except WorkerFailed as failure:
        lab.error(str(failure))
        lab.done()
        sys.exit(1)
    except BaseException:
        import traceback

        lab.error(traceback.format_exc())
        lab.done()
        sys.exit(1)


# --- workers that are created one by one --------------------------------------------------------------------------------------------


class Crew:
    """Worker processes that the root creates one by one. `start(w, act, args)` creates a process that does `act(*args)` and gives its
    PID and a function that waits for its end and gives the raw wait status; `pipe()` makes what joins the root to one of them."""

    def __init__(self, how, start, pipe=lab_worker.pair):
        self.how, self.start, self.pipe = how, start, pipe
        self.waits, self.pids = [], []
        self.failure = None

    def run(self):
        """The results by index of unit."""
        return self._run_live() if LIVE else self._run_measured()

    def _create(self, w, act, *args):
        pid, wait = self.start(w, act, args)
        self.pids.append(pid)
        self.waits.append(wait)

    def _run_measured(self):
        """As programs do it: all are started, then all are joined. They are looked at afterwards, in a second crew, as no worker holds
        still while it is timed."""
        lab.phase("launch")
        for w in range(SPEC["workers"]):
            lab.requested(w)
            self._create(w, lab_worker.live, w, self.how)
        for w in range(SPEC["workers"]):
            self._see_off(w)
        lab.end()
        stop_helpers()
        lab.end(children=True)
        results = lab.results()
        if self.failure:
            raise WorkerFailed(self.failure)
        afterwards(self._be_looked_at)
        return results

    def _be_looked_at(self):
        crew = Crew(self.how, self.start, self.pipe)
        pipes = crew._create_with_pipes(lab_worker.be_looked_at)
        for w, pipe in enumerate(pipes):
            try:
                pipe.recv_bytes()
            except (EOFError, OSError):
                continue  # it is not there to be seen, which the shape will say
            lab.shown(w, self.how, crew.pids[w])
        lab.inspect()
        for pipe in pipes:
            self._tell(pipe)
        for wait in crew.waits:
            wait()
        stop_helpers()

    def _create_with_pipes(self, act, *args):
        pipes = []
        for w in range(SPEC["workers"]):
            ours, theirs = self.pipe()
            if act is lab_worker.stay:
                lab.requested(w)
            self._create(w, act, w, *args, theirs)
            theirs.close()
            pipes.append(ours)
        return pipes

    def _run_live(self):
        lab.phase("launch")
        pipes, results = self._create_with_pipes(lab_worker.stay, self.how), {}
        for pipe in pipes:
            try:
                results.update(pipe.recv())
            except (EOFError, OSError):
                pass  # its end is seen below, with its status
        show()
        lab.phase("teardown")
        for pipe in pipes:
            self._tell(pipe)
        for w in range(len(pipes)):
            self._see_off(w)
        lab.end()
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
        status = self.waits[w]()
        lab.exited(w, status)
        if status and not self.failure:
            self.failure = "worker %d (pid %d) %s" % (w, self.pids[w], how_it_ended(status))


def fork(w, act, args):
    """Starts a worker by os.fork()."""
    pid = os.fork()
    if pid == 0:
        try:
            act(*args)
            os._exit(0)
        except BaseException:
            import traceback

            lab.error(traceback.format_exc())
            lab.farewell()
            os._exit(1)
    return pid, lambda: os.waitpid(pid, 0)[1]


def stop_helpers():
    """Ends the fork server and the resource trackers, multiprocessing's and loky's, and waits for them: what they have used belongs to the
    run, and the kernel charges it to the root when it has waited for them.

    Named semaphores are removed first, whose users have ended: a tracker that is stopped removes those it knows, and their objects would
    then complain."""
    import gc

    gc.collect()
    finalizers = getattr(sys.modules.get("multiprocessing.util"), "_finalizer_registry", {})
    for finalizer in list(finalizers.values()):
        if getattr(finalizer._callback, "__qualname__", "") == "SemLock._cleanup":
            finalizer()
    for module, server in (
        ("multiprocessing.forkserver", "_forkserver"),
        ("loky.backend.resource_tracker", "_resource_tracker"),
        ("joblib.externals.loky.backend.resource_tracker", "_resource_tracker"),
        ("multiprocessing.resource_tracker", "_resource_tracker"),
    ):
        loaded = sys.modules.get(module)
        stop = getattr(getattr(loaded, server, None), "_stop", None)
        if stop is not None:
            stop()


def how_it_ended(status):
    """A raw wait status in words."""
    import signal

    if status & 0x7F:
        try:
            return "was killed by %s" % signal.Signals(status & 0x7F).name
        except ValueError:
            return "was killed by signal %d" % (status & 0x7F)
    return "ended with exit code %d" % (status >> 8)


def raw_status(exitcode):
    """The raw wait status for what multiprocessing calls an exit code."""
    return 0 if exitcode is None else -exitcode if exitcode < 0 else exitcode << 8


# --- start methods of multiprocessing ------------------------------------------------------------------------------------------------


def start_method():
    """The start method that was asked for, or the interpreter's own default."""
    import multiprocessing

    return SPEC.get("start_method") or multiprocessing.get_context().get_start_method()


def announcing_context():
    """The context for the start method that was asked for, with processes that mark their creation."""
    method = start_method()
    lab.value("start_method", method)
    name_new_threads()
    return with_multiprocessing().CONTEXTS[method]()


def show_announced():
    """Lets concmon look at the announced processes, which are all there."""
    import lab_pool

    for process in lab_pool.started:
        if not LIVE and process.is_alive():
            lab.shown(process._lab_worker, lab_pool.HOW[process._start_method], process.pid)
    show()


def see_off_announced():
    """Marks how the announced processes, which have been joined, have ended; nothing is measured any more."""
    import lab_pool

    lab.end()
    for process in lab_pool.started:
        lab.exited(process._lab_worker, raw_status(process.exitcode))
    if not LIVE:
        stop_helpers()
        lab.end(children=True)


# --- threads -----------------------------------------------------------------------------------------------------------------------


class Gate:
    """Threads wait here until they are let go; a lock that is held, not an Event, so that a waiting thread sleeps in one futex."""

    def __init__(self):
        import threading

        self._lock = threading.Lock()
        self._lock.acquire()

    def wait(self):
        """Until it is open."""
        with self._lock:
            pass

    def open(self):
        """Lets everybody through."""
        self._lock.release()


def start_threads(name, act, started=None):
    """Starts a thread `act(w)` for each worker, named NAME-w, and marks when each is asked for; `started()` follows each start."""
    import threading

    lab.phase("launch")
    threads = []
    for w in range(SPEC["workers"]):
        lab.requested(w)
        thread = threading.Thread(target=act, args=(w,), name="%s-%d" % (name, w))
        thread.start()
        if started:
            started()
        threads.append(thread)
    return threads


def join_threads(threads):
    """Waits for the end of each and marks it."""
    for w, thread in enumerate(threads):
        thread.join()
        lab.exited(w)


class AnnouncedSubmit:
    """For a pool of threads: marks when one is asked for. The pool starts one within `submit` while it has fewer than it may and none
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
    lab.end()
    for w in range(threads):
        lab.exited(w)
    return results, threads


def one_blas_thread():
    """To be called before numpy is imported: its library for linear algebra would make a thread for each CPU, and the threads and the
    speed-up would be the library's."""
    for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
        os.environ[name] = "1"


# --- a server on loopback ----------------------------------------------------------------------------------------------------------

_server = None


class loopback_server:  # noqa: N801 - a context
    """A process that answers GET requests on 127.0.0.1 after as many milliseconds as asked for; only for task http."""

    def __enter__(self):
        global _server
        if SPEC["task"] == "http":
            import subprocess

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
