"""Processes compute together, first on all CPUs, then limited to one (sched_setaffinity(2)): without a second CPU nothing is parallel."""

import os
import time

import concmon_lab as lab
import lab_root
import lab_tasks


def together():
    """How long the forked processes take for all units, nanoseconds."""
    workers, units = lab_root.SPEC["workers"], lab_tasks.units(lab_root.SPEC)
    begun, pids = time.monotonic_ns(), []
    for w in range(workers):
        pid = os.fork()
        if pid == 0:
            try:
                for k in range(w, units, workers):
                    lab_root.perform(k)
            finally:
                os._exit(0)
        pids.append(pid)
    for pid in pids:
        os.waitpid(pid, 0)
    return time.monotonic_ns() - begun


def body():
    # No worker of the run exists yet: what comes first is there to compare with.
    lab.phase("alone")
    begun = time.monotonic_ns()
    for k in range(lab_tasks.units(lab_root.SPEC)):
        lab_root.perform(k)
    alone = time.monotonic_ns() - begun
    cpus = sorted(os.sched_getaffinity(0))
    free = together()
    os.sched_setaffinity(0, cpus[:1])
    limited = together()
    lab.value("cpus", str(len(cpus)), len(cpus))
    lab.value("speed_up_percent", "%.2fx on %d CPUs" % (alone / free, len(cpus)), alone * 100 // free)
    lab.value("one_cpu_speed_up_percent", "%.2fx on one CPU" % (alone / limited), alone * 100 // limited)
    return lab_root.Crew("fork", lab_root.fork).run()


if __name__ == "__main__":
    lab_root.main(body)
