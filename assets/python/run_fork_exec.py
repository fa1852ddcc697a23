"""Each worker is forked and then replaces its program: the same PID, a new interpreter."""

import os
import sys

import concmon_lab as lab


def start(w, act, args):
    """The function goes by its name, a pipe as its descriptor."""
    words = [act.__name__, *(str(a if isinstance(a, (int, str)) else a.fileno()) for a in args)]
    for pipe in args:
        if hasattr(pipe, "fileno"):
            os.set_inheritable(pipe.fileno(), True)
    pid = os.fork()
    if pid == 0:
        try:
            os.execv(sys.executable, [sys.executable, os.path.abspath(__file__), *words])
        finally:
            os._exit(127)
    return pid, lambda: os.waitpid(pid, 0)[1]


def live(words):
    """The child's side."""
    import lab_worker

    act, w, *rest = words
    if act == "live":
        return lab_worker.live(int(w), *rest)
    pipe = lab_worker.Pipe(int(rest.pop()))
    return getattr(lab_worker, act)(int(w), *rest, pipe)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        live(sys.argv[1:])
    else:
        import lab_root

        lab_root.main(lambda: lab_root.Crew("fork_exec", start).run())
