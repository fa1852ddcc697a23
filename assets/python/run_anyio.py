"""AnyIO: one program, two event loops under it. Each worker is a task of a task group; files go through AnyIO's own threads."""

import os
import time

import anyio
import concmon_lab as lab
import lab_root
import lab_tasks

BACKEND = lab_root.SPEC.get("system", "").rpartition("-")[2]


async def inspect():
    """As `lab.inspect`, waiting in the backend's own way."""
    descriptor = lab.ask_for_inspection()
    if descriptor is not None:
        with anyio.move_on_after(2):
            await anyio.wait_readable(descriptor)
            os.read(descriptor, 64)
        lab.resumed()


async def perform(k):
    spec = lab_root.SPEC
    if spec["task"] == "sleep":
        wanted = lab_tasks.size(spec) / 1000
        begun = time.monotonic()
        await anyio.sleep(wanted)
        return max(0, int((time.monotonic() - begun - wanted) * 1e9))
    if spec["task"] == "file":
        path = os.path.join(os.environ["TMPDIR"], "async-%d" % k)
        async with await anyio.open_file(path, "wb") as file:
            await file.write(bytes([k % 251]) * 1024 * lab_tasks.size(spec))
        async with await anyio.open_file(path, "rb") as file:
            return len(await file.read())
    return lab_root.perform(k)


async def run():
    spec = lab_root.SPEC
    workers = spec["workers"]
    go, leave = anyio.Event(), anyio.Event()
    results, finished, left = {}, anyio.Event(), workers

    async def worker(w, task_status):
        nonlocal left
        lab.ready(w, "async_task")
        task_status.started()
        await go.wait()
        for k in range(w, lab_tasks.units(spec), workers):
            with lab.task(w, k):
                results[k] = await perform(k)
        left -= 1
        if left == 0:
            finished.set()
        await leave.wait()
        lab.exited(w)

    async with anyio.create_task_group() as group:
        lab.phase("launch")
        for w in range(workers):
            lab.requested(w)
            await group.start(lambda w=w, *, task_status: worker(w, task_status))
        await inspect()
        lab.phase("steady")
        go.set()
        await finished.wait()
        threads = len(os.listdir("/proc/self/task")) - 1
        if spec["hold_ms"]:
            lab.phase("hold")
            lab.flush()
            await anyio.sleep(spec["hold_ms"] / 1000)
            if lab_root.kept():
                await anyio.sleep_forever()
        lab.phase("teardown")
        leave.set()
    lab.value("backend", BACKEND)
    lab.value("other_threads", str(threads), threads)
    if spec["task"] != "sleep":
        lab.value("sum_of_results", str(sum(results.values())), sum(results.values()))
    return results


if __name__ == "__main__":
    lab_root.main(lambda: anyio.run(run, backend=BACKEND))
