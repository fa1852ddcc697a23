"""N asyncio tasks that sleep 100 ms each, all created, then all awaited."""
import asyncio, json, resource, sys, time
def used():
    both = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return [sum(u.ru_utime + u.ru_stime for u in both) * 1e9, sum(u.ru_minflt for u in both), sum(u.ru_nvcsw for u in both)]
async def work(w):
    born[w] = time.monotonic_ns()
    await asyncio.sleep(0.1)
async def main():
    before, begun, asked, running = used(), time.monotonic_ns(), [], []
    for w in range(n):
        asked.append(time.monotonic_ns())
        running.append(asyncio.create_task(work(w)))
    for task in running:
        await task
    wall, after = time.monotonic_ns() - begun, used()
    costs, creation = [b - a for a, b in zip(before, after)], [b - a for a, b in zip(asked, born)]
    print(json.dumps({"wall": wall, "creation": creation, "costs": costs, "memory": []}))
n = int(sys.argv[1])
born = [0] * n
asyncio.run(main())
