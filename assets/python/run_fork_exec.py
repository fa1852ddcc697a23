"""Each worker is forked and then replaces its program: the same PID, a new interpreter."""

import os
import sys
from multiprocessing import Pipe
from multiprocessing.connection import Connection

import concmon_lab as lab
import lab_root


def start(w, crew):
    ours, theirs = Pipe()
    os.set_inheritable(theirs.fileno(), True)
    lab.requested(w)
    pid = os.fork()
    if pid == 0:
        try:
            os.execv(sys.executable, [sys.executable, os.path.abspath(__file__), str(w), str(theirs.fileno())])
        finally:
            os._exit(127)
    theirs.close()
    crew.add(ours, pid, lambda: os.waitpid(pid, 0)[1])


if __name__ == "__main__":
    if len(sys.argv) == 3:
        lab_root.serve(int(sys.argv[1]), "fork_exec", Connection(int(sys.argv[2])))
    else:
        lab_root.main(lambda: lab_root.run_crew(start))
