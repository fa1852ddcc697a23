"""loky and joblib: fresh interpreters that take pickled calls, and stay for the next call. joblib.Parallel stands on a copy of loky."""

import importlib
import os

import concmon_lab as lab
import lab_worker


def nothing(_):
    return None


def by_joblib(workers):
    """A function that maps, by processes that it makes when it is first called, and one that gives the executor then."""
    import joblib
    from joblib.externals.loky import reusable_executor

    def go_through(act, items):
        return joblib.Parallel(n_jobs=workers)(joblib.delayed(act)(item) for item in items)

    return go_through, lambda: reusable_executor._executor


def by_loky(workers):
    import loky

    executor = loky.get_reusable_executor(max_workers=workers)
    return lambda act, items: list(executor.map(act, items)), lambda: executor


def end_executor(executor):
    """Ends the executor, which loky would keep for the next call, and removes joblib's directories for large arrays: the tracker of both is
    stopped after it, and joblib would remove them when the interpreter ends."""
    import atexit

    executor.shutdown(wait=True)
    for remove in getattr(getattr(executor, "_temp_folder_manager", None), "_finalizers", {}).values():
        atexit.unregister(remove)
        remove()


def in_this_process(units):
    """joblib starts no process for one worker."""
    lab.phase("launch")
    lab.requested(0)
    lab.ready(0, "inline")
    go_through, _ = by_joblib(1)
    results = dict(go_through(lab_worker.pooled, range(units)))
    lab_root.show()
    lab.exited(0)
    return results


def body():
    spec = lab_root.SPEC
    workers, units = spec["workers"], lab_root.tasks.units(spec)
    joblib = spec["system"].endswith("/joblib")
    if joblib:
        # What it shares by files would otherwise be in /dev/shm.
        os.environ["JOBLIB_TEMP_FOLDER"] = os.environ["TMPDIR"]
        if workers == 1:
            return in_this_process(units)
    lab_root.name_new_threads()
    lab_root.with_multiprocessing()

    import lab_outside

    lab_outside.announce_loky("/%sloky-" % os.environ.get("CONCMON_LAB_OBJECTS", ""))
    # The import of the package is no part of what is measured.
    importlib.import_module("joblib" if joblib else "loky")
    lab.phase("launch")
    go_through, executor = (by_joblib if joblib else by_loky)(workers)
    if units == 0:
        go_through(nothing, range(workers))
    results = dict(go_through(lab_worker.pooled, range(units)))
    lab_root.show_announced()
    lab.phase("teardown")
    end_executor(executor())
    lab_root.see_off_announced()
    return results


if __name__ == "__main__":
    import lab_root

    lab_root.main(body)
