"""gunicorn, uvicorn and granian as people start them, under load: worker processes that load the application `lab_web`, and clients in a
process of their own."""

import multiprocessing
import os
import socket
import time

import concmon_lab as lab
import lab_http_client
import lab_root
import lab_service
import lab_tasks

#: Threads of each worker of gunicorn-gthread.
THREADS = 4
#: Clients for each worker: one is served while the other's request waits.
CLIENTS = 2
#: Kinds of workers of gunicorn, and their applications.
GUNICORN = {
    "gunicorn-sync": ("sync", "lab_web:wsgi"),
    "gunicorn-gthread": ("gthread", "lab_web:wsgi"),
    "gunicorn-uvicorn": ("uvicorn_worker.UvicornWorker", "lab_web:asgi"),
}


def command(system, workers, listening):
    """The server's module and arguments, and how its workers are created. It listens at a socket that exists; granian's workers make their
    own, at the same port."""
    if system in GUNICORN:
        kind, application = GUNICORN[system]
        words = ["-m", "gunicorn", "--bind", "fd://%d" % listening.fileno(), "--worker-class", kind, "--log-level", "error"]
        words += ["--threads", str(THREADS)] if kind == "gthread" else []
        return [*words, "--no-control-socket", "--workers", str(workers), application], "fork"
    words = ["-m", system, "--workers", str(workers), "--log-level", "error"]
    if system == "uvicorn":
        # One worker needs no other process: it is the server.
        return [*words, "--fd", str(listening.fileno()), "lab_web:asgi"], "spawn" if workers > 1 else "fork_exec"
    how = "fork" if multiprocessing.get_start_method() == "fork" else "spawn"
    return [*words, "--port", str(listening.getsockname()[1]), "--interface", "asgi", "lab_web:asgi"], how


def await_listening(port, pids):
    """Until each of these processes has a socket that listens at the port, by /proc/net/tcp (proc_pid_net(5)): nothing reports it."""
    while True:
        with open("/proc/net/tcp") as file:
            fields = [line.split() for line in file]
        inodes = {"socket:[%s]" % f[9] for f in fields[1:] if f[1].endswith(":%04X" % port) and f[3] == "0A"}
        if all(inodes.intersection(open_files(pid)) for pid in pids):
            return
        time.sleep(0.002)


def open_files(pid):
    """What the descriptors of a process stand for."""
    directory = "/proc/%d/fd" % pid
    for name in os.listdir(directory):
        try:
            yield os.readlink(os.path.join(directory, name))
        except FileNotFoundError:
            pass  # closed meanwhile


def reserve(system):
    """A socket at a free port of the loopback address. The one for granian does not listen: it keeps the port from others until granian's
    workers, processes of the same user, listen there (SO_REUSEPORT, socket(7))."""
    if system != "granian":
        return socket.create_server(("127.0.0.1", 0), backlog=1024)
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listening.bind(("127.0.0.1", 0))
    return listening


def show(seen, requests):
    """What the clients have seen."""
    rate, times = lab_http_client.per_second(seen, requests), sorted(seen["times_ns"])
    lab.value("requests_per_second", rate, rate)
    for name, at in ("median", len(times) // 2), ("p99", len(times) * 99 // 100):
        lab.value("request_%s_ns" % name, "%.2f ms" % (times[at] / 1e6), times[at])


def body():
    spec = lab_root.SPEC
    system, workers, requests = spec["system"].rpartition("/")[2], spec["workers"], lab_tasks.units(spec)
    # Requests go over sockets, and the server's own processes know nothing of the lab.
    lab.forgo_sent()
    lab.forgo_waits()
    listening = reserve(system)
    port = listening.getsockname()[1]
    words, how = command(system, workers, listening)
    lab.phase("launch")
    for w in range(workers):
        lab.requested(w)
    drop = ("GUNICORN_", "UVICORN_", "GRANIAN_", "WEB_CONCURRENCY")
    with lab_service.Service(words, how, drop, [listening.fileno()]) as service:
        service.await_workers(workers)
        if system == "granian":
            await_listening(port, [pid for _, pid, _ in service.workers])
        # Where the server has gone, requests are to fail and not to wait.
        listening.close()
        lab.phase("steady")
        seen = lab_http_client.load(port, CLIENTS * workers, requests) if requests else None
        service.show()
    if not seen:
        return {}
    show(seen, requests)
    return {k: int(body) for k, body in enumerate(seen["bodies"])}


if __name__ == "__main__":
    lab_root.main(body)
