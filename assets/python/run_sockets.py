"""Fetching from a server on loopback over raw sockets, in three ways: blocking calls in turn, non-blocking ones that ask all the time,
and a selector that says who is ready."""

import resource
import selectors
import socket
import time

import concmon_lab as lab
import lab_root
import lab_tasks

WAY = lab_root.SPEC.get("system", "").rpartition("/")[2]


class Fetch:
    """One GET in the making."""

    def __init__(self, w, k):
        self.w, self.k, self.answer = w, k, b""
        lab.task_start(w, k)
        self.socket = socket.create_connection(("127.0.0.1", lab_root.server_port()))
        self.socket.sendall(lab_root.request(lab_tasks.size(lab_root.SPEC)))

    def take(self):
        """One recv; False once the answer is whole."""
        chunk = self.socket.recv(65536)
        self.answer += chunk
        return bool(chunk)

    def finish(self):
        """Length of the body."""
        self.socket.close()
        lab.task_end(self.w, self.k)
        return len(lab_root.body_of(self.answer))


def blocking(counts):
    results = {}
    for k in range(lab_tasks.units(lab_root.SPEC)):
        fetch = Fetch(0, k)
        counts["recv_calls"] += 1
        while fetch.take():
            counts["recv_calls"] += 1
        results[k] = fetch.finish()
    return results


def spinning(counts):
    counts["recv_calls_in_vain"] = 0
    fetches = [Fetch(0, k) for k in range(lab_tasks.units(lab_root.SPEC))]
    for fetch in fetches:
        fetch.socket.setblocking(False)
    results = {}
    while fetches:
        for fetch in list(fetches):
            counts["recv_calls"] += 1
            try:
                if not fetch.take():
                    results[fetch.k] = fetch.finish()
                    fetches.remove(fetch)
            except BlockingIOError:
                counts["recv_calls_in_vain"] += 1
    return results


def selecting(counts):
    counts["select_calls"] = 0
    selector = selectors.DefaultSelector()
    lab.value("selector", type(selector).__name__)
    for k in range(lab_tasks.units(lab_root.SPEC)):
        fetch = Fetch(0, k)
        fetch.socket.setblocking(False)
        selector.register(fetch.socket, selectors.EVENT_READ, fetch)
    results = {}
    while selector.get_map():
        counts["select_calls"] += 1
        for key, _ in selector.select():
            fetch = key.data
            counts["recv_calls"] += 1
            if not fetch.take():
                selector.unregister(fetch.socket)
                results[fetch.k] = fetch.finish()
    return results


def body():
    lab.phase("launch")
    lab.requested(0)
    lab.ready(0, "inline")
    counts = {"recv_calls": 0}
    before, begun = resource.getrusage(resource.RUSAGE_SELF), time.monotonic_ns()
    results = {"socket-blocking": blocking, "socket-nonblocking": spinning, "selectors": selecting}[WAY](counts)
    wall, after = time.monotonic_ns() - begun, resource.getrusage(resource.RUSAGE_SELF)
    if not lab_root.LIVE:
        lab.end()
    cpu = int((after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e9)
    lab.value("fetch_wall_ns", "%.1f ms" % (wall / 1e6), wall)
    lab.value("client_cpu_ns", "%.1f ms" % (cpu / 1e6), cpu)
    for name, count in counts.items():
        lab.value(name, count, count)
    lab.exited(0)
    lab_root.show()
    lab.end()
    return results


if __name__ == "__main__":
    lab_root.main(body)
