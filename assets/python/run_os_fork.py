"""Each worker is a copy of this process, made by os.fork()."""

import os
from multiprocessing import Pipe

import concmon_lab as lab
import lab_root


def start(w, crew):
    ours, theirs = Pipe()
    lab.requested(w)
    pid = os.fork()
    if pid == 0:
        try:
            ours.close()
            lab_root.serve(w, "fork", theirs)
            os._exit(0)
        except BaseException:
            import traceback

            lab.error(traceback.format_exc())
            lab.farewell()
            os._exit(1)
    theirs.close()
    crew.add(ours, pid, lambda: os.waitpid(pid, 0)[1])


if __name__ == "__main__":
    lab_root.main(lambda: lab_root.run_crew(start))
