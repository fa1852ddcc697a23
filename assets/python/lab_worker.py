"""What the workers of the Python runs share. A worker process that starts from a fresh interpreter loads this, `concmon_lab` and
`lab_tasks` of the lab, and nothing else: what they import is a part of what its creation costs."""

import os

import concmon_lab as lab
import lab_tasks as tasks

#: What there is to do; set by the root, read from the environment elsewhere.
SPEC = tasks.published()
#: Index of the worker that this process is, if it is one.
worker_index = 0
#: Memory that workers may inherit.
ballast = None


class WorkerFailed(Exception):
    """A worker did not do what it should; one sentence."""


def touch_inherited(megabytes):
    """Writes one byte into each page of the first `megabytes` of the inherited memory; the minor faults it cost this thread."""
    import resource

    who = getattr(resource, "RUSAGE_THREAD", resource.RUSAGE_SELF)
    before = resource.getrusage(who).ru_minflt
    page = resource.getpagesize()
    for at in range(0, min(len(ballast or b""), megabytes << 20), page):
        ballast[at] = 2
    return resource.getrusage(who).ru_minflt - before


def perform(k):
    """Does unit `k` of this run."""
    if SPEC["task"] == "touch":
        return touch_inherited(tasks.size(SPEC))
    if SPEC["task"] == "http":
        return len(fetch(server_port(), tasks.size(SPEC)))
    return tasks.perform(SPEC, k)


def work(w, k):
    """Does unit `k` as worker `w`, and marks its beginning and end."""
    lab.task_start(w, k)
    try:
        return perform(k)
    finally:
        lab.task_end(w, k)


def work_share(w):
    """Does the units that fall to worker `w` when they are dealt out in turn; the results by index."""
    return {k: work(w, k) for k in range(w, tasks.units(SPEC), SPEC["workers"])}


def pooled(k):
    """Unit `k`, in whatever worker process or thread of a pool runs it."""
    return k, work(worker_index, k)


def live(w, how):
    """All that a worker process of a measured run does: it works, and its marks are written when it has."""
    lab.ready(w, how)
    lab.count_sent()
    for k, result in work_share(w).items():
        lab.result(k, result)
    lab.farewell()


def stay(w, how, pipe):
    """The same for a process that is looked at: it reports that it is there, works, sends its results, and stays until it may leave."""
    lab.ready(w, how)
    lab.count_sent()
    pipe.send(work_share(w))
    pipe.recv_bytes()
    lab.farewell()


def be_looked_at(w, pipe):
    """What a process does that is there to be looked at after the measured part: one unit of its share, then it stays. Nothing of it is
    counted."""
    if w < tasks.units(SPEC):
        perform(w)
    pipe.send_bytes(b"there")
    pipe.recv_bytes()


class Pipe:
    """One end of a pair of sockets, for workers that have no multiprocessing: it sends bytes, and results by index."""

    def __init__(self, descriptor):
        self._descriptor = descriptor

    def fileno(self):
        return self._descriptor

    def close(self):
        os.close(self._descriptor)

    def send_bytes(self, data):
        os.write(self._descriptor, len(data).to_bytes(4, "little") + data)
        lab.sent(4 + len(data))

    def recv_bytes(self):
        size = int.from_bytes(self._all(4), "little")
        return self._all(size)

    def _all(self, size):
        data = b""
        while len(data) < size:
            more = os.read(self._descriptor, size - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def send(self, results):
        self.send_bytes(repr(list(results.items())).replace("(", "[").replace(")", "]").encode())

    def recv(self):
        import json

        return dict(map(tuple, json.loads(self.recv_bytes())))


def pair():
    """A pair of pipes, one for each side. `socket` would be in the memory of the workers, too."""
    import _socket

    return [Pipe(end.detach()) for end in _socket.socketpair()]


# --- a server on loopback ----------------------------------------------------------------------------------------------------------


def server_port():
    """Port of the server of this run."""
    return int(os.environ["CONCMON_LAB_PORT"])


def request(milliseconds):
    """The bytes of a GET that the server answers after so many milliseconds."""
    return b"GET /%d HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n" % milliseconds


def body_of(answer):
    """The body of a whole answer."""
    head, _, body = answer.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200 "):
        raise WorkerFailed("the server on loopback answered %r" % head[:60])
    return body


def fetch(port, milliseconds):
    """A GET over a raw, blocking socket; the body."""
    import socket

    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(request(milliseconds))
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    return body_of(answer)
