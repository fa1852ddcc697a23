"""The units of work of the lab, the same for every system: `perform(spec, k)` does unit `k` and gives a number.

The numbers come from the seed and the index alone, so every system, native or Python, gets the same ones.
"""

import os
import time

#: What there is to do, for processes that start from a fresh interpreter: the spec's words and numbers without a parser for JSON, whose
#: import would be a part of what a worker costs. The root sets it.
_WORK = "CONCMON_LAB_WORK"
_KEYS = ("task", "task_size", "seed", "tasks", "workers", "parent_mb", "system", "hold_ms")


def publish(spec):
    """Hands the work on to the processes that this one creates."""
    os.environ[_WORK] = ";".join("" if spec.get(key) is None else str(spec[key]) for key in _KEYS)


def published():
    """The work as the root has handed it on; empty if this process is the root."""
    values = os.environ.get(_WORK, "").split(";")
    known = {key: value for key, value in zip(_KEYS, values) if value}
    return {key: value if key in ("task", "system") else int(value) for key, value in known.items()}


#: Size of one unit where none is given, in the unit of the task (see `concmon lab list --json`).
DEFAULT_SIZE = {"pi": 1000, "sleep": 100, "touch": 16, "file": 256, "http": 20, "matmul": 256}


def size(spec):
    """Size of one unit."""
    given = spec.get("task_size")
    return DEFAULT_SIZE.get(spec["task"], 0) if given is None else given


def units(spec):
    """How many units of work there are."""
    return 0 if spec["task"] == "none" else spec["tasks"]


_arguments = []


def prepare(spec):
    """What a program would have at hand before it begins: the numbers that it computes with."""
    if spec.get("task") == "factorial":
        _arguments[:] = [factorial_argument(spec["seed"], k) for k in range(spec["tasks"])]


def factorial_argument(seed, k):
    """1 to 10 (SplitMix64's finaliser)."""
    mask = (1 << 64) - 1
    z = (seed + (k + 1) * 0x9E3779B97F4A7C15) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return (z ^ (z >> 31)) % 10 + 1


def factorial(n):
    """The talk's: recursive."""
    return 1 if n <= 1 else n * factorial(n - 1)


def pi_digits(count):
    """The first `count` decimals of pi as a string, the 3 included, by Gibbons' streaming spigot: pure bytecode and big integers."""
    digits = []
    q, r, t, k, n, l = 1, 0, 1, 1, 3, 3  # noqa: E741 - the names of the paper
    while len(digits) <= count:
        if 4 * q + r - t < n * t:
            digits.append(str(n))
            q, r, n = 10 * q, 10 * (r - n * t), (10 * (3 * q + r)) // t - 10 * n
        else:
            q, r, t, k, n, l = q * k, (2 * q + r) * l, t * l, k + 1, (q * (7 * k + 2) + r * l) // (t * l), l + 2
    return "".join(digits)


def write_and_read(spec, k):
    """Writes a file of `size` KiB into the run's own directory and reads it back; the bytes read."""
    path = os.path.join(os.environ.get("TMPDIR", "/tmp"), "unit-%d-%d" % (os.getpid(), k))
    block = bytes([k % 251]) * 1024
    try:
        with open(path, "wb") as file:
            for _ in range(size(spec)):
                file.write(block)
        with open(path, "rb") as file:
            return len(file.read())
    finally:
        os.unlink(path)


def perform(spec, k):
    """Does unit `k`."""
    kind = spec["task"]
    if kind == "factorial":
        return factorial(_arguments[k] if _arguments else factorial_argument(spec["seed"], k))
    if kind == "pi":
        return int(pi_digits(size(spec))[-9:])
    if kind == "sleep":
        wanted = size(spec) / 1000
        begun = time.monotonic()
        time.sleep(wanted)
        return max(0, int((time.monotonic() - begun - wanted) * 1e9))
    if kind == "file":
        return write_and_read(spec, k)
    if kind == "none":
        return 0
    raise ValueError("task %r is not one that this system does by itself" % kind)


def describe(spec, results):
    """The results of all units, by index, as one value to show: name, text, number."""
    if not results:
        return None
    kind = spec["task"]
    ordered = [results[k] for k in sorted(results)]
    if kind == "factorial":
        shown = ("%d! = %d" % (factorial_argument(spec["seed"], k), results[k]) for k in sorted(results)[:10])
        return "factorials", ", ".join(shown), None
    if kind == "pi":
        return "pi_last_9_digits", "%09d" % ordered[0], None
    if kind == "sleep":
        return "largest_oversleep_ns", str(max(ordered)), max(ordered)
    if kind == "file":
        return "bytes_read", str(sum(ordered)), sum(ordered)
    return None
