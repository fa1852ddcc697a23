"""trio: each worker is a task of a nursery, which ends when all of its tasks have ended."""

import os
import time

import concmon_lab as lab
import lab_root
import lab_tasks
import trio


async def inspect():
    """As `lab.inspect`, waiting in trio's own way."""
    descriptor = lab.ask_for_inspection()
    if descriptor is not None:
        with trio.move_on_after(2):
            await trio.lowlevel.wait_readable(descriptor)
            os.read(descriptor, 64)
        lab.resumed()


async def linger():
    if lab_root.LIVE:
        lab.phase("hold")
        lab.flush()
        await trio.sleep(lab_root.SPEC["hold_ms"] / 1000)
        if lab_root.kept():
            await trio.sleep_forever()


async def perform(k):
    """Unit `k`; what waits, waits in trio's loop."""
    spec = lab_root.SPEC
    if spec["task"] == "sleep":
        wanted = lab_tasks.size(spec) / 1000
        begun = time.monotonic()
        await trio.sleep(wanted)
        return max(0, int((time.monotonic() - begun - wanted) * 1e9))
    if spec["task"] == "http":
        async with await trio.open_tcp_stream("127.0.0.1", lab_root.server_port()) as stream:
            await stream.send_all(lab_root.request(lab_tasks.size(spec)))
            answer = b"".join([part async for part in stream])
        return len(lab_root.body_of(answer))
    return lab_root.perform(k)


async def run():
    spec = lab_root.SPEC
    workers, units = spec["workers"], lab_tasks.units(spec)
    leave, finished = trio.Event(), trio.Event()
    results, left = {}, workers

    async def worker(w):
        nonlocal left
        lab.ready(w, "async_task")
        # All begin before any of them works, or one that computes would be a part of the creation of the next.
        await trio.lowlevel.checkpoint()
        for k in range(w, units, workers):
            with lab.task(w, k):
                results[k] = await perform(k)
        left -= 1
        if left == 0:
            finished.set()
        if lab_root.LIVE:
            await leave.wait()
        lab.exited(w)

    lab.phase("launch")
    async with trio.open_nursery() as nursery:
        for w in range(workers):
            lab.requested(w)
            nursery.start_soon(worker, w)
        if lab_root.LIVE:
            await finished.wait()
            await inspect()
            await linger()
            lab.phase("teardown")
            leave.set()
    lab.end()
    if not lab_root.LIVE:
        await inspect()
    return results


if __name__ == "__main__":
    lab_root.main(lambda: trio.run(run))
