"""mpire's WorkerPool: worker processes with queues, a lock and threads of their own for bookkeeping."""

import concmon_lab as lab
import lab_root
import lab_tasks

# mpire imports numpy where it finds it.
lab_root.one_blas_thread()

import mpire.worker  # noqa: E402

# mpire's own hook for new workers runs with a worker's first task, not when the worker is there.
_run = mpire.worker.AbstractWorker.run


def start(self):
    lab.requested(self.worker_id)
    super(mpire.worker.AbstractWorker, self).start()


def run(self):
    lab.ready(self.worker_id, lab_root.HOW[lab_root.start_method()])
    lab_root.worker_index = self.worker_id
    try:
        _run(self)
    finally:
        lab.farewell()


mpire.worker.AbstractWorker.start, mpire.worker.AbstractWorker.run = start, run


def nothing(_):
    return None


def body():
    spec = lab_root.SPEC
    workers, method, units = spec["workers"], lab_root.start_method(), lab_tasks.units(spec)
    lab.value("start_method", method)
    lab.phase("launch")
    with mpire.WorkerPool(n_jobs=workers, start_method=method, keep_alive=True) as pool:
        if units:
            results = dict(pool.map(lab_root.pooled, range(units), chunk_size=1))
        else:
            results = dict()
            pool.map(nothing, range(workers), chunk_size=1)
        lab_root.show()
        lab.phase("teardown")
        pool.stop_and_join()
    for w in range(workers):
        lab.exited(w)
    return results


if __name__ == "__main__":
    lab_root.main(body)
