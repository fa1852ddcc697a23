"""N threads, all started, then all joined."""
import json, resource, sys, threading, time
def factorial(n):
    return 1 if n <= 1 else n * factorial(n - 1)
def work(w, n):
    born[w] = time.monotonic_ns()
    [factorial(k % 10 + 1) for k in range(w, 10, n)]
def used():
    both = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return [sum(u.ru_utime + u.ru_stime for u in both) * 1e9, sum(u.ru_minflt for u in both), sum(u.ru_nvcsw for u in both)]
n = int(sys.argv[1])
born, asked, threads, before, begun = [0] * n, [], [], used(), time.monotonic_ns()
for w in range(n):
    asked.append(time.monotonic_ns())
    threads.append(threading.Thread(target=work, args=(w, n)))
    threads[w].start()
for thread in threads:
    thread.join()
wall, after = time.monotonic_ns() - begun, used()
costs, creation = [b - a for a, b in zip(before, after)], [b - a for a, b in zip(asked, born)]
print(json.dumps({"wall": wall, "creation": creation, "costs": costs, "memory": []}))
