"""GETs with aiohttp: each worker an asyncio task, all through one session."""

import time

begun = time.monotonic_ns()

import aiohttp  # noqa: E402 - what importing costs is a part of the exhibit

imported = time.monotonic_ns() - begun

import asyncio  # noqa: E402

import concmon_lab as lab  # noqa: E402
import lab_root  # noqa: E402
import lab_tasks  # noqa: E402


async def run():
    spec = lab_root.SPEC
    url = "http://127.0.0.1:%d/%d" % (lab_root.server_port(), lab_tasks.size(spec))
    go, leave, finished = asyncio.Event(), asyncio.Event(), asyncio.Event()
    results, left = {}, spec["workers"]
    lab.value("import_aiohttp_ns", "%.0f ms" % (imported / 1e6), imported)

    async def worker(w, session):
        nonlocal left
        lab.ready(w, "async_task")
        await go.wait()
        for k in range(w, lab_tasks.units(spec), spec["workers"]):
            with lab.task(w, k):
                async with session.get(url) as answer:
                    results[k] = len(await answer.read())
        left -= 1
        if left == 0:
            finished.set()
        await leave.wait()

    async with aiohttp.ClientSession() as session:
        lab.phase("launch")
        running = []
        for w in range(spec["workers"]):
            lab.requested(w)
            running.append(asyncio.create_task(worker(w, session), name="worker-%d" % w))
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
