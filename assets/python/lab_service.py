"""Programs of others that are started on a command line and make worker processes by themselves, such as web servers. A worker process
takes the first number that is free, and says that it is there through a named pipe in the run's directory."""

import itertools
import os

import concmon_lab as lab

#: In the environment of the program: how its workers are created, in the protocol's words.
_HOW = "CONCMON_LAB_HOW"


def _pipe():
    return os.path.join(os.environ["TMPDIR"], "workers")


def announce(note=""):
    """In a worker process, as its first act: its number. The root gets the note."""
    born, how = lab.now_ns(), os.environ[_HOW]
    for w in itertools.count():
        try:
            os.close(os.open(os.path.join(os.environ["TMPDIR"], "worker-%d" % w), os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            continue
        break
    lab.ready(w, how, born)
    pipe = os.open(_pipe(), os.O_WRONLY)
    # Shorter than PIPE_BUF, so that the lines of several processes do not mix (pipe(7)).
    os.write(pipe, b"%d %d %s\n" % (w, os.getpid(), note.encode()))
    os.close(pipe)
    return w


class Service:
    """In the root: the program as a context, from its start until it has ended. `words`: arguments of the interpreter. `how`: how it makes
    workers. `drop`: beginnings of the names of variables by which a user sets such a program up."""

    def __init__(self, words, how, drop=(), descriptors=()):
        self._words, self.how, self._descriptors = words, how, descriptors
        self._environment = {name: text for name, text in os.environ.items() if not name.startswith(drop)}
        self._environment[_HOW] = how
        #: Number, PID and note of each worker.
        self.workers = []

    def __enter__(self):
        import subprocess
        import sys

        os.mkfifo(_pipe(), 0o600)
        # Opened for writing too: without a writer the pipe would always be readable.
        self._reports = os.open(_pipe(), os.O_RDWR | os.O_CLOEXEC)
        self._process = subprocess.Popen(
            [sys.executable, "-s", *self._words],
            env=self._environment,
            pass_fds=self._descriptors,
            stdin=subprocess.DEVNULL,
        )
        return self

    def await_workers(self, count):
        """Until so many are there."""
        import select

        ended, text = os.pidfd_open(self._process.pid), b""
        try:
            while text.count(b"\n") < count:
                readable, _, _ = select.select([self._reports, ended], [], [])
                if self._reports not in readable:
                    raise self._failure("before its workers were there")
                text += os.read(self._reports, 4096)
        finally:
            os.close(ended)
        for line in text.decode().splitlines():
            w, pid, note = line.split(" ", 2)
            self.workers.append((int(w), int(pid), note))

    def show(self):
        """Lets concmon look at the workers."""
        import lab_root

        for w, pid, _ in () if lab_root.LIVE else self.workers:
            lab.shown(w, self.how, pid)
        lab_root.show()
        lab.phase("teardown")

    def _failure(self, when):
        import lab_root

        status = lab_root.raw_status(self._process.wait())
        return lab_root.WorkerFailed("%s %s %s" % (self._words[self._words.index("-m") + 1], lab_root.how_it_ended(status), when))

    def __exit__(self, kind, *_):
        import signal

        self._process.terminate()
        # uvicorn ends by the signal that it was sent, when it has done what is to be done.
        if self._process.wait() not in (0, -signal.SIGTERM) and kind is None:
            raise self._failure("when it was asked to end")
        lab.end()
        for w, _, _ in self.workers:
            lab.exited(w)
