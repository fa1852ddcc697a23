"""The same work by one thread, then by several: what threads gain, which the GIL decides.

One program for five systems: bytecode under the GIL, bytecode without it, and C code that releases it: SHA-256 of a large block, numpy's
matrix product, and a grouped median by pandas.
"""

import hashlib
import sys
import sysconfig
import threading
import time

import concmon_lab as lab
import lab_root
import lab_tasks

#: Which of the systems this is.
SYSTEM = lab_root.SPEC.get("system", "").rpartition("/")[2]
#: What the hashing system hashes per unit.
BLOCK = bytes(16 << 20) if SYSTEM == "hash-threads" else b""
#: Rows that pandas groups per unit.
ROWS = 200_000

if SYSTEM == "numpy-threads":
    lab_root.one_blas_thread()
    import numpy

    matrix = numpy.random.default_rng(lab_root.SPEC["seed"]).random((lab_tasks.size(lab_root.SPEC),) * 2)

if SYSTEM == "pandas-threads":
    lab_root.one_blas_thread()
    import numpy
    import pandas

    numbers = numpy.random.default_rng(lab_root.SPEC["seed"])
    table = pandas.DataFrame({"key": numbers.integers(0, 1_000, ROWS), "value": numbers.random(ROWS)}).groupby("key")["value"]


def perform(k):
    """One unit, in any thread."""
    if SYSTEM == "pandas-threads":
        return int(table.median().sum())
    if SYSTEM == "hash-threads":
        return int.from_bytes(hashlib.sha256(BLOCK).digest()[:4], "big")
    if SYSTEM == "numpy-threads":
        return int((matrix @ matrix).trace())
    return lab_root.perform(k)


def unit(w, k):
    with lab.task(w, k):
        return perform(k)


def gil_enabled():
    return getattr(sys, "_is_gil_enabled", lambda: True)()


def body():
    spec = lab_root.SPEC
    workers, units = spec["workers"], lab_tasks.units(spec) or spec["tasks"]
    built_without = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
    lab.value("gil", "on" if gil_enabled() else "off", int(gil_enabled()))
    if built_without and gil_enabled():
        lab.warn("this interpreter is free-threaded, but something has switched its GIL on")

    def by_one_thread():
        lab.phase("alone")
        begun = time.monotonic_ns()
        for k in range(units):
            perform(k)
        return time.monotonic_ns() - begun

    # The rival: one thread, before any other exists. It is not shown as work of the workers. In a run that stays to be looked at it comes
    # last, so that the workers are there at once; then they sleep while it works.
    alone = None if lab_root.LIVE else by_one_thread()

    there, go, leave = threading.Semaphore(0), lab_root.Gate(), lab_root.Gate()
    done, results = threading.Semaphore(0), {}

    def worker(w):
        lab.ready(w, "thread")
        there.release()
        go.wait()
        mine = {k: unit(w, k) for k in range(w, units, workers)}
        ended = time.monotonic_ns()
        results.update(mine)
        ends.append(ended)
        done.release()
        leave.wait()

    ends = []
    threads = [threading.Thread(target=worker, args=(w,), name="cpu-%d" % w) for w in range(workers)]
    lab.phase("launch")
    for w, thread in enumerate(threads):
        lab.requested(w)
        thread.start()
        there.acquire()
    lab.inspect()
    lab.phase("steady")
    begun = time.monotonic_ns()
    go.open()
    for _ in threads:
        done.acquire()
    together = max(ends) - begun
    if alone is None:
        alone = by_one_thread()
    lab.value("one_thread_ns", alone, alone)
    lab.value("all_threads_ns", together, together)
    lab.value("speed_up_percent", "%.2fx" % (alone / together), alone * 100 // together)
    lab_root.linger()
    lab.phase("teardown")
    leave.open()
    for w, thread in enumerate(threads):
        thread.join()
        lab.exited(w)
    return results if SYSTEM in ("gil-threads", "no-gil-threads") else {}


if __name__ == "__main__":
    lab_root.main(body)
