"""Writes src/inspect/layouts.rs: where CPython 3.9 to 3.12 keep what is read of them, taken from the headers of installed interpreters.

Usage: python3 tests/support/cpython_layouts.py PYTHON3.9 PYTHON3.10 PYTHON3.11 PYTHON3.12 > src/inspect/layouts.rs
Each argument is an interpreter whose headers are installed. Needs a C compiler (`cc`). These versions have no debug offsets
(PEP 768 begins with 3.13); a layout holds within a minor version.
"""

import os
import subprocess
import sys
import tempfile

# Name of the field, and its C expression. `None`: this version has no such field.
ALL = {
    "interpreters_head": "offsetof(_PyRuntimeState, interpreters.head)",
    "interpreter_id": "offsetof(PyInterpreterState, id)",
    "interpreter_next": "offsetof(PyInterpreterState, next)",
    "interpreter_gc": "offsetof(PyInterpreterState, gc)",
    "gil_locked": "offsetof(struct _gil_runtime_state, locked)",
    "gil_holder": "offsetof(struct _gil_runtime_state, last_holder)",
    "thread_next": "offsetof(PyThreadState, next)",
    "thread_interpreter": "offsetof(PyThreadState, interp)",
    "thread_id": "offsetof(PyThreadState, thread_id)",
    "filename": "offsetof(PyCodeObject, co_filename)",
    "first_line": "offsetof(PyCodeObject, co_firstlineno)",
    "object_type": "offsetof(PyObject, ob_type)",
    "type_name": "offsetof(PyTypeObject, tp_name)",
    "type_flags": "offsetof(PyTypeObject, tp_flags)",
    "type_basicsize": "offsetof(PyTypeObject, tp_basicsize)",
    "type_dictoffset": "offsetof(PyTypeObject, tp_dictoffset)",
    "cached_keys": "offsetof(PyHeapTypeObject, ht_cached_keys)",
    "dict_keys": "offsetof(PyDictObject, ma_keys)",
    "dict_values": "offsetof(PyDictObject, ma_values)",
    "bytes_size": "offsetof(PyVarObject, ob_size)",
    "bytes_data": "offsetof(PyBytesObject, ob_sval)",
    "unicode_state": "offsetof(PyASCIIObject, state)",
    "unicode_length": "offsetof(PyASCIIObject, length)",
    "ascii_size": "sizeof(PyASCIIObject)",
    "compact_size": "sizeof(PyCompactUnicodeObject)",
}
OLD_THREADS = {"threads_head": "offsetof(PyInterpreterState, tstate_head)"}
NEW_THREADS = {
    "threads_head": "offsetof(PyInterpreterState, threads.head)",
    "native_thread_id": "offsetof(PyThreadState, native_thread_id)",
}
OLD_FRAMES = {
    "current_frame": "offsetof(PyThreadState, frame)",
    "frame_previous": "offsetof(PyFrameObject, f_back)",
    "frame_executable": "offsetof(PyFrameObject, f_code)",
    "instruction": "offsetof(PyFrameObject, f_lasti)",
    "qualname": "offsetof(PyCodeObject, co_name)",
}
NEW_FRAMES = {
    "current_frame": "offsetof(PyThreadState, cframe)",
    "cframe": "offsetof(_PyCFrame, current_frame)",
    "frame_previous": "offsetof(_PyInterpreterFrame, previous)",
    "frame_executable": "offsetof(_PyInterpreterFrame, f_code)",
    "instruction": "offsetof(_PyInterpreterFrame, prev_instr)",
    "frame_owner": "offsetof(_PyInterpreterFrame, owner)",
    "qualname": "offsetof(PyCodeObject, co_qualname)",
    "linetable": "offsetof(PyCodeObject, co_linetable)",
    "code_adaptive": "offsetof(PyCodeObject, co_code_adaptive)",
}
RUNTIME_GIL = {"runtime_gil": "offsetof(_PyRuntimeState, ceval.gil)"}
MODULES = {"modules": "offsetof(PyInterpreterState, modules)"}
VERSIONS = {
    9: ALL | OLD_THREADS | OLD_FRAMES | RUNTIME_GIL | MODULES | {"linetable": "offsetof(PyCodeObject, co_lnotab)"},
    10: ALL | OLD_THREADS | OLD_FRAMES | RUNTIME_GIL | MODULES | {"linetable": "offsetof(PyCodeObject, co_linetable)"},
    11: ALL | NEW_THREADS | NEW_FRAMES | RUNTIME_GIL | MODULES,
    12: ALL | NEW_THREADS | NEW_FRAMES
    | {"interpreter_gil": "offsetof(PyInterpreterState, ceval.gil)", "modules": "offsetof(PyInterpreterState, imports.modules)"},
}
OPTIONAL = ["native_thread_id", "cframe", "frame_owner", "code_adaptive", "runtime_gil", "interpreter_gil"]

HEADERS = """
#define Py_BUILD_CORE 1
#include <stddef.h>
#include <stdio.h>
#include "Python.h"
#include "frameobject.h"
#include "internal/pycore_runtime.h"
#include "internal/pycore_interp.h"
#include "internal/pycore_gil.h"
#if PY_VERSION_HEX >= 0x030b0000
#include "internal/pycore_frame.h"
#endif
"""


def measure(python):
    """The minor version of an interpreter, and the offset of each field."""
    code = "import sys, sysconfig; print(sys.version_info[1], sysconfig.get_path('include'))"
    minor, include = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.split(maxsplit=1)
    fields = VERSIONS[int(minor)]
    prints = "".join(f'printf("{name} %zu\\n", (size_t)({what}));' for name, what in fields.items())
    with tempfile.TemporaryDirectory() as place:
        source, program = os.path.join(place, "layout.c"), os.path.join(place, "layout")
        with open(source, "w", encoding="utf-8") as file:
            file.write(HEADERS + "int main(void) {" + prints + "return 0; }\n")
        subprocess.run(["cc", "-w", "-I", include.strip(), "-o", program, source], check=True)
        lines = subprocess.run([program], check=True, capture_output=True, text=True).stdout.splitlines()
    return int(minor), {name: int(offset) for name, offset in (line.split() for line in lines)}


def main():
    tables = dict(measure(python) for python in sys.argv[1:])
    names = sorted(set().union(*VERSIONS.values()))
    print("//! Where CPython 3.9 to 3.12 (64 bits) keep what is read of them. Made from their headers by `tests/support/cpython_layouts.py`.\n")
    print("/// Offsets in bytes, each from the beginning of its structure.")
    print("#[derive(Debug, Clone, Copy, PartialEq, Eq)]\npub(super) struct Layout {\n    pub minor: u8,")
    for name in names:
        print(f"    pub {name}: {'Option<u64>' if name in OPTIONAL else 'u64'},")
    print("}\n\n/// Ascending version.\npub(super) const LAYOUTS: [Layout; %d] = [" % len(tables))
    for minor, table in sorted(tables.items()):
        print(f"    Layout {{\n        minor: {minor},")
        for name in names:
            value = str(table[name]) if name in table else "None"
            print(f"        {name}: {f'Some({value})' if name in OPTIONAL and name in table else value},")
        print("    },")
    print("];")


main()
