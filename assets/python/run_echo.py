"""An echo server on asyncio's own event loop or on uvloop: the same code, what differs is the loop. The clients are a process of their
own, so the server's CPU time is the server's alone."""

import asyncio
import os
import resource
import subprocess
import sys
import time

import concmon_lab as lab
import lab_root

UVLOOP = lab_root.SPEC.get("system", "").endswith("/uvloop-echo")


class Echo(asyncio.Protocol):
    """One connection: a worker of the run."""

    connected = 0

    def connection_made(self, transport):
        self.transport, self.w = transport, Echo.connected
        Echo.connected += 1
        lab.requested(self.w)
        lab.ready(self.w, "async_task")

    def data_received(self, data):
        self.transport.write(data)

    def connection_lost(self, _):
        lab.exited(self.w)


async def run():
    spec = lab_root.SPEC
    loop = asyncio.get_running_loop()
    lab.value("event_loop", type(loop).__module__)
    server = await loop.create_server(Echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    client = os.path.join(os.path.dirname(os.path.abspath(__file__)), "lab_echo_client.py")
    lab.phase("launch")
    arguments = [sys.executable, "-S", client, str(port), str(spec["workers"]), str(spec["tasks"])]
    clients = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    # The first line says that all are connected, the second that all have had their answers.
    descriptor, heard = clients.stdout.fileno(), asyncio.Queue()
    loop.add_reader(descriptor, lambda: heard.put_nowait(os.read(descriptor, 64)))
    await heard.get()
    await lab_root.inspect_loop()
    lab.phase("steady")
    before, begun = resource.getrusage(resource.RUSAGE_SELF), time.monotonic_ns()
    clients.stdin.write(b"go\n")
    clients.stdin.flush()
    await heard.get()
    wall, after = time.monotonic_ns() - begun, resource.getrusage(resource.RUSAGE_SELF)
    requests = spec["workers"] * spec["tasks"]
    cpu = int((after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e9)
    lab.value("server_cpu_ns_per_request", "%.1f us" % (cpu / requests / 1e3), cpu // requests)
    lab.value("requests_per_second", requests * 1_000_000_000 // wall, requests * 1_000_000_000 // wall)
    await lab_root.linger_loop()
    lab.phase("teardown")
    loop.remove_reader(descriptor)
    clients.stdin.close()
    server.close()
    while clients.poll() is None:
        await asyncio.sleep(0.001)
    clients.stdout.close()


def body():
    if UVLOOP:
        import uvloop

        return uvloop.run(run())
    return asyncio.run(run())


if __name__ == "__main__":
    lab_root.main(body)
