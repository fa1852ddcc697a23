"""N children of os.fork(), all created, then all waited for; then the same again, to look at. With "exec" each executes an interpreter."""
import json, os, resource, sys, time
NEW = "import os,sys,time;t=time.monotonic_ns();f=lambda n:1 if n<=1 else n*f(n-1);[f(k%10+1) for k in range(int(sys.argv[1]),10,4)];os.write(int(sys.argv[2]),t.to_bytes(8,'little'));os.read(int(sys.argv[3]),1)"
factorial = lambda n: 1 if n <= 1 else n * factorial(n - 1)
def used():
    both = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return [sum(f(u) for u in both) for f in (lambda u: (u.ru_utime + u.ru_stime) * 1e9, lambda u: u.ru_minflt, lambda u: u.ru_nvcsw)]
n, memory = int(sys.argv[2]), []
for stay in (False, True):
    (told, tell), (held, hold), shared = os.pipe(), os.pipe(), [os.pipe() for _ in range(n)]
    [os.set_inheritable(fd, True) for fd in [held, *(pair[1] for pair in shared)]]
    stay or os.write(hold, b"x" * n)
    pids, asked, before, begun = [], [], used(), time.monotonic_ns()
    for w in range(n):
        asked, pids = asked + [time.monotonic_ns()], pids + [os.fork()]
        if pids[w] == 0:
            born = time.monotonic_ns()
            sys.argv[1] == "exec" and os.execv(sys.executable, [sys.executable, "-c", NEW, str(w), str(shared[w][1]), str(held)])
            [factorial(k % 10 + 1) for k in range(w, 10, n)]
            os._exit(os.write(shared[w][1], born.to_bytes(8, "little")) and os.read(held, 1) and 0)
    born = [int.from_bytes(os.read(pair[0], 8), "little") for pair in shared] if stay else None
    for pid in pids if stay else ():
        lines = [line.split() for line in open("/proc/%d/smaps_rollup" % pid)]
        memory += [[sum(int(f[1]) << 10 for f in lines if f[0] in of) for of in (["Pss:"], ["Private_Clean:", "Private_Dirty:"])]]
    stay and os.write(hold, b"x" * n)
    [os.waitpid(pid, 0) for pid in pids]
    if not stay:
        wall, costs = time.monotonic_ns() - begun, [b - a for a, b in zip(before, used())]
        creation = [int.from_bytes(os.read(pair[0], 8), "little") - t for pair, t in zip(shared, asked)]
print(json.dumps({"wall": wall, "creation": creation, "costs": costs, "memory": memory}))
