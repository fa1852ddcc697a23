"""Each worker is an asyncio task: one thread, one event loop, many tasks that wait together."""

import asyncio
import time

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


if __name__ == "__main__":
    lab_root.main(lambda: asyncio.run(lab_root.run_tasks(perform)))
