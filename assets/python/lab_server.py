"""A small HTTP server on 127.0.0.1, at a port that the kernel chooses and that is printed: `GET /MS` is answered after MS milliseconds.

It ends when its standard input does, so it cannot outlive the run that has started it.
"""

import asyncio
import sys

BODY = b"concurrency is not parallelism\n" * 32


async def answer(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            path = head.split(b" ", 2)[1]
            await asyncio.sleep(int(path[1:] or b"0") / 1000)
            keep = b"connection: close" not in head.lower()
            state = b"keep-alive" if keep else b"close"
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: %s\r\n\r\n%s"
                % (len(BODY), state, BODY)
            )
            await writer.drain()
            if not keep:
                break
    except (asyncio.IncompleteReadError, ConnectionError, ValueError, IndexError):
        pass
    finally:
        writer.close()


async def main():
    server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    loop = asyncio.get_running_loop()
    ended = loop.create_future()
    loop.add_reader(sys.stdin, lambda: sys.stdin.buffer.raw.read(1024) or ended.done() or ended.set_result(None))
    await ended


asyncio.run(main())
