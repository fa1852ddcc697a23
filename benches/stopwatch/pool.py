"""A pool of concurrent.futures from its constructor to its shutdown, with ten factorials mapped: thread|fork|spawn|forkserver|interpreter N."""
import json, multiprocessing, resource, sys, time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
def factorial(n):
    return 1 if n <= 1 else n * factorial(n - 1)
def used():
    both = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return [sum(u.ru_utime + u.ru_stime for u in both) * 1e9, sum(u.ru_minflt for u in both), sum(u.ru_nvcsw for u in both)]
if __name__ == "__main__":
    kind, n, memory = sys.argv[1], int(sys.argv[2]), []
    context, numbers = multiprocessing.get_context(kind) if "thread" != kind else None, [k % 10 + 1 for k in range(int(sys.argv[3]))]
    before, begun = used(), time.monotonic_ns()
    with ProcessPoolExecutor(n, mp_context=context) if context else ThreadPoolExecutor(n) as pool:
        list(pool.map(factorial, numbers)) if len(numbers) > 1 else pool.submit(factorial, numbers[0]).result()
        paused, held = time.monotonic_ns(), used()
        time.sleep(0.5 if context else 0)  # the first worker has done it all: the others are still starting
        for pid in list(pool._processes) if context else ():
            lines = [line.split() for line in open("/proc/%d/smaps_rollup" % pid)]
            memory += [[sum(int(f[1]) << 10 for f in lines if f[0] in of) for of in (["Pss:"], ["Private_Clean:", "Private_Dirty:"])]]
        resumed, on = time.monotonic_ns(), used()
    wall = time.monotonic_ns() - resumed + paused - begun
    for name, server in (("forkserver", "_forkserver"), ("resource_tracker", "_resource_tracker")):
        getattr(getattr(sys.modules.get("multiprocessing." + name), server, None), "_stop", int)()
    costs = [d - c + b - a for a, b, c, d in zip(before, held, on, used())]
    print(json.dumps({"wall": wall, "creation": [], "costs": costs, "memory": memory}))
