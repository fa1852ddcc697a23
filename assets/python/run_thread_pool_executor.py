"""concurrent.futures.ThreadPoolExecutor, and on 3.14 InterpreterPoolExecutor, which is one whose threads have interpreters of their own."""

import concurrent.futures
import threading

import concmon_lab as lab
import lab_root
import lab_tasks


def index_of_thread():
    """The pool numbers its threads in the order of their creation."""
    return int(threading.current_thread().name.rsplit("_", 1)[1])


def announce():
    lab.ready(index_of_thread(), "thread")


def unit(k):
    return k, lab_root.work(index_of_thread(), k)


class Announcing(concurrent.futures.ThreadPoolExecutor):
    """Says when a thread is asked for: the pool starts one within `submit` while it has fewer than it may and nobody is idle."""

    def submit(self, fn, /, *args, **kwargs):
        before, begun = len(self._threads), lab.now_ns()
        future = super().submit(fn, *args, **kwargs)
        if len(self._threads) > before:
            lab.requested(before, begun)
        return future


def body():
    spec = lab_root.SPEC
    units = lab_tasks.units(spec)
    lab.phase("launch")
    with Announcing(spec["workers"], thread_name_prefix="pool", initializer=announce) as pool:
        if units == 0:
            list(pool.map(abs, range(spec["workers"])))
        results = dict(pool.map(unit, range(units)))
        threads = len(pool._threads)
        lab_root.show()
        lab.phase("teardown")
    for w in range(threads):
        lab.exited(w)
    if threads < spec["workers"]:
        lab.value("threads_the_pool_needed", threads, threads)
    return results


if __name__ == "__main__":
    lab_root.main(body)
