"""One thread sleeps ten times as long as the others, and all say when they wake: nobody waits for anybody, with or without the GIL."""

import sys
import threading
import time

import concmon_lab as lab
import lab_root
import lab_tasks


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
        time.sleep(seconds)
        lab.task_end(w, w)
        # One write for the whole line: print() makes two, and others come between.
        sys.stdout.write("thread %d slept %.3f s, awake after %.3f s\n" % (w, seconds, time.monotonic() - begun))
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
    alone = int(unit * (10 + workers - 1) * 1e9)
    lab.value("slept_one_after_the_other_ns", "%d (computed)" % alone, alone)
    lab_root.linger()


if __name__ == "__main__":
    lab_root.main(body)
