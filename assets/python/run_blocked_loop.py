"""An event loop in which every worker makes a blocking call, and a clock that should tick every 10 ms; the cured one hands the calls to
threads (asyncio.to_thread)."""

import asyncio
import time

import concmon_lab as lab
import lab_root
import lab_tasks

CURED = lab_root.SPEC.get("system", "").endswith("-cured")
TICK = 0.010


async def clock(lateness):
    """Notes how late each tick was, seconds."""
    due = time.monotonic() + TICK
    while True:
        await asyncio.sleep(max(0, due - time.monotonic()))
        now = time.monotonic()
        lateness.append(now - due)
        due = now + TICK


def block(w, k):
    """A call that knows nothing of the loop."""
    return lab_root.work(w, k)


async def worker(w, results):
    lab.ready(w, "async_task")
    await asyncio.sleep(0)
    for k in range(w, lab_tasks.units(lab_root.SPEC), lab_root.SPEC["workers"]):
        results[k] = await asyncio.to_thread(block, w, k) if CURED else block(w, k)
        await asyncio.sleep(0)


async def run():
    lateness, results = [], {}
    ticking = asyncio.create_task(clock(lateness))
    await asyncio.sleep(TICK * 3)
    lateness.clear()
    running = await lab_root.launch_tasks(lambda w: worker(w, results))
    lab.phase("steady")
    await lab_root.see_off_tasks(running)
    # One more tick, so that the lateness of the last blocking call is seen.
    await asyncio.sleep(TICK * 2)
    ticking.cancel()
    worst = int(max(lateness) * 1e9)
    lab.value("largest_lateness_of_a_10_ms_tick_ns", "%.1f ms" % (worst / 1e6), worst)
    lab.value("ticks", len(lateness), len(lateness))
    await lab_root.show_loop()
    lab.phase("teardown")
    return results


if __name__ == "__main__":
    lab_root.main(lambda: asyncio.run(run()))
