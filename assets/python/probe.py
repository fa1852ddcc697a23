"""What an interpreter is and has, as one line of JSON. Run with -I -c; any Python from 3.6 on can at least say its version.

Many are asked before the first run of a system, so this imports little: `importlib.metadata` and `sysconfig` alone take as long as the start."""

import json
import os
import sys

about = {
    "version": list(sys.version_info[:3]),
    "release": sys.version.split()[0],
    "implementation": sys.implementation.name,
    "executable": sys.executable,
    "prefix": sys.prefix,
    "base_prefix": getattr(sys, "base_prefix", sys.prefix),
}


def has_module(name):
    if name in sys.builtin_module_names:
        return True
    from importlib.machinery import PathFinder

    within = None
    parent = name.rpartition(".")[0]
    if parent:
        package = PathFinder.find_spec(parent)
        within = package and package.submodule_search_locations
        if not within:
            return False
    return PathFinder.find_spec(name, within) is not None


def installed():
    """Version of each distribution, by its name in lower case: the first on the path counts, as it does for an import."""
    found = {}
    for directory in sys.path:
        try:
            names = os.listdir(directory or ".")
        except OSError:
            continue
        for entry in names:
            stem, end = os.path.splitext(entry)
            if end in (".dist-info", ".egg-info"):
                name, _, rest = stem.partition("-")
                # `name-1.2-py3.11.egg-info` is of older tools.
                found.setdefault(name.lower().replace("_", "-").replace(".", "-"), rest.partition("-")[0])
    return found


if sys.version_info >= (3, 9):
    # A build without a GIL says so in its ABI (PEP 703).
    about["free_threaded"] = "t" in getattr(sys, "abiflags", "")
    about["gil"] = getattr(sys, "_is_gil_enabled", lambda: True)()
    import multiprocessing

    about["start_methods"] = multiprocessing.get_all_start_methods()
    about["start_method"] = multiprocessing.get_start_method()
    for name in ("concurrent.interpreters", "_interpreters", "_xxsubinterpreters"):
        if has_module(name):
            about["interpreters"] = name
            break
    versions = installed()
    about["packages"] = {name: versions[name] for name in @PACKAGES@ if versions.get(name)}
print(json.dumps(about))
