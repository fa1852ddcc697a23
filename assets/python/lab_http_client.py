"""Clients of a web server, `PORT CLIENTS REQUESTS`: each client is a thread that makes one request after the other, with a connection for
each. Request K is `GET /?K`. They print one line of JSON; `load` starts them and reads it."""

import json
import os
import socket
import sys
import threading
import time


def get(port, k):
    """Makes request `k`; the body of the answer."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET /?%d HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n" % k)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    head, _, body = answer.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200 "):
        raise ValueError("the answer is %r" % answer[:80])
    return body.decode()


def load(port, clients, count):
    """Has a process of clients make so many requests: the time that all took (`took_ns`) and that each took (`times_ns`), and the bodies
    of the answers. The start of the process is not counted."""
    import subprocess

    words = [sys.executable, "-S", os.path.abspath(__file__), str(port), str(clients), str(count)]
    return json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE).stdout)


def per_second(seen, count):
    """Requests per second of a load of so many."""
    return count * 1_000_000_000 // seen["took_ns"]


def main(port, clients, count):
    bodies, times, failures = [""] * count, [0] * count, []

    def client(first):
        for k in range(first, count, clients):
            begun = time.monotonic_ns()
            try:
                bodies[k] = get(port, k)
            except (OSError, ValueError) as failure:
                failures.append(str(failure))
            times[k] = time.monotonic_ns() - begun

    threads = [threading.Thread(target=client, args=(first,)) for first in range(clients)]
    begun = time.monotonic_ns()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.monotonic_ns() - begun
    if failures:
        sys.exit("%d of %d requests failed: %s" % (len(failures), count, failures[0]))
    print(json.dumps({"took_ns": took, "times_ns": times, "bodies": bodies}))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
