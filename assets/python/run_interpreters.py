"""Each worker is a thread with an interpreter of its own: one process, several GILs (PEP 684, PEP 734)."""

import ast
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


#: What an interpreter does that works: its first own instruction takes the time, the lab is imported after it.
WORK = """from time import monotonic_ns
born = monotonic_ns()
import concmon_lab, lab_worker
concmon_lab.ready(%d, 'interpreter', born)
results = lab_worker.work_share(%d)
with open(%r, "w") as file:
    file.write(repr(results))
concmon_lab.farewell()
"""


class Crew:
    """Threads with an interpreter each. `stays` is a gate for those that stay when they have done their share, or None."""

    def __init__(self, code, stays=None):
        self.code, self.stays = code, stays
        self.created, self.failures, self.results = [], [], {}
        self.done = threading.Semaphore(0)
        self.threads = [threading.Thread(target=self._live, args=(w,), name="interp-%d" % w) for w in range(lab_root.SPEC["workers"])]

    def _live(self, w):
        try:
            begun = time.monotonic_ns()
            interpreter = create()
            self.created.append(time.monotonic_ns() - begun)
            file = os.path.join(os.environ["TMPDIR"], "results-%d" % w)
            run(interpreter, self.code % (w, w, file) if self.code else "pass")
            self.done.release()
            if self.stays:
                self.stays.wait()
            destroy(interpreter)
        except BaseException as failure:
            self.failures.append(failure)
            self.done.release()

    def start(self):
        for w, thread in enumerate(self.threads):
            if self.code:
                lab.requested(w)
            thread.start()

    def await_done(self):
        for _ in self.threads:
            self.done.acquire()

    def join(self):
        for w, thread in enumerate(self.threads):
            thread.join()
            if self.code:
                lab.exited(w)
        if self.failures:
            raise self.failures[0]

    def take_results(self):
        """The results by index of unit, which the interpreters have left in files."""
        for w in range(len(self.threads)):
            with open(os.path.join(os.environ["TMPDIR"], "results-%d" % w)) as file:
                self.results.update(ast.literal_eval(file.read()))
        return self.results


def be_looked_at():
    """Threads like those, which stay."""
    leave = lab_root.Gate()
    crew = Crew(None, leave)
    crew.start()
    crew.await_done()
    lab.inspect()
    leave.open()
    crew.join()


def body():
    leave = lab_root.Gate() if lab_root.LIVE else None
    crew = Crew(WORK, leave)
    lab.phase("launch")
    crew.start()
    if lab_root.LIVE:
        crew.await_done()
        lab_root.show()
        lab.phase("teardown")
        leave.open()
    crew.join()
    lab.end()
    median = sorted(crew.created)[len(crew.created) // 2] if crew.created else 0
    lab.value("interpreter_create_ns", "%.1f ms each (median)" % (median / 1e6), median)
    if not lab_root.LIVE:
        lab_root.afterwards(be_looked_at)
    return crew.take_results()


if __name__ == "__main__":
    lab_root.main(body)
