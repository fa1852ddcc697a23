"""Files from an event loop: a regular file is always ready for a selector, so each operation is handed to a thread of the executor."""

import asyncio
import threading
import time

import concmon_lab as lab
import lab_root
import lab_tasks


async def run():
    spec = lab_root.SPEC
    loop = asyncio.get_running_loop()
    results = {}

    async def worker(w):
        lab.ready(w, "async_task")
        for k in range(w, lab_tasks.units(spec), spec["workers"]):
            results[k] = await loop.run_in_executor(None, lab_root.work, w, k)

    running = await lab_root.launch_tasks(worker)
    lab.phase("steady")
    await lab_root.see_off_tasks(running)
    threads = threading.active_count() - 1
    lab.value("executor_threads", threads, threads)
    begun = time.monotonic_ns()
    lab_root.perform(0)
    plain = time.monotonic_ns() - begun
    begun = time.monotonic_ns()
    await loop.run_in_executor(None, lab_root.perform, 0)
    handed = time.monotonic_ns() - begun
    lab.value("one_unit_directly_ns", plain, plain)
    lab.value("one_unit_through_a_thread_ns", handed, handed)
    await lab_root.show_loop()
    lab.phase("teardown")
    return results


if __name__ == "__main__":
    lab_root.main(lambda: asyncio.run(run()))
