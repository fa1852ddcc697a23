"""threading.Thread: each worker a thread of this process."""

import threading

import concmon_lab as lab
import lab_root


def start(act, mark=lambda w: None):
    """Starts a thread for each worker, which does `act(w)`; `mark(w)` comes just before."""
    threads = []
    for w in range(lab_root.SPEC["workers"]):
        mark(w)
        thread = threading.Thread(target=act, args=(w,), name="worker-%d" % w)
        thread.start()
        threads.append(thread)
    return threads


def join(threads, mark=lambda w: None):
    for w, thread in enumerate(threads):
        thread.join()
        mark(w)


class Stay:
    """Keeps threads until they are let go, when all have come here."""

    def __init__(self):
        self._leave, self._there = lab_root.Gate(), threading.Semaphore(0)

    def here(self):
        self._there.release()
        self._leave.wait()

    def await_all(self):
        for _ in range(lab_root.SPEC["workers"]):
            self._there.acquire()

    def let_go(self):
        self._leave.open()


def body():
    """All are started, then all are joined. In a run that is watched each stays when it has done its share; a measured one is looked at
    afterwards, by threads like those."""
    results, stay = {}, Stay() if lab_root.LIVE else None

    def worker(w):
        lab.ready(w, "thread")
        results.update(lab_root.work_share(w))
        if stay:
            stay.here()

    if not stay:
        # Each ends before its waits for a CPU could be read.
        lab.forgo_waits()
    lab.phase("launch")
    threads = start(worker, lab.requested)
    if stay:
        stay.await_all()
        lab_root.show()
        lab.phase("teardown")
        stay.let_go()
    join(threads, lab.exited)
    lab.end()
    if not stay:
        lab_root.afterwards(be_looked_at)
    return results


def be_looked_at():
    stay = Stay()
    threads = start(lambda _: stay.here())
    stay.await_all()
    lab.inspect()
    stay.let_go()
    join(threads)


if __name__ == "__main__":
    lab_root.main(body)
