"""multiprocessing.set_forkserver_preload: the fork server imports modules once, and every worker that it forks has them."""

import importlib

import concmon_lab as lab
import lab_worker  # noqa: F401 - what the children need

#: What a worker needs before it can work. All of the standard library, and not loaded by an interpreter at its start.
MODULES = ("asyncio", "decimal", "email.parser", "http.server", "unittest.mock", "xml.dom.minidom")


def with_modules(act, *args):
    """What a worker does: it imports what it needs, which is quick where the server has it, then `act`."""
    for name in MODULES:
        importlib.import_module(name)
    act(*args)


def say_when_there(pipe):
    pipe.send(lab.now_ns())


def median_start_ns(context, preload):
    """Nanoseconds from the start of a worker until it has its modules: the median of as many as the run has workers, by a server that has
    imported `preload`."""
    import statistics

    context.set_forkserver_preload(["__main__", *preload])
    times = []
    # The first starts the server, and is not counted.
    for w in range(lab_root.SPEC["workers"] + 1):
        ours, theirs = context.Pipe()
        begun = lab.now_ns()
        process = context.Process(target=with_modules, args=(say_when_there, theirs))
        process.start()
        theirs.close()
        times.append(ours.recv() - begun)
        process.join()
    lab_root.stop_helpers()
    return int(statistics.median(times[1:]))


def show_what_it_saves(context):
    without, preloaded = median_start_ns(context, ()), median_start_ns(context, MODULES)
    lab.value("start_without_preload_ns", without, without)
    lab.value("start_with_preload_ns", preloaded, preloaded)


def body():
    import multiprocessing

    how = lab_root.with_multiprocessing().HOW
    method = lab_root.start_method()
    context = multiprocessing.get_context(method)
    context.set_forkserver_preload(["__main__", *MODULES])

    def start(w, act, args):
        process = context.Process(target=with_modules, args=(act, *args))
        process.start()

        def wait():
            process.join()
            return lab_root.raw_status(process.exitcode)

        return process.pid, wait

    results = lab_root.Crew(how[method], start, context.Pipe).run()
    if not lab_root.LIVE:
        lab_root.afterwards(lambda: show_what_it_saves(context))
    return results


if __name__ == "__main__":
    import lab_root

    lab_root.main(body)
