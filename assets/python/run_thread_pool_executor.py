"""concurrent.futures.ThreadPoolExecutor: threads that take calls from one queue."""

import concurrent.futures
import threading

import concmon_lab as lab
import lab_root


def index_of_thread():
    """The pool numbers its threads in the order of their creation."""
    return int(threading.current_thread().name.rsplit("_", 1)[1])


def announce():
    lab.ready(index_of_thread(), "thread")


def unit(k):
    return k, lab_root.work(index_of_thread(), k)


class Announcing(lab_root.AnnouncedSubmit, concurrent.futures.ThreadPoolExecutor):
    pass


def body():
    results, threads = lab_root.run_thread_pool(Announcing, "pool", announce, unit)
    if threads < lab_root.SPEC["workers"]:
        lab.value("threads_the_pool_needed", threads, threads)
    return results


if __name__ == "__main__":
    lab_root.main(body)
