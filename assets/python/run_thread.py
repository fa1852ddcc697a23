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
    lab.phase("launch")
    threads = []
    for w in range(lab_root.SPEC["workers"]):
        lab.requested(w)
        thread = threading.Thread(target=worker, args=(w,), name="worker-%d" % w)
        thread.start()
        threads.append(thread)
    for w, thread in enumerate(threads):
        thread.join()
        lab.exited(w)
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

    lab.phase("launch")
    threads = []
    for w in range(lab_root.SPEC["workers"]):
        lab.requested(w)
        thread = threading.Thread(target=worker, args=(w,), name="worker-%d" % w)
        thread.start()
        threads.append(thread)
    for _ in threads:
        done.acquire()
    lab_root.show()
    lab.phase("teardown")
    leave.open()
    for w, thread in enumerate(threads):
        thread.join()
        lab.exited(w)
    lab.end()
    return results


if __name__ == "__main__":
    lab_root.main(live if lab_root.LIVE else measured)
