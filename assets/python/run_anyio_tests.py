"""One test of a program written for AnyIO, run on each of its backends, as a test suite does that names the backend as a parameter."""

import asyncio
import os

import anyio
import trio

import concmon_lab as lab
import lab_root


def backend():
    """The event loop that is running."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        trio.lowlevel.current_task()
        return "trio"
    return "asyncio"


async def echo_through_streams_and_files(name):
    """Tasks of a group, a memory stream and a file; fails by an exception."""
    assert backend() == name
    send, receive = anyio.create_memory_object_stream(4)
    got = []

    async def produce():
        async with send:
            for number in range(4):
                await send.send(number)

    async with anyio.create_task_group() as group:
        group.start_soon(produce)
        async for number in receive:
            got.append(number)
    assert got == [0, 1, 2, 3]
    path = os.path.join(os.environ["TMPDIR"], "tested-%s" % name)
    async with await anyio.open_file(path, "w") as file:
        await file.write("x" * 10)
    async with await anyio.open_file(path) as file:
        assert len(await file.read()) == 10


def body():
    passed, backends = [], anyio.get_all_backends()
    lab.forgo_waits()
    lab.phase("launch")
    lab.requested(0)
    lab.ready(0, "inline")
    for k, name in enumerate(backends):
        lab.task_start(0, k)
        try:
            anyio.run(echo_through_streams_and_files, name, backend=name)
            passed.append(name)
        except Exception as failure:
            lab.warn("on %s: %r" % (name, failure))
        lab.task_end(0, k)
    lab.end()
    lab.exited(0)
    lab.value("backends", ", ".join(backends), len(backends))
    lab.value("backends_that_pass", ", ".join(passed), len(passed))
    lab_root.show()


if __name__ == "__main__":
    lab_root.main(body)
