"""The application of the web servers: `GET /?K` does unit of work K. Each worker process of a server loads it."""

import asyncio
import time

import concmon_lab as lab
import lab_service
import lab_tasks
import lab_worker

#: The number of this worker.
worker = lab_service.announce()
lab_worker.worker_index = worker


def wsgi(environ, start_response):
    """For servers that call (PEP 3333)."""
    body = str(lab_worker.work(worker, int(environ["QUERY_STRING"]))).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


async def perform(k):
    """Unit `k`; what waits, waits in the event loop."""
    if lab_worker.SPEC["task"] == "sleep":
        wanted = lab_tasks.size(lab_worker.SPEC) / 1000
        begun = time.monotonic()
        await asyncio.sleep(wanted)
        return max(0, int((time.monotonic() - begun - wanted) * 1e9))
    return lab_worker.perform(k)


async def lifespan(receive, send):
    """The life of the application in a worker: servers that end a worker by a signal tell the application before."""
    while True:
        event = (await receive())["type"]
        if event == "lifespan.shutdown":
            lab.farewell()
        await send({"type": event + ".complete"})
        if event == "lifespan.shutdown":
            return


async def asgi(scope, receive, send):
    """For servers that have an event loop (ASGI 3)."""
    if scope["type"] == "lifespan":
        return await lifespan(receive, send)
    k = int(scope["query_string"])
    with lab.task(worker, k):
        body = str(await perform(k)).encode()
    head = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await send({"type": "http.response.body", "body": body})
