"""Recordings of the hosts of a dask cluster: `concmon stream` runs beside one worker process of each host, and its bytes come home with the
answer. The functions `start` and `stop` run in that worker process, which need not have this module."""

import os

import concmon_lab as lab
import lab_root

#: The most bytes of one host: some minutes of a machine with 300 processes.
MOST_BYTES = 16 << 20
#: Seconds between two frames: the least that `concmon stream` takes.
EVERY_S = "0.1"
#: How long the first frame is waited for, seconds.
PATIENCE_S = 10


class Recorder:
    """Runs `concmon stream` and keeps its output. The command ends when its pipe is closed: with the worker process at the latest."""

    def __init__(self, every_s, most_bytes, longest_s):
        import subprocess
        import threading

        self.most_bytes, self.begun, self.received, self.cut = most_bytes, threading.Event(), bytearray(), False
        command = ["concmon", "stream", "--every", every_s]
        self.child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        # A run that is killed cannot stop it.
        self.limit = threading.Timer(longest_s, self.child.kill)
        self.limit.daemon = True
        self.limit.start()
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        while True:
            read = self.child.stdout.read1(1 << 16)
            self.received += read
            self.begun.set()
            self.cut = len(self.received) > self.most_bytes
            if not read or self.cut:
                break
        self.child.kill()

    def end(self):
        """Why there is nothing, if so."""
        self.child.terminate()
        self.reader.join()
        said = self.child.stderr.read(4096).decode("utf-8", "replace").strip()
        self.child.wait()
        self.limit.cancel()
        return None if self.received else said or "`concmon stream` ended at once"


async def start(every_s, most_bytes, longest_s, patience_s, dask_worker):
    """Begins to record this host, and waits for the first frame; why it cannot, if so."""
    import asyncio

    try:
        recorder = dask_worker.concmon_recorder = Recorder(every_s, most_bytes, longest_s)
    except OSError as failure:
        return "`concmon stream` does not start there: %s" % failure
    begun = await asyncio.get_running_loop().run_in_executor(None, recorder.begun.wait, patience_s)
    if begun and recorder.received:
        return None
    del dask_worker.concmon_recorder
    return recorder.end() or "`concmon stream` wrote nothing in %d s" % patience_s


def stop(dask_worker):
    """The bytes of the recording, and whether they are all."""
    recorder = dask_worker.__dict__.pop("concmon_recorder")
    recorder.end()
    return bytes(recorder.received[: recorder.most_bytes]), not recorder.cut


def unused(directory, host):
    """A new file for the recording of a host, whose name is whatever the host says."""
    stem = "".join(c if c.isalnum() or c in "-." else "_" for c in host).lstrip(".") or "host"
    number = 1
    while True:
        path = os.path.join(directory, stem + ("" if number == 1 else "-%d" % number) + ".rec")
        try:
            # All command lines of a machine are in it.
            return path, os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
        except FileExistsError:
            number += 1


class Recordings:
    """Of each host, while the work lasts; nothing at all without a directory."""

    def __init__(self, client, hosts, directory):
        # By the address of the worker process that records.
        self.hosts = {addresses[0]: host for host, addresses in hosts.items()} if directory else {}
        self.client, self.directory, self.why = client, directory, {}
        if not self.hosts:
            return
        try:
            os.makedirs(directory, exist_ok=True)
        except OSError as failure:
            raise lab_root.WorkerFailed("the recordings cannot be written: %s" % failure) from None
        longest_s = lab_root.SPEC["timeout_ms"] / 1e3
        self.why = client.run(start, EVERY_S, MOST_BYTES, longest_s, PATIENCE_S, workers=list(self.hosts))

    def bring_home(self):
        """Ends them, and keeps each in a file."""
        recording = [address for address in self.hosts if self.why[address] is None]
        brought = self.client.run(stop, workers=recording) if recording else {}
        for n, (address, host) in enumerate(sorted(self.hosts.items(), key=lambda one: one[1]), 1):
            name = "host_%d_recording_bytes" % n
            if address not in brought:
                lab.value(name, "%s: no recording: %s" % (host, self.why[address]))
                continue
            data, whole = brought[address]
            try:
                path, file = unused(self.directory, host)
                with file:
                    file.write(data)
            except OSError as failure:
                lab.value(name, "%s: the recording could not be written: %s" % (host, failure))
                continue
            rest = "" if whole else ", the first %d MiB" % (MOST_BYTES >> 20)
            lab.value(name, "%s: %d kB in %s%s" % (host, (len(data) + 500) // 1000, path, rest), len(data))
