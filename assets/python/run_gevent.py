"""gevent: after monkey-patching, threading.Thread makes greenlets and time.sleep lets another run. Not a line of the program says so."""

import concmon_lab as lab  # first: what it uses must be the kernel's own

import gevent.monkey

gevent.monkey.patch_all()

import os  # noqa: E402 - everything from here on is patched
import threading  # noqa: E402
import time  # noqa: E402

import gevent.socket  # noqa: E402
import lab_root  # noqa: E402
import lab_tasks  # noqa: E402


def inspect():
    """As `lab.inspect`, but it is the hub that waits, and so do all greenlets."""
    descriptor = lab.ask_for_inspection()
    if descriptor is not None:
        gevent.socket.wait_read(descriptor, timeout=2)
        os.read(descriptor, 64)
        lab.resumed()


def body():
    spec = lab_root.SPEC
    workers, units = spec["workers"], lab_tasks.units(spec)
    go, leave = threading.Event(), threading.Event()
    results, done = {}, threading.Semaphore(0)

    def worker(w):
        lab.ready(w, "greenlet")
        go.wait()
        results.update((k, lab_root.work(w, k)) for k in range(w, units, workers))
        done.release()
        leave.wait()

    # A greenlet runs when its creator waits.
    threads = lab_root.start_threads("worker", worker, lambda: time.sleep(0))
    inspect()
    lab.phase("steady")
    begun = time.monotonic_ns()
    go.set()
    for _ in threads:
        done.acquire()
    took = time.monotonic_ns() - begun
    with open("/proc/self/status") as status:
        tids = next(int(line.split()[1]) for line in status if line.startswith("Threads:"))
    lab.value("python_threads", threading.active_count(), threading.active_count())
    lab.value("kernel_threads", tids, tids)
    lab.value("all_units_ns", "%.1f ms" % (took / 1e6), took)
    lab_root.linger()
    lab.phase("teardown")
    leave.set()
    lab_root.join_threads(threads)
    return results


if __name__ == "__main__":
    lab_root.main(body)
