"""A process with threads forks: the child has one thread, the one that forked, and a lock that another thread held stays locked in it."""

import os
import threading
import warnings

import concmon_lab as lab
import lab_root
import lab_worker

#: Threads of the parent beside its first.
THREADS = 4
#: How long the child waits for the lock, seconds; a program would wait for ever.
PATIENCE_S = 0.1


def child(lock, pipe):
    lab.ready(0, "fork")
    lab.task_start(0, 0)
    threads, free = len(os.listdir("/proc/self/task")), lock.acquire(timeout=PATIENCE_S)
    lab.task_end(0, 0)
    pipe.send_bytes(b"%d %d" % (threads, free))
    pipe.recv_bytes()
    lab.farewell()
    os._exit(0)


def fork(lock, pipe):
    """The PID of the child, and what CPython warned of in the parent."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        pid = os.fork()
        if pid == 0:
            try:
                child(lock, pipe)
            finally:
                os._exit(1)
    return pid, [str(warning.message) for warning in warned]


def body():
    lock, held, leave = threading.Lock(), threading.Event(), threading.Event()

    def hold():
        with lock:
            held.set()
            leave.wait()

    threads = [threading.Thread(target=hold, name="holder")]
    threads += [threading.Thread(target=leave.wait, name="idle-%d" % n) for n in range(1, THREADS)]
    for thread in threads:
        thread.start()
    held.wait()
    ours, theirs = lab_worker.pair()
    lab.phase("launch")
    lab.requested(0)
    pid, warned = fork(lock, theirs)
    theirs.close()
    try:
        in_child, free = map(int, ours.recv_bytes().split())
    except EOFError:
        raise lab_root.WorkerFailed("the child (pid %d) %s" % (pid, lab_root.how_it_ended(os.waitpid(pid, 0)[1]))) from None
    lab.value("threads_in_the_parent", str(THREADS + 1), THREADS + 1)
    lab.value("threads_in_the_child", str(in_child), in_child)
    lab.value("locks_that_stayed_locked", "0" if free else "1, taken by a thread that is not in the child", 1 - free)
    lab.value("warnings", "; ".join(warned) or "none", len(warned))
    if not lab_root.LIVE:
        lab.shown(0, "fork", pid)
    lab_root.show()
    lab.phase("teardown")
    ours.send_bytes(b"on")
    ours.close()
    lab.exited(0, os.waitpid(pid, 0)[1])
    leave.set()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    lab_root.main(body)
