"""concurrent.futures.InterpreterPoolExecutor (3.14): a thread pool whose threads each have an interpreter, and so a GIL, of their own."""

from concurrent.futures import InterpreterPoolExecutor

import concmon_lab as lab
import lab_root
import lab_tasks
import lab_units


class Announcing(InterpreterPoolExecutor):
    """Says when a thread, and with it an interpreter, is asked for."""

    def submit(self, fn, /, *args, **kwargs):
        before, begun = len(self._threads), lab.now_ns()
        future = super().submit(fn, *args, **kwargs)
        if len(self._threads) > before:
            lab.requested(before, begun)
        return future


def body():
    spec = lab_root.SPEC
    units = lab_tasks.units(spec)
    lab.phase("launch")
    with Announcing(spec["workers"], thread_name_prefix="interp", initializer=lab_units.announce) as pool:
        if units == 0:
            list(pool.map(abs, range(spec["workers"])))
        results = dict(pool.map(lab_units.unit, range(units)))
        threads = len(pool._threads)
        lab_root.show()
        lab.phase("teardown")
    for w in range(threads):
        lab.exited(w)
    return results


if __name__ == "__main__":
    lab_root.main(body)
