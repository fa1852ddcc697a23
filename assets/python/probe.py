"""What an interpreter is and has, as one line of JSON. Run with -I -c; any Python from 3.6 on can at least say its version."""

import json
import sys

about = {
    "version": list(sys.version_info[:3]),
    "release": sys.version.split()[0],
    "implementation": sys.implementation.name,
    "executable": sys.executable,
    "prefix": sys.prefix,
    "base_prefix": getattr(sys, "base_prefix", sys.prefix),
}
if sys.version_info >= (3, 9):
    import importlib.metadata
    import importlib.util
    import multiprocessing
    import sysconfig

    about["free_threaded"] = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
    about["gil"] = getattr(sys, "_is_gil_enabled", lambda: True)()
    about["start_methods"] = multiprocessing.get_all_start_methods()
    about["start_method"] = multiprocessing.get_start_method()
    for name in ("concurrent.interpreters", "_interpreters", "_xxsubinterpreters"):
        if importlib.util.find_spec(name):
            about["interpreters"] = name
            break
    packages = {}
    for name in @PACKAGES@:
        try:
            packages[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            pass
    about["packages"] = packages
print(json.dumps(about))
