"""threading.Thread: each worker a thread of this process."""

import threading

import concmon_lab as lab
import lab_root


def measured():
    """As programs do it: all are started, then all are joined. They are looked at afterwards."""
    results = {}

    def worker(w):
        lab.ready(w, "thread")
        results.update(lab_root.work_share(w))

    # Each ends before anybody could read how long it has waited.
    lab.forgo_waits()
    lab_root.join_threads(lab_root.start_threads("worker", worker))
    lab.end()
    lab_root.afterwards(be_looked_at)
    return results


def be_looked_at():
    """Threads like those, which stay."""
    leave, there = lab_root.Gate(), threading.Semaphore(0)

    def stay():
        there.release()
        leave.wait()

    threads = [threading.Thread(target=stay, name="worker-%d" % w) for w in range(lab_root.SPEC["workers"])]
    for thread in threads:
        thread.start()
    for _ in threads:
        there.acquire()
    lab.inspect()
    leave.open()
    for thread in threads:
        thread.join()


def live():
    """Each stays when it has done its share."""
    leave, done, results = lab_root.Gate(), threading.Semaphore(0), {}

    def worker(w):
        lab.ready(w, "thread")
        results.update(lab_root.work_share(w))
        done.release()
        leave.wait()

    threads = lab_root.start_threads("worker", worker)
    for _ in threads:
        done.acquire()
    lab_root.show()
    lab.phase("teardown")
    leave.open()
    lab_root.join_threads(threads)
    lab.end()
    return results


if __name__ == "__main__":
    lab_root.main(live if lab_root.LIVE else measured)
