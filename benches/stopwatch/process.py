"""N processes of multiprocessing, all started, then all joined; then the same again, to look at: METHOD N."""
import json, multiprocessing, resource, sys, time
factorial = lambda n: 1 if n <= 1 else n * factorial(n - 1)
def work(w, n, pipe, stay):
    born = time.monotonic_ns()
    [factorial(k % 10 + 1) for k in range(w, 10, n)]
    pipe.send(born), stay and pipe.recv()
def used():
    both = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return [sum(f(u) for u in both) for f in (lambda u: (u.ru_utime + u.ru_stime) * 1e9, lambda u: u.ru_minflt, lambda u: u.ru_nvcsw)]
if __name__ == "__main__":
    context, n, memory = multiprocessing.get_context(sys.argv[1]), int(sys.argv[2]), []
    for stay in (False, True):
        pipes, processes, asked, before, begun = [context.Pipe() for _ in range(n)], [], [], used(), time.monotonic_ns()
        for w in range(n):
            asked.append(time.monotonic_ns())
            processes.append(context.Process(target=work, args=(w, n, pipes[w][1], stay)))
            processes[w].start()
        for w in range(n if stay else 0):
            pipes[w][0].recv()
            lines = [line.split() for line in open("/proc/%d/smaps_rollup" % processes[w].pid)]
            memory += [[sum(int(f[1]) << 10 for f in lines if f[0] in of) for of in (["Pss:"], ["Private_Clean:", "Private_Dirty:"])]]
        [pipes[w][0].send(0) for w in range(n if stay else 0)]
        [process.join() for process in processes]
        if not stay:
            wall = time.monotonic_ns() - begun
            for name, server in (("forkserver", "_forkserver"), ("resource_tracker", "_resource_tracker")):
                getattr(getattr(sys.modules.get("multiprocessing." + name), server, None), "_stop", int)()
            costs, creation = [b - a for a, b in zip(before, used())], [pipes[w][0].recv() - asked[w] for w in range(n)]
    print(json.dumps({"wall": wall, "creation": creation, "costs": costs, "memory": memory}))
