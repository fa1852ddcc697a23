"""Each worker is an asyncio task: one thread, one event loop, many tasks that wait together."""

import asyncio
import time

import concmon_lab as lab
import lab_root
import lab_tasks


async def perform(k):
    """Unit `k`; what waits, waits in the event loop."""
    spec = lab_root.SPEC
    if spec["task"] == "sleep":
        wanted = lab_tasks.size(spec) / 1000
        begun = time.monotonic()
        await asyncio.sleep(wanted)
        return max(0, int((time.monotonic() - begun - wanted) * 1e9))
    if spec["task"] == "http":
        reader, writer = await asyncio.open_connection("127.0.0.1", lab_root.server_port())
        writer.write(lab_root.request(lab_tasks.size(spec)))
        answer = await reader.read()
        writer.close()
        return len(lab_root.body_of(answer))
    return lab_root.perform(k)


async def run():
    spec = lab_root.SPEC
    workers, units = spec["workers"], lab_tasks.units(spec)
    go, leave = asyncio.Event(), asyncio.Event()
    results, left = {}, workers
    finished = asyncio.Event()

    async def worker(w):
        nonlocal left
        lab.ready(w, "async_task")
        await go.wait()
        for k in range(w, units, workers):
            lab.task_start(w, k)
            results[k] = await perform(k)
            lab.task_end(w, k)
        left -= 1
        if left == 0:
            finished.set()
        await leave.wait()

    lab.phase("launch")
    running = []
    for w in range(workers):
        lab.requested(w)
        running.append(asyncio.create_task(worker(w), name="worker-%d" % w))
        # A task runs when its creator waits; otherwise its latency would be that of all who come after it.
        await asyncio.sleep(0)
    await lab_root.inspect_loop()
    lab.phase("steady")
    go.set()
    await finished.wait()
    await lab_root.linger_loop()
    lab.phase("teardown")
    leave.set()
    for w, task in enumerate(running):
        await task
        lab.exited(w)
    return results


if __name__ == "__main__":
    lab_root.main(lambda: asyncio.run(run()))
