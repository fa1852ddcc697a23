"""A small service for run.py: a WSGI application, an ASGI application and a Celery application."""

import hashlib
import os


def work():
    """About a millisecond of CPU time."""
    digest = b"x"
    for _ in range(1000):
        digest = hashlib.sha256(digest).digest()
    return digest.hex().encode()


def wsgi(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [work()]


async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": work()})


if "CELERY_BROKER" in os.environ:
    from celery import Celery

    celery = Celery("app", broker=os.environ["CELERY_BROKER"])

    @celery.task
    def task(_n):
        work()
