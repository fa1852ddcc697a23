"""One thread sleeps ten times as long as each of the others, and each prints when it wakes: no thread waits for another, with or without
the GIL. `sleep-pair` has two threads: one sleeps once, the other ten times a tenth."""

import sys
import threading
import time

import concmon_lab as lab
import lab_root
import lab_tasks

#: How often a thread sleeps that is not the first.
TIMES = 10 if lab_root.SPEC.get("system", "").endswith("/sleep-pair") else 1


def one_after_the_other(workers, unit):
    """How long the same sleeps take in one thread, nanoseconds: measured for the pair, computed where it would take long."""
    if TIMES == 1:
        return int(unit * (10 + workers - 1) * 1e9), "computed"
    begun = time.monotonic_ns()
    time.sleep(unit * 10)
    for _ in range(TIMES):
        time.sleep(unit)
    return time.monotonic_ns() - begun, "measured"


def body():
    workers, unit = lab_root.SPEC["workers"], lab_tasks.size(lab_root.SPEC) / 1000
    begun = time.monotonic()
    there = threading.Barrier(workers + 1)
    go = lab_root.Gate()

    def sleeper(w):
        lab.ready(w, "thread")
        there.wait()
        go.wait()
        seconds = unit * 10 if w == 0 else unit
        lab.task_start(w, w)
        for _ in range(TIMES if w else 1):
            time.sleep(seconds)
        lab.task_end(w, w)
        # One write for the whole line: print() makes two, and others come between.
        sys.stdout.write("thread %d slept %d x %.3f s, awake after %.3f s\n" % (w, TIMES if w else 1, seconds, time.monotonic() - begun))
        lab.thread_ends()

    threads = [threading.Thread(target=sleeper, args=(w,), name="sleeper-%d" % w) for w in range(workers)]
    lab.phase("launch")
    for w, thread in enumerate(threads):
        lab.requested(w)
        thread.start()
    there.wait()
    lab.inspect()
    lab.phase("steady")
    begun = time.monotonic()
    go.open()
    for w, thread in enumerate(threads):
        thread.join()
        lab.exited(w)
    together = int((time.monotonic() - begun) * 1e9)
    lab.value("slept_together_ns", together, together)
    alone, how = one_after_the_other(workers, unit)
    lab.value("slept_one_after_the_other_ns", "%d (%s)" % (alone, how), alone)
    lab_root.linger()


if __name__ == "__main__":
    lab_root.main(body)
