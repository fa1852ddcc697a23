"""multiprocessing.Process with one of its start methods."""

import multiprocessing

import concmon_lab as lab
import lab_root


def start(context, w, crew):
    ours, theirs = context.Pipe()
    process = context.Process(target=lab_root.serve, args=(w, lab_root.HOW[lab_root.start_method()], theirs))
    lab.requested(w)
    process.start()
    theirs.close()

    def wait():
        process.join()
        return lab_root.raw_status(process.exitcode)

    crew.add(ours, process.pid, wait)


def body():
    method = lab_root.start_method()
    context = multiprocessing.get_context(method)
    if method == "forkserver":
        # What the server has imported, its children need not.
        context.set_forkserver_preload(["__main__", "lab_root"])
    crew = lab_root.Crew()
    lab.phase("launch")
    for w in range(lab_root.SPEC["workers"]):
        start(context, w, crew)
    return crew.run()


if __name__ == "__main__":
    lab_root.main(body)
