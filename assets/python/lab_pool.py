"""Processes of multiprocessing that mark when they are asked for and when they are there, for pools that create them by themselves.

A process that starts from a fresh interpreter loads this: it imports nothing that such a process has not loaded anyway.
"""

import itertools
import multiprocessing.context

import concmon_lab as lab
import lab_worker

#: How a worker process came to be, in the protocol's words, by start method.
HOW = {"fork": "fork", "spawn": "spawn", "forkserver": "fork_server", "loky": "spawn"}
#: The processes of this root, in the order of their creation.
started = []
_numbers = itertools.count()


def counted(dump):
    """The function `dump` of a module that pickles, which then counts the bytes that it writes."""

    def counting(obj, file, *rest):
        before = file.tell()
        dump(obj, file, *rest)
        lab.sent(file.tell() - before)

    return counting


def count_what_is_sent():
    """Counts all bytes that go through the pipes of multiprocessing, and those that a fresh interpreter receives at its start: one addition
    for each message. Does nothing in a run that cannot count them all."""
    from multiprocessing import connection, reduction

    if not lab.counts_sent():
        return
    plain_send = connection.Connection._send

    def _send(self, buf, *rest):
        # An empty message carries nothing: with those an executor wakes a thread of its own process.
        if buf != b"\0\0\0\0":
            lab.sent(len(buf))
        return plain_send(self, buf, *rest)

    lab.count_sent()
    if not hasattr(plain_send, "counts"):
        _send.counts = True
        connection.Connection._send, reduction.dump = _send, counted(reduction.dump)


class _Announced:
    def start(self):
        self._lab_worker = next(_numbers)
        lab.requested(self._lab_worker)
        super().start()
        started.append(self)

    def run(self):
        lab.ready(self._lab_worker, HOW[self._start_method])
        lab_worker.worker_index = self._lab_worker
        count_what_is_sent()
        try:
            super().run()
        finally:
            lab.farewell()


class ForkProcess(_Announced, multiprocessing.context.ForkProcess):
    pass


class SpawnProcess(_Announced, multiprocessing.context.SpawnProcess):
    pass


class ForkServerProcess(_Announced, multiprocessing.context.ForkServerProcess):
    pass


class ForkContext(multiprocessing.context.ForkContext):
    Process = ForkProcess


class SpawnContext(multiprocessing.context.SpawnContext):
    Process = SpawnProcess


class ForkServerContext(multiprocessing.context.ForkServerContext):
    Process = ForkServerProcess


CONTEXTS = {"fork": ForkContext, "spawn": SpawnContext, "forkserver": ForkServerContext}
