"""Processes that packages outside the standard library start by themselves: they mark their creation like those of `lab_pool`.

A worker process of loky, joblib or dask loads this: its process object is of a class in here.
"""

import importlib

import lab_pool
import lab_worker

#: The system that runs: its name without `python/`.
SYSTEM = lab_worker.SPEC.get("system", "").rpartition("/")[2]
#: Where loky is: joblib carries its own copy.
LOKY = {"loky": "loky.backend", "joblib": "joblib.externals.loky.backend"}.get(SYSTEM)


def part(name):
    """A module of loky."""
    return importlib.import_module("%s.%s" % (LOKY, name))


if LOKY:

    class LokyProcess(lab_pool._Announced, part("process").LokyProcess):
        pass


class Pickling:
    """The module by which loky sends a fresh interpreter what it needs: what it sends so is counted. Messages of its queues, which go
    through other functions of that module, are counted where they enter a pipe."""

    def __init__(self, module):
        self._module, self.dump = module, lab_pool.counted(module.dump)

    def __getattr__(self, name):
        return getattr(self._module, name)


def announce_loky(prefix):
    """In the root: what loky starts from here on marks its creation, and the names of its semaphores begin with `prefix`."""
    part("context").LokyContext.Process = LokyProcess
    popen = part("popen_loky_posix")
    popen.reduction = Pickling(popen.reduction)
    semaphore = part("synchronize").SemLock
    semaphore._make_name = staticmethod(lambda: prefix + next(semaphore._rand))
