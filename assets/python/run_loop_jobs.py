"""What an event loop does by itself, all in one thread: tasks, I/O, timers and signals. A process runs a loop; the root sends it SIGTERM,
which the loop handles, then SIGKILL, which nothing can."""

import asyncio
import os
import signal
import socket
import time

import concmon_lab as lab
import lab_root
import lab_worker

#: When the timer fires, seconds.
TIMER_S = 0.01


async def jobs(pipe):
    """Does each job once and reports them; then waits for signals until it is killed."""
    loop, done = asyncio.get_running_loop(), []

    async def small(number):
        await asyncio.sleep(0)
        return number

    if sum(await asyncio.gather(small(1), small(2))) == 3:
        done.append("tasks")
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    loop.call_soon(theirs.send, b"x")
    if await loop.sock_recv(ours, 1) == b"x":
        done.append("io")
    fired, due = loop.create_future(), time.monotonic() + TIMER_S
    loop.call_later(TIMER_S, lambda: fired.set_result(time.monotonic() - due))
    late = max(0, int(await fired * 1e9))
    done.append("timers")
    try:
        loop.add_signal_handler(signal.SIGKILL, lambda: None)
        refused = 0
    except (RuntimeError, ValueError, OSError):
        refused = 1
    asked = loop.create_future()
    loop.add_signal_handler(signal.SIGTERM, lambda: asked.done() or asked.set_result(True))
    pipe.send_bytes(b"%d %d" % (late, refused))
    await asked
    done.append("signals")
    lab.task_end(0, 0)
    lab.farewell()
    threads = len(os.listdir("/proc/self/task"))
    pipe.send_bytes(("%s %d" % (",".join(done), threads)).encode())
    await loop.create_future()


def child(pipe):
    lab.ready(0, "fork")
    lab.task_start(0, 0)
    asyncio.run(jobs(pipe))


def body():
    ours, theirs = lab_worker.pair()
    lab.phase("launch")
    lab.requested(0)
    pid = os.fork()
    if pid == 0:
        try:
            child(theirs)
        finally:
            os._exit(1)
    theirs.close()
    try:
        late, refused = map(int, ours.recv_bytes().split())
        os.kill(pid, signal.SIGTERM)
        done, threads = ours.recv_bytes().decode().split()
    except EOFError:
        raise lab_root.WorkerFailed("the loop (pid %d) %s" % (pid, lab_root.how_it_ended(os.waitpid(pid, 0)[1]))) from None
    done = done.split(",")
    if not lab_root.LIVE:
        lab.shown(0, "fork", pid)
    lab_root.show()
    lab.phase("teardown")
    os.kill(pid, signal.SIGKILL)
    status = os.waitpid(pid, 0)[1]
    ours.close()
    # Its end is what was asked for; only another one would be a failure.
    lab.exited(0, 0 if status == signal.SIGKILL else status)
    lab.value("jobs_of_the_loop", ", ".join(done), len(done))
    lab.value("threads_of_the_loop", threads, int(threads))
    lab.value("timer_lateness_ns", "%.2f ms" % (late / 1e6), late)
    lab.value("sigterm_handled", "by the loop" if "signals" in done else "no", int("signals" in done))
    lab.value("sigkill_handler_refused", "yes" if refused else "no", refused)
    lab.value("killed_by_signal", lab_root.how_it_ended(status), status & 0x7F)


if __name__ == "__main__":
    lab_root.main(body)
