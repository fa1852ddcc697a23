"""What runs inside a sub-interpreter of a pool: it imports this module anew and keeps its own number."""

import itertools
import os

import concmon_lab as lab
import lab_root

_mine = None


def announce():
    """The first thing in each interpreter. The number of the worker is the first that nobody has taken: interpreters share no memory,
    but a directory."""
    global _mine
    for w in itertools.count():
        try:
            os.close(os.open(os.path.join(os.environ["TMPDIR"], "worker-%d" % w), os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            continue
        _mine = w
        break
    lab.ready(_mine, "interpreter")


def unit(k):
    """Unit `k`, told at once: nobody calls an interpreter of a pool when it ends."""
    result = lab_root.work(_mine, k)
    lab.flush()
    return k, result
