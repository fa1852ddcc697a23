"""Two implementations of asyncio's event loop behind one interface (asyncio.AbstractEventLoop): the same program runs on either."""

import asyncio

import uvloop

import concmon_lab as lab
import lab_root

#: The methods that a program may call.
INTERFACE = [name for name, what in vars(asyncio.AbstractEventLoop).items() if callable(what) and not name.startswith("_")]


def implemented(kind):
    """How many methods of the interface this class has of its own."""
    return sum(getattr(kind, name, None) is not getattr(asyncio.AbstractEventLoop, name) for name in INTERFACE)


async def perform(k):
    return lab_root.perform(k)


async def once():
    """The units of the run as tasks, without anything of the lab."""
    count = lab_root.SPEC["tasks"]
    return dict(enumerate(await asyncio.gather(*(perform(k) for k in range(count)))))


def on(loop, work):
    try:
        return loop.run_until_complete(work)
    finally:
        loop.close()


def body():
    standard = on(asyncio.SelectorEventLoop(), once())
    results = on(uvloop.new_event_loop(), lab_root.run_tasks(perform))
    share = 100 * implemented(uvloop.Loop) // implemented(asyncio.SelectorEventLoop)
    lab.value("interface_methods", str(len(INTERFACE)), len(INTERFACE))
    lab.value("uvloop_has_percent", "%d of the %d that asyncio's loop has" % (implemented(uvloop.Loop), implemented(asyncio.SelectorEventLoop)), share)
    lab.value("same_results", "yes" if results == standard else "no", int(results == standard))
    return results


if __name__ == "__main__":
    lab_root.main(body)
