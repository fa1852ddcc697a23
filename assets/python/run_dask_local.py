"""dask.distributed on one machine: a scheduler in this process, and worker processes that it reaches over TCP on the loopback address."""

import os

import concmon_lab as lab
import lab_worker


def nothing(_):
    return None


def body():
    spec = lab_root.SPEC
    workers, units = spec["workers"], lab_root.tasks.units(spec)
    lab_root.name_new_threads()

    import lab_pool
    from distributed import Client, LocalCluster

    # Its processes talk over sockets, which are not counted.
    lab.forgo_sent()
    lab_root.name_objects()
    import multiprocessing.context

    multiprocessing.context.SpawnContext.Process = lab_pool.SpawnProcess
    lab.phase("launch")
    # No port but on the loopback address, and none at a known number.
    cluster = LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
        scheduler_kwargs={"dashboard": False},
        memory_limit=0,
        local_directory=os.environ.get("TMPDIR"),
    )
    with cluster, Client(cluster) as client:
        client.wait_for_workers(workers)
        if units == 0:
            client.gather(client.map(nothing, range(workers), pure=False))
        results = dict(client.gather(client.map(lab_worker.pooled, range(units), pure=False)))
        lab_root.show_announced()
        lab.phase("teardown")
    lab_root.see_off_announced()
    return results


if __name__ == "__main__":
    import lab_root

    lab_root.main(body)
