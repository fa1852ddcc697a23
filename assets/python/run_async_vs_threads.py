"""The same waits by asyncio tasks and by threads: what one costs to create, what all cost to finish, what each takes of memory.

Creation of either is the time from before the first is asked for until the last has run its first own instruction, divided by their number.
"""

import asyncio
import gc
import threading
import time

import concmon_lab as lab
import lab_root
import lab_tasks

COUNTS = (100, 1_000, 10_000)


def private_bytes():
    """Private memory of this process, from smaps_rollup."""
    total = 0
    with open("/proc/self/smaps_rollup") as file:
        for line in file:
            if line.startswith(("Private_Clean:", "Private_Dirty:")):
                total += int(line.split()[1]) * 1024
    return total


def tell(what, count, created, wall, memory):
    lab.value("%s_%d_create_ns_each" % (what, count), created // count, created // count)
    lab.value("%s_%d_wall_ns" % (what, count), "%.0f ms" % (wall / 1e6), wall)
    lab.value("%s_%d_private_bytes_each" % (what, count), memory // count, memory // count)


async def tasks_of(count, seconds):
    there = 0

    async def unit():
        nonlocal there, last
        there += 1
        if there == count:
            last = time.monotonic_ns()
        await asyncio.sleep(seconds)

    last, before, begun = 0, private_bytes(), time.monotonic_ns()
    running = [asyncio.create_task(unit()) for _ in range(count)]
    await asyncio.sleep(0)
    created, memory = last - begun, private_bytes() - before
    for task in running:
        await task
    tell("asyncio", count, created, time.monotonic_ns() - begun, max(0, memory))


def memory_of_threads(count):
    """Private memory of so many threads that are all there: each waits until the last has been created."""
    before, gate = private_bytes(), threading.Event()
    running = [threading.Thread(target=gate.wait) for _ in range(count)]
    for thread in running:
        thread.start()
    memory = private_bytes() - before
    gate.set()
    for thread in running:
        thread.join()
    return memory


def threads_of(count, seconds):
    # Apart from the timing: where creation is slow, the first have ended before the last begins.
    memory = memory_of_threads(count)
    births = []

    def unit():
        births.append(time.monotonic_ns())
        time.sleep(seconds)

    begun = time.monotonic_ns()
    running = [threading.Thread(target=unit) for _ in range(count)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    tell("threads", count, max(births) - begun, time.monotonic_ns() - begun, max(0, memory))


def body():
    seconds = lab_tasks.size(lab_root.SPEC) / 1000
    most_threads = lab_root.SPEC["tasks"]
    lab.forgo_waits()
    lab.phase("launch")
    lab.requested(0)
    lab.ready(0, "inline")
    for count in COUNTS:
        lab.phase("asyncio %d" % count)
        gc.collect()
        asyncio.run(tasks_of(count, seconds))
    for count in COUNTS:
        if count > most_threads:
            lab.warn("%d threads were not tried: more than the %d tasks asked for" % (count, most_threads))
            continue
        lab.phase("threads %d" % count)
        gc.collect()
        threads_of(count, seconds)
    lab.end()
    lab.exited(0)
    lab_root.show()


if __name__ == "__main__":
    lab_root.main(body)
