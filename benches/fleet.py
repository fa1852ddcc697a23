#!/usr/bin/env python3
"""Feeds simulated streams to one `concmon --host` view and prints its CPU, memory, bytes and the time to answer a key.

usage: fleet.py CONCMON [STREAMS] [PROCESSES] [SECONDS]

One recording of this machine with so many sleeping processes is made first; every stream sends its frames, one a second, at its own phase.
A stub in place of ssh gives each host its pipe. Needs Linux and Python 3.9.
"""
import fcntl, os, pty, select, signal, statistics, struct, subprocess, sys, tempfile, termios, threading, time

HEAD, FRAME = 20, 28


def parts(path):
    """The head and the frames of a recording (src/record/layout.rs)."""
    data = open(path, "rb").read()
    at = HEAD + struct.unpack_from("<I", data, 12)[0]
    head, frames = data[:at], []
    while at < len(data):
        end = at + FRAME + struct.unpack_from("<I", data, at)[0]
        frames.append(data[at:end])
        at = end
    return head, frames


def record(concmon, directory, processes, seconds):
    there = sum(name.isdigit() for name in os.listdir("/proc"))
    sleepers = [subprocess.Popen(["sleep", "1000"]) for _ in range(max(processes - there, 0))]
    try:
        path = os.path.join(directory, "recording")
        command = [concmon, "ps", "--samples", str(seconds), "-d", "1", "--record", path]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return parts(path)
    finally:
        for sleeper in sleepers:
            sleeper.kill()
            sleeper.wait()


def feed(fifos, head, frames, sent, stop):
    """Writes each stream's frames at its own phase; a pipe that is full loses the stream, and that is said."""
    pipes = []
    for number, fifo in enumerate(fifos):
        pipe = os.open(fifo, os.O_WRONLY)
        fcntl.fcntl(pipe, 1031, 1 << 20)  # F_SETPIPE_SZ
        pipes.append((number / len(fifos), pipe))
        os.write(pipe, head)
    begun = time.monotonic()
    for number, frame in enumerate(frames):
        for phase, pipe in pipes:
            wait = begun + number + phase - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            if stop.is_set():
                return
            os.write(pipe, frame)
            sent[0] += len(frame)


class Screen:
    """concmon in a terminal of 140 x 40."""

    def __init__(self, command, env):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(command[0], command, env)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 140, 0, 0))
        self.bytes = b""

    def read(self, seconds):
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if select.select([self.fd], [], [], left)[0]:
                self.bytes = os.read(self.fd, 65536)

    def key(self, key):
        """Seconds until the screen changes after a key; the screen is at rest before."""
        while select.select([self.fd], [], [], 0.05)[0]:
            os.read(self.fd, 65536)
        begun = time.monotonic()
        os.write(self.fd, key)
        select.select([self.fd], [], [], 5)
        return time.monotonic() - begun

    def cpu(self):
        fields = open(f"/proc/{self.pid}/stat").read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self, what):
        status = dict(line.split(":", 1) for line in open(f"/proc/{self.pid}/status"))
        return int(status[what].split()[0]) / 1024


def main():
    concmon = os.path.abspath(sys.argv[1])
    streams, processes, seconds = (int(a) for a in (sys.argv[2:] + ["200", "300", "30"][len(sys.argv) - 2:])[:3])
    with tempfile.TemporaryDirectory() as directory:
        head, frames = record(concmon, directory, processes, seconds + 15)
        stub = os.path.join(directory, "ssh")
        with open(stub, "w") as file:
            file.write(f'#!/bin/sh\nexec cat {directory}/$5\n')
        os.chmod(stub, 0o755)
        names = [f"host{number:03}" for number in range(streams)]
        fifos = [os.path.join(directory, name) for name in names]
        for fifo in fifos:
            os.mkfifo(fifo)
        sent, stop = [0], threading.Event()
        threading.Thread(target=feed, args=(fifos, head, frames, sent, stop), daemon=True).start()
        env = {"PATH": directory + ":/usr/bin:/bin", "TERM": "xterm-256color", "HOME": directory, "LANG": "C.UTF-8"}
        screen = Screen([concmon, "--host", ",".join(names)], env)
        screen.read(10)
        begun, cpu, bytes_ = time.monotonic(), screen.cpu(), sent[0]
        screen.read(seconds / 2)
        half = screen.memory("VmRSS")
        screen.read(seconds / 2)
        took = time.monotonic() - begun
        cpu, bytes_ = screen.cpu() - cpu, sent[0] - bytes_
        keys = [screen.key(key) for key in [b"\x1b[B", b"\x1b[A"] * 10]
        print(f"{streams} streams of {processes} processes, one frame a second, {took:.0f} s:")
        print(f"  received   {bytes_ / took / 1000:.0f} kB/s, {bytes_ / took / streams:.0f} bytes per host and second")
        print(f"  CPU        {cpu / took * 100:.0f} % of one, {cpu / took / streams * 1000:.2f} ms per host and second")
        print(f"  memory     {screen.memory('VmRSS'):.0f} MiB, half-way {half:.0f} MiB, at most {screen.memory('VmHWM'):.0f} MiB")
        print(f"  keys       median {statistics.median(keys) * 1000:.0f} ms, longest {max(keys) * 1000:.0f} ms")
        stop.set()
        os.kill(screen.pid, signal.SIGKILL)
        os.waitpid(screen.pid, 0)


main()
