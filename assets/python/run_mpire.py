"""mpire's WorkerPool: worker processes with queues, a lock and threads of their own for bookkeeping."""

import os

import concmon_lab as lab
import lab_pool
import lab_tasks
import lab_worker

# mpire imports numpy where it finds it, whose library would make threads of its own.
for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ[name] = "1"

import mpire.worker  # noqa: E402

# mpire's own hook for new workers runs with a worker's first task, not when the worker is there.
_run = mpire.worker.AbstractWorker.run


started = []


def start(self):
    lab.requested(self.worker_id)
    started.append(self)
    super(mpire.worker.AbstractWorker, self).start()


def run(self):
    lab.ready(self.worker_id, lab_pool.HOW[self._start_method])
    lab_worker.worker_index = self.worker_id
    lab_pool.count_what_is_sent()
    try:
        _run(self)
    finally:
        lab.farewell()


mpire.worker.AbstractWorker.start, mpire.worker.AbstractWorker.run = start, run


def nothing(_):
    return None


def body():
    lab_root.with_multiprocessing()
    spec = lab_root.SPEC
    workers, method, units = spec["workers"], lab_root.start_method(), lab_tasks.units(spec)
    lab.value("start_method", method)
    lab.phase("launch")
    with mpire.WorkerPool(n_jobs=workers, start_method=method, keep_alive=True) as pool:
        if units:
            results = dict(pool.map(lab_worker.pooled, range(units), chunk_size=1))
        else:
            results = dict()
            pool.map(nothing, range(workers), chunk_size=1)
        for process in () if lab_root.LIVE else started:
            lab.shown(process.worker_id, lab_pool.HOW[method], process.pid)
        lab_root.show()
        lab.phase("teardown")
        pool.stop_and_join()
    lab.end()
    for w in range(workers):
        lab.exited(w)
    if not lab_root.LIVE:
        lab_root.stop_helpers()
        lab.end(children=True)
    return results


if __name__ == "__main__":
    import lab_root

    lab_root.main(body)
