"""concurrent.futures.ThreadPoolExecutor: threads that take calls from one queue. On a free-threaded build they compute in parallel."""

from concurrent.futures import ThreadPoolExecutor
import statistics
import threading
import time

import concmon_lab as lab
import lab_root
import lab_tasks

ROUNDS = 9
#: Whether the system is the one that needs a free-threaded build.
NO_GIL = lab_root.SPEC.get("system", "").endswith("/no-gil-pool")


def index_of_thread():
    """The pool numbers its threads in the order of their creation."""
    return int(threading.current_thread().name.rsplit("_", 1)[1])


def announce():
    lab.ready(index_of_thread(), "thread")


def unit(k):
    return k, lab_root.work(index_of_thread(), k)


class Announcing(lab_root.AnnouncedSubmit, ThreadPoolExecutor):
    pass


def map_alone(numbers):
    """Nanoseconds from nothing to the results and back to nothing: a pool is made, maps, and is closed; nothing is marked."""
    begun = time.perf_counter_ns()
    with ThreadPoolExecutor(lab_root.SPEC["workers"]) as pool:
        list(pool.map(lab_tasks.factorial, numbers))
    return time.perf_counter_ns() - begun


def show_the_map_alone():
    """The same in a process in which threads have been created before, without a mark: the median of some."""
    numbers = [lab_tasks.factorial_argument(lab_root.SPEC["seed"], k) for k in range(lab_tasks.units(lab_root.SPEC))]
    lab.value("map_alone_ns", *[int(statistics.median(map_alone(numbers) for _ in range(ROUNDS)))] * 2)


def show_the_speed_up():
    """The same work by one thread, then by a pool whose threads are there already; nothing is marked."""
    workers, units = lab_root.SPEC["workers"], range(lab_tasks.units(lab_root.SPEC))
    begun = time.perf_counter_ns()
    for k in units:
        lab_root.perform(k)
    alone = time.perf_counter_ns() - begun
    there = threading.Barrier(workers)
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(lambda _: there.wait(), range(workers)))
        begun = time.perf_counter_ns()
        list(pool.map(lab_root.perform, units))
        together = time.perf_counter_ns() - begun
    lab.value("one_thread_ns", alone, alone)
    lab.value("all_threads_ns", together, together)
    lab.value("speed_up_percent", "%.2fx" % (alone / together), alone * 100 // together)


def body():
    if NO_GIL and not lab_root.LIVE:
        lab_root.afterwards(show_the_speed_up)
    elif lab_root.SPEC["task"] == "factorial" and not lab_root.SPEC.get("hold_ms"):
        lab_root.afterwards(show_the_map_alone)
    results, threads = lab_root.run_thread_pool(Announcing, "pool", announce, unit)
    if threads < lab_root.SPEC["workers"]:
        lab.value("threads_the_pool_needed", threads, threads)
    return results


if __name__ == "__main__":
    lab_root.main(body)
