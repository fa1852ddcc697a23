"""threading.Thread: each worker a thread of this process."""

import threading

import concmon_lab as lab
import lab_root


def body():
    go, leave = lab_root.Gate(), lab_root.Gate()
    results, done = {}, threading.Semaphore(0)

    def worker(w, there):
        lab.ready(w, "thread")
        there.open()
        go.wait()
        results.update(lab_root.work_share(w))
        done.release()
        leave.wait()

    threads = []
    lab.phase("launch")
    for w in range(lab_root.SPEC["workers"]):
        there = lab_root.Gate()
        thread = threading.Thread(target=worker, args=(w, there), name="worker-%d" % w)
        lab.requested(w)
        thread.start()
        there.wait()
        threads.append(thread)
    lab.inspect()
    lab.phase("steady")
    go.open()
    for _ in threads:
        done.acquire()
    lab_root.linger()
    lab.phase("teardown")
    leave.open()
    for w, thread in enumerate(threads):
        thread.join()
        lab.exited(w)
    return results


if __name__ == "__main__":
    lab_root.main(body)
