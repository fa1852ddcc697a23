"""What runs inside a sub-interpreter of a pool: it imports this module anew and keeps its own number."""

import itertools
import os

import concmon_lab as lab
import lab_worker

_mine = None


def announce():
    """The first thing in each interpreter. The number of the worker is the first that is not taken: interpreters share no memory,
    but a directory."""
    global _mine
    born = lab.now_ns()
    for w in itertools.count():
        try:
            os.close(os.open(os.path.join(os.environ["TMPDIR"], "worker-%d" % w), os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            continue
        _mine = w
        break
    lab.ready(_mine, "interpreter", born)


def unit(k):
    """Unit `k`; what it marks is written when its interpreter ends."""
    result = lab_worker.work(_mine, k)
    if not lab.measured():
        lab.flush()
    return k, result
