"""What makes a forked child's pages its own: reading objects (reference counts), a full collection, and what gc.freeze() saves.

The parent fills memory with small objects; each child is forked, notes its private memory, does one thing, and notes it again.
"""

import gc
import os
from multiprocessing import Pipe

import concmon_lab as lab
import lab_root

#: Megabytes of objects where the spec does not say.
DEFAULT_MB = 64
#: A small dict with its values, about this many bytes.
DICT_BYTES = 360


def private_bytes():
    """Private memory of this process that differs from any file, from smaps_rollup."""
    with open("/proc/self/smaps_rollup") as file:
        return sum(int(line.split()[1]) * 1024 for line in file if line.startswith("Private_Dirty:"))


def nothing(_):
    pass


def read_all(objects):
    total = 0
    for item in objects:
        total += item["n"]
    return total


def collect(_):
    gc.collect()


def child(w, act, objects, pipe):
    lab.ready(w, "fork")
    gc.disable()
    before = private_bytes()
    lab.task_start(w, w)
    act(objects)
    lab.task_end(w, w)
    pipe.send(private_bytes() - before)
    pipe.recv_bytes()
    lab.farewell()
    os._exit(0)


def body():
    megabytes = lab_root.SPEC["parent_mb"] or DEFAULT_MB
    objects = [{"n": n, "text": str(n)} for n in range((megabytes << 20) // DICT_BYTES)]
    gc.collect()
    lab.value("parent_private_bytes", "%.0f MiB" % (private_bytes() / (1 << 20)), private_bytes())
    acts = [("untouched", nothing, False), ("read", read_all, False), ("collected", collect, False), ("frozen_then_collected", collect, True)]
    children = []
    lab.phase("launch")
    for w, (name, act, freeze) in enumerate(acts):
        if freeze:
            gc.freeze()
        ours, theirs = Pipe()
        lab.requested(w)
        pid = os.fork()
        if pid == 0:
            child(w, act, objects, theirs)
        theirs.close()
        try:
            grown = max(0, ours.recv())
        except EOFError:
            raise lab_root.WorkerFailed("worker %d (pid %d) %s" % (w, pid, lab_root.how_it_ended(os.waitpid(pid, 0)[1]))) from None
        lab.value(name + "_private_growth_bytes", "%.1f MiB" % (grown / (1 << 20)), grown)
        children.append((w, pid, ours))
    for w, pid, _ in () if lab_root.LIVE else children:
        lab.shown(w, "fork", pid)
    lab_root.show()
    lab.phase("teardown")
    for w, pid, pipe in children:
        try:
            pipe.send_bytes(b"on")
        except OSError:
            pass
        lab.exited(w, os.waitpid(pid, 0)[1])


if __name__ == "__main__":
    lab_root.main(body)
