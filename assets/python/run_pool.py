"""multiprocessing.Pool: `map` in chunks, `imap` one task at a time, and workers that are replaced after some tasks (maxtasksperchild)."""

import os
import time

import concmon_lab as lab
import lab_worker

#: Tasks after which a worker of the system pool-max-tasks is replaced.
TASKS_PER_WORKER = 2


def nothing(_):
    return None


def by_process(k):
    """Unit `k`, and the process that did it."""
    return os.getpid(), lab_worker.pooled(k)


def plain(k):
    """Unit `k`, without a mark."""
    return k, lab_worker.perform(k)


def map_by_chunks(pool, act, units):
    """As `pool.map`, and reports how many tasks a message carries: the pool chooses it."""
    result = pool.map_async(act, units)
    lab.value("tasks_per_message", result._chunksize, result._chunksize)
    return result.get()


def one_by_one(pool, act, units):
    lab.value("tasks_per_message", 1, 1)
    return pool.imap(act, units)


def map_by_replaced(pool, units):
    """The results of all units, when each process that has done its tasks has ended and another is there for it."""
    import collections

    import lab_pool

    lab.value("tasks_per_message", 1, 1)
    # A message counts as one task, however many it carries.
    done = pool.map(by_process, units, 1)
    ending = [pid for pid, count in collections.Counter(pid for pid, _ in done).items() if count == TASKS_PER_WORKER]
    workers = lab_root.SPEC["workers"]
    while True:
        alive = [process.pid for process in lab_pool.started if process.is_alive()]
        if len(alive) == workers and not set(alive).intersection(ending):
            return [result for _, result in done]
        time.sleep(0.001)


def show_a_warm_map(system, workers, units):
    """Nanoseconds of the same map in a pool whose workers are there already, without a mark."""
    import multiprocessing

    pool = multiprocessing.get_context(lab_root.start_method()).Pool(workers)
    pool.map(nothing, range(workers), 1)
    begun = lab.now_ns()
    list((pool.imap if system == "pool-imap" else pool.map)(plain, range(units)))
    took = lab.now_ns() - begun
    pool.close()
    pool.join()
    del pool
    lab_root.stop_helpers()
    lab.value("warm_map_ns", took, took)


def body():
    from multiprocessing.pool import Pool

    spec = lab_root.SPEC
    system = spec["system"].rpartition("/")[2]
    workers, units = spec["workers"], lab_root.tasks.units(spec)
    context = lab_root.announcing_context()
    replaced = system == "pool-max-tasks"
    lab.phase("launch")
    pool = Pool(workers, maxtasksperchild=TASKS_PER_WORKER if replaced else None, context=context)
    # The pool terminates its workers where it is left as a context; closed and joined they end by themselves.
    try:
        if units == 0:
            pool.map(nothing, range(workers), 1)
            results = {}
        elif replaced:
            results = dict(map_by_replaced(pool, range(units)))
        else:
            results = dict((one_by_one if system == "pool-imap" else map_by_chunks)(pool, lab_worker.pooled, range(units)))
        lab_root.show_announced()
        lab.phase("teardown")
        pool.close()
        pool.join()
    except BaseException:
        pool.terminate()
        raise
    lab.end()
    del pool
    lab_root.see_off_announced()
    if replaced:
        import lab_pool

        lab.value("processes_in_all", len(lab_pool.started), len(lab_pool.started))
    elif spec["task"] == "factorial" and not lab_root.LIVE:
        lab_root.afterwards(lambda: show_a_warm_map(system, workers, units))
    return results


if __name__ == "__main__":
    import lab_root

    lab_root.main(body)
