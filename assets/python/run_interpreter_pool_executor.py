"""concurrent.futures.InterpreterPoolExecutor (3.14): a thread pool whose threads each have an interpreter, and so a GIL, of their own."""

from concurrent.futures import InterpreterPoolExecutor

import lab_root
import lab_units


class Announcing(lab_root.AnnouncedSubmit, InterpreterPoolExecutor):
    """With a thread comes an interpreter."""


def body():
    results, _ = lab_root.run_thread_pool(Announcing, "interp", lab_units.announce, lab_units.unit)
    return results


if __name__ == "__main__":
    lab_root.main(body)
