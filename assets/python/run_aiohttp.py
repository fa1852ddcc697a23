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
    url = "http://127.0.0.1:%d/%d" % (lab_root.server_port(), lab_tasks.size(lab_root.SPEC))
    lab.value("import_aiohttp_ns", "%.0f ms" % (imported / 1e6), imported)
    async with aiohttp.ClientSession() as session:

        async def perform(_):
            async with session.get(url) as answer:
                return len(await answer.read())

        return await lab_root.run_tasks(perform)


if __name__ == "__main__":
    lab_root.main(lambda: asyncio.run(run()))
