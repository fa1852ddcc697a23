"""Each worker is a thread with an interpreter of its own: one process, several GILs (PEP 684, PEP 734)."""

import json
import os
import threading
import time

import concmon_lab as lab
import lab_root

try:
    from concurrent import interpreters  # 3.14

    def create():
        return interpreters.create()

    def run(interpreter, code):
        interpreter.exec(code)

    def destroy(interpreter):
        interpreter.close()

except ImportError:
    import _interpreters  # 3.13

    def create():
        return _interpreters.create()

    def run(interpreter, code):
        failure = _interpreters.exec(interpreter, code)
        if failure is not None:
            raise lab_root.WorkerFailed(getattr(failure, "errdisplay", None) or str(failure))

    def destroy(interpreter):
        _interpreters.destroy(interpreter)


SAY_READY = """import time
born = time.monotonic_ns()
import concmon_lab, lab_tasks, json
concmon_lab.ready(%d, 'interpreter', born)"""
WORK = """
spec = json.loads(%r)
results = {}
for k in range(%d, lab_tasks.units(spec), spec["workers"]):
    with concmon_lab.task(%d, k):
        results[k] = lab_tasks.perform(spec, k)
with open(%r, "w") as file:
    json.dump(results, file)
concmon_lab.farewell()
"""


def body():
    spec = lab_root.SPEC
    workers = spec["workers"]
    go, leave = lab_root.Gate(), lab_root.Gate()
    there, done = threading.Semaphore(0), threading.Semaphore(0)
    created, failures, results = [], [], {}

    def worker(w):
        try:
            begun = time.monotonic_ns()
            interpreter = create()
            created.append(time.monotonic_ns() - begun)
            run(interpreter, SAY_READY % w)
            there.release()
            go.wait()
            file = os.path.join(os.environ["TMPDIR"], "results-%d" % w)
            run(interpreter, WORK % (json.dumps(spec), w, w, file))
            with open(file) as lines:
                results.update((int(k), result) for k, result in json.load(lines).items())
            done.release()
            leave.wait()
            destroy(interpreter)
        except BaseException as failure:
            failures.append(failure)
            there.release()
            done.release()

    threads = [threading.Thread(target=worker, args=(w,), name="interp-%d" % w) for w in range(workers)]
    lab.phase("launch")
    for w, thread in enumerate(threads):
        lab.requested(w)
        thread.start()
        there.acquire()
    lab.inspect()
    lab.phase("steady")
    go.open()
    for _ in threads:
        done.acquire()
    median = sorted(created)[len(created) // 2] if created else 0
    lab.value("interpreter_create_ns", "%.1f ms each (median)" % (median / 1e6), median)
    lab_root.linger()
    lab.phase("teardown")
    leave.open()
    for w, thread in enumerate(threads):
        thread.join()
        lab.exited(w)
    if failures:
        raise failures[0]
    return results


if __name__ == "__main__":
    lab_root.main(body)
