"""Compiles the modules of a run, then becomes its root. What the compiler leaves in the heap would else be in each worker that is a copy
of the root.

    lab_boot.py INTERPRETER MAIN
"""

import os
import sys
from importlib.machinery import SourceFileLoader
from time import monotonic_ns

for name in os.listdir("."):
    module, ending = os.path.splitext(name)
    if ending == ".py" and name not in (sys.argv[0], sys.argv[2]):
        # Leaves it in __pycache__.
        SourceFileLoader(module, os.path.abspath(name)).get_code(module)
os.environ["CONCMON_LAB_STARTED"] = str(monotonic_ns())
os.execv(sys.argv[1], [sys.argv[1], "-s", sys.argv[2]])
