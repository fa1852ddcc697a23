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
        lab_root.preload(context)
    return lab_root.run_crew(lambda w, crew: start(context, w, crew))


if __name__ == "__main__":
    lab_root.main(body)
