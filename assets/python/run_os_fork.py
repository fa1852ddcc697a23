"""Each worker is a copy of this process, made by os.fork()."""

import os

import concmon_lab as lab
import lab_root


def start(w, act, args):
    pid = os.fork()
    if pid == 0:
        try:
            act(*args)
            os._exit(0)
        except BaseException:
            import traceback

            lab.error(traceback.format_exc())
            lab.farewell()
            os._exit(1)
    return pid, lambda: os.waitpid(pid, 0)[1]


if __name__ == "__main__":
    lab_root.main(lambda: lab_root.Crew("fork", start).run())
