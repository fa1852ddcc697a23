"""One thread does everything."""

import time

import concmon_lab as lab
import lab_root
import lab_tasks


def show_the_lazy_map():
    """`map` does nothing until somebody asks for its results: what looks like a very fast run is no run."""
    numbers = [lab_tasks.factorial_argument(lab_root.SPEC["seed"], k) for k in range(lab_tasks.units(lab_root.SPEC))]
    begun = time.perf_counter_ns()
    lazy = map(lab_tasks.factorial, numbers)
    made = time.perf_counter_ns()
    list(lazy)
    done = time.perf_counter_ns()
    lab.value("map_made_but_not_consumed_ns", made - begun, made - begun)
    lab.value("map_consumed_ns", done - made, done - made)


def body():
    if lab_root.SPEC["task"] == "factorial":
        lab_root.afterwards(show_the_lazy_map)
    lab.phase("launch")
    lab.requested(0)
    lab.ready(0, "inline")
    results = lab_root.work_share(0)
    if not lab_root.LIVE:
        lab.end()
    lab.exited(0)
    lab_root.show()
    lab.end()
    return results


if __name__ == "__main__":
    lab_root.main(body)
