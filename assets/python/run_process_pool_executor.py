"""concurrent.futures.ProcessPoolExecutor: `submit` for one unit, `map` for many."""

from concurrent.futures import ProcessPoolExecutor

import concmon_lab as lab
import lab_worker


def nothing(_):
    return None


def body():
    spec = lab_root.SPEC
    units = lab_root.tasks.units(spec)
    context = lab_root.announcing_context()
    lab.phase("launch")
    with ProcessPoolExecutor(max_workers=spec["workers"], mp_context=context) as pool:
        if units == 0:
            results = {}
            list(pool.map(nothing, range(spec["workers"])))
        elif units == 1:
            results = dict([pool.submit(lab_worker.pooled, 0).result()])
        else:
            results = dict(pool.map(lab_worker.pooled, range(units)))
        lab_root.show_announced()
        lab.phase("teardown")
    lab_root.see_off_announced()
    return results


if __name__ == "__main__":
    import lab_root

    lab_root.main(body)
