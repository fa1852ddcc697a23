"""dask.distributed on a cluster that is there already: its scheduler and its workers, on this host or on others, are the user's. What the work
takes of each host is read there, in its worker processes, through `client.run`. Nothing stays in the cluster."""

import time

import cloudpickle
from distributed import Client, as_completed

import concmon_lab as lab
import lab_recorder
import lab_root
import lab_tasks
from lab_tasks import perform

#: How long the scheduler may take to answer, seconds.
PATIENCE_S = 10
#: What a worker of the cluster needs to know.
WORK = {key: lab_root.SPEC.get(key) for key in ("task", "task_size", "seed")}


def unit(work, k):
    """In a worker of the cluster: unit `k`."""
    return k, perform(work, k)


def look():
    """In a worker process of the cluster: its host, and what it has used so far (getrusage(2))."""
    import resource
    import socket

    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu = int((used.ru_utime + used.ru_stime) * 1e9)
    return {"host": socket.gethostname(), "cpu_ns": cpu, "peak_rss_bytes": used.ru_maxrss * 1024}


class Cluster:
    """The cluster as this run finds it."""

    def __init__(self, client):
        self.client = client
        self.threads = dict(client.nthreads())
        self.hosts = {}
        for address, seen in client.run(look).items():
            self.hosts.setdefault(seen["host"], []).append(address)

    def words(self, addresses):
        """`2 workers x 4 threads` for some of the workers."""
        threads = sorted({self.threads[address] for address in addresses})
        many = "%d worker%s" % (len(addresses), "" if len(addresses) == 1 else "s")
        return "%s x %s thread%s" % (many, " or ".join(map(str, threads)), "" if threads == [1] else "s")

    def ask(self, units, addresses=None):
        """Asks for all units, by some of the workers."""
        return self.client.map(unit, [WORK] * units, range(units), pure=False, workers=addresses)

    def time(self, units, addresses):
        """Nanoseconds for all units, by some of the workers."""
        begun = time.monotonic_ns()
        self.client.gather(self.ask(units, addresses))
        return time.monotonic_ns() - begun


def measured(cluster, units):
    """All units by all workers; the results by index. A unit of work lasts from its call to its result, as this process sees it."""
    results = {}
    lab.phase("launch")
    lab.requested(0)
    lab.ready(0, "inline")
    begun = lab.now_ns()
    calls = cluster.ask(units)
    for _, (k, result) in as_completed(calls, with_results=True):
        lab.task_start(0, k, begun)
        lab.task_end(0, k)
        results[k] = result
    lab.end()
    lab.exited(0)
    return results, lab.now_ns() - begun


def show_hosts(cluster, before, after):
    """What the work took of each host."""
    for n, (host, addresses) in enumerate(sorted(cluster.hosts.items()), 1):
        cpu = sum(after[a]["cpu_ns"] - before[a]["cpu_ns"] for a in addresses)
        memory = sum(after[a]["peak_rss_bytes"] for a in addresses)
        words = (host, cluster.words(addresses), cpu / 1e6, memory >> 20)
        lab.value("host_%d_cpu_ns" % n, "%s: %s, %.0f ms of CPU, peak RSS %d MiB" % words, cpu)


def show_table(cluster, units, all_ns):
    """The same work by one process, one worker, the workers of one host, and all: what each step brings."""
    begun = time.monotonic_ns()
    for k in range(units):
        perform(WORK, k)
    alone = time.monotonic_ns() - begun

    def row(name, what, took):
        lab.value(name, "%.1f ms, %.2fx: %s" % (took / 1e6, alone / took, what), took)

    of_host = max(cluster.hosts.values(), key=len)
    everybody = [address for addresses in cluster.hosts.values() for address in addresses]
    row("one_process_ns", "one process without dask", alone)
    row("one_worker_ns", cluster.words(of_host[:1]), cluster.time(units, of_host[:1]))
    if len(of_host) > 1 and len(cluster.hosts) > 1:
        row("one_host_ns", cluster.words(of_host) + " on one host", cluster.time(units, of_host))
    hosts = "%d host%s" % (len(cluster.hosts), "" if len(cluster.hosts) == 1 else "s")
    row("all_workers_ns", "%s on %s" % (cluster.words(everybody), hosts), all_ns)


def setting(name):
    """What the run says beside its task; `None` if it does not."""
    return next((one["value"] for one in lab_root.SPEC["settings"] if one["name"] == name), None)


def connect():
    """A client of the scheduler that the run names; certificates for tls:// are those of dask's own configuration."""
    address = setting("cluster")
    try:
        return Client(address, timeout=PATIENCE_S)
    except (OSError, ValueError, TypeError) as failure:
        why = str(failure) or type(failure).__name__
        raise lab_root.WorkerFailed("no scheduler of dask answered at %s: %s" % (address, why)) from None


def body():
    units = lab_tasks.units(lab_root.SPEC)
    lab_root.name_new_threads()
    # What the other hosts send and wait is not known here.
    lab.forgo_sent()
    lab.forgo_waits()
    # Its workers need not have the lab's modules.
    cloudpickle.register_pickle_by_value(lab_tasks)
    cloudpickle.register_pickle_by_value(lab_recorder)
    with connect() as client:
        cluster = Cluster(client)
        if not cluster.hosts:
            raise lab_root.WorkerFailed("the scheduler has no workers")
        # The functions go to each worker once.
        client.gather(cluster.ask(min(units, 1)))
        recordings = lab_recorder.Recordings(client, cluster.hosts, setting("recordings"))
        before = client.run(look)
        results, took = measured(cluster, units)
        after = client.run(look)
        recordings.bring_home()
        show_hosts(cluster, before, after)
        if units:
            show_table(cluster, units, took)
        lab_root.show()
        lab.phase("teardown")
    return results


if __name__ == "__main__":
    lab_root.main(body)
