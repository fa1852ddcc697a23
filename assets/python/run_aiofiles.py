"""Files with aiofiles: every operation on a file is a trip to a thread of the loop's executor and back."""

import asyncio
import os
import threading
import time

import aiofiles
import concmon_lab as lab
import lab_root
import lab_tasks


async def write_and_read(k):
    """What `lab_tasks.write_and_read` does, awaiting each step."""
    path = os.path.join(os.environ["TMPDIR"], "async-%d" % k)
    block = bytes([k % 251]) * 1024
    async with aiofiles.open(path, "wb") as file:
        for _ in range(lab_tasks.size(lab_root.SPEC)):
            await file.write(block)
    async with aiofiles.open(path, "rb") as file:
        length = len(await file.read())
    os.unlink(path)
    return length


def read_directly(path):
    with open(path, "rb") as file:
        return len(file.read())


async def read_awaiting(path):
    async with aiofiles.open(path, "rb") as file:
        return len(await file.read())


async def compare_reading():
    """Opens, reads and closes one small file, directly and with aiofiles: the medians, nanoseconds."""
    path, directly, awaiting = os.path.join(os.environ["TMPDIR"], "small"), [], []
    with open(path, "wb") as file:
        file.write(b"x" * 1024)
    for _ in range(50):
        begun = time.monotonic_ns()
        read_directly(path)
        between = time.monotonic_ns()
        await read_awaiting(path)
        directly.append(between - begun)
        awaiting.append(time.monotonic_ns() - between)
    os.unlink(path)
    return sorted(directly)[25], sorted(awaiting)[25]


async def run():
    spec = lab_root.SPEC
    results = {}

    async def worker(w):
        lab.ready(w, "async_task")
        for k in range(w, lab_tasks.units(spec), spec["workers"]):
            with lab.task(w, k):
                results[k] = await write_and_read(k)

    running = await lab_root.launch_tasks(worker)
    lab.phase("steady")
    await lab_root.see_off_tasks(running)
    threads = threading.active_count() - 1
    lab.value("executor_threads", threads, threads)
    begun = time.monotonic_ns()
    lab_root.perform(0)
    plain = time.monotonic_ns() - begun
    begun = time.monotonic_ns()
    await write_and_read(0)
    awaited = time.monotonic_ns() - begun
    lab.value("one_file_directly_ns", "%.2f ms" % (plain / 1e6), plain)
    lab.value("one_file_with_aiofiles_ns", "%.2f ms, %.0f times as long" % (awaited / 1e6, awaited / plain), awaited)
    plain, awaited = await compare_reading()
    lab.value("open_read_close_directly_ns", "%.1f us" % (plain / 1e3), plain)
    lab.value("open_read_close_with_aiofiles_ns", "%.1f us, %.0f times as long" % (awaited / 1e3, awaited / plain), awaited)
    await lab_root.show_loop()
    lab.phase("teardown")
    return results


if __name__ == "__main__":
    lab_root.main(lambda: asyncio.run(run()))
