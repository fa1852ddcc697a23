"""multiprocessing.Process with one of its start methods."""

import concmon_lab as lab  # noqa: F401 - its time of birth is this program's
import lab_worker  # noqa: F401 - what the children need


def body():
    import multiprocessing

    how = lab_root.with_multiprocessing().HOW
    method = lab_root.start_method()
    context = multiprocessing.get_context(method)

    def start(w, act, args):
        process = context.Process(target=act, args=args)
        process.start()

        def wait():
            process.join()
            return lab_root.raw_status(process.exitcode)

        return process.pid, wait

    return lab_root.Crew(how[method], start, context.Pipe).run()


if __name__ == "__main__":
    import lab_root

    lab_root.main(body)
