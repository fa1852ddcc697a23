"""celery: a program of its own forks worker processes, which take calls from a broker; here the broker is a directory."""

import concmon_lab as lab
import lab_celery
import lab_root
import lab_service
import lab_tasks

#: How often the root looks for a result, seconds.
LOOKING_S = 0.005


def body():
    spec = lab_root.SPEC
    workers = spec["workers"]
    # Calls and results are files, and the threads of celery's own process know nothing of the lab.
    lab.forgo_sent()
    lab.forgo_waits()
    words = ["-W", "ignore:You're running the worker with superuser privileges", "-m", "celery", "--quiet", "--app", "lab_celery"]
    words += ["worker", "--pool", "prefork", "--concurrency", str(workers), "--loglevel", "error"]
    words += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    lab.phase("launch")
    for w in range(workers):
        lab.requested(w)
    with lab_service.Service(words, "fork", ("CELERY_",)) as service:
        service.await_workers(workers)
        lab.phase("steady")
        begun = lab.now_ns()
        calls = [lab_celery.unit.delay(k) for k in range(lab_tasks.units(spec))]
        results = {k: call.get(interval=LOOKING_S) for k, call in enumerate(calls)}
        took = lab.now_ns() - begun
        service.show()
    if results:
        rate = len(results) * 1_000_000_000 // took
        lab.value("calls_per_second", rate, rate)
    return results


if __name__ == "__main__":
    lab_root.main(body)
