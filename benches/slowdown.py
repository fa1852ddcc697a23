"""Slow-down of a program that computes while an observer samples it 100 times a second, in rounds that take turns with rounds without one.

Usage: slowdown.py CONCMON PY_SPY [ROUNDS] [SECONDS]

Waits for a CPU (schedstat) are left out, since other programs cause them: iterations are counted per second in which the target had a CPU or was
stopped. Prints medians over the rounds, each with an interval that holds the true median with at least 95 %: how much slower the target was, for
which part of the time it was stopped (neither on a CPU nor waiting for one), and the part of a CPU that the observer took.
"""

import math
import os
import statistics
import subprocess
import sys
import tempfile
import time

TARGET = """
import time
def inner(x):
    return x + 1
def work(x):
    for _ in range(1000): x = inner(x)
count, until = 0, 0
while True:
    work(0)
    count += 1
    if time.perf_counter() > until:
        with open('/proc/self/schedstat') as file: figures = file.read().split()
        print(time.perf_counter(), *figures[:2], count, flush=True)
        until = time.perf_counter() + 0.02
"""


def interval(values):
    """Order statistics on both sides of the median."""
    values, low = sorted(values), 0
    while sum(math.comb(len(values), k) for k in range(low + 1)) / 2 ** len(values) <= 0.025:
        low += 1
    low = max(low - 1, 0)
    return values[low], values[-1 - low]


def measured(target, seconds, observer):
    """Iterations per second, the part of the time in which it was stopped, and the part of a CPU that the observer took."""
    running = observer and subprocess.Popen(observer, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(1 if running else 0.1)
    target.stdout.read()
    time.sleep(seconds)
    lines = target.stdout.read().split(b"\n")[1:-1]
    usage = running and os.wait4(running.pid, 0)[2]
    elapsed, ran, waited, count = (float(b) - float(a) for a, b in zip(lines[0].split(), lines[-1].split()))
    awake = elapsed - waited / 1e9
    return count / awake, 1 - ran / 1e9 / awake, usage and (usage.ru_utime + usage.ru_stime) / (seconds + 2)


def main():
    concmon, py_spy = sys.argv[1:3]
    rounds, seconds = int((sys.argv[3:] + ["7"])[0]), int((sys.argv[4:] + ["4"])[0])
    target = subprocess.Popen([sys.executable, "-c", TARGET], stdout=subprocess.PIPE)
    os.set_blocking(target.stdout.fileno(), False)
    pid, length = str(target.pid), str(seconds + 2)
    with tempfile.TemporaryDirectory() as place:
        spy = [py_spy, "record", "--rate", "100", "-d", length, "-f", "raw", "-o", f"{place}/raw", "-p", pid]
        observers = {"none": None, "concmon profile": [concmon, "profile", pid, "--for", length]}
        observers |= {"py-spy record": spy, "py-spy record --nonblocking": [*spy, "--nonblocking"]}
        seen = {name: [] for name in observers}
        for _ in range(rounds):
            for name, observer in observers.items():
                alone, (rate, stopped, cost) = measured(target, seconds, None)[0], measured(target, seconds, observer)
                seen[name].append((100 * (1 - rate / alone), 100 * stopped, 100 * (cost or 0)))
    target.kill()
    for name, rounds in seen.items():
        for what, values in zip(("% slower", "% of the time stopped", "% of a CPU"), zip(*rounds)):
            low, high = interval(values)
            print(f"{name}: {statistics.median(values):.2f} {what} ({low:.2f} to {high:.2f})")


main()
