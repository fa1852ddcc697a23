"""Clients of a web server: `PORT CLIENTS REQUESTS`, each client a thread that makes one request after the other, a connection each."""

import socket
import sys
import threading

port, clients, count = map(int, sys.argv[1:])
REQUEST = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
failures = []


def client(share):
    for _ in range(share):
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(REQUEST)
            answer = b""
            while True:
                chunk = connection.recv(65536)
                if not chunk:
                    break
                answer += chunk
        if not answer.startswith(b"HTTP/1.1 200 "):
            failures.append(answer[:80])


threads = [threading.Thread(target=client, args=(count // clients + (i < count % clients),)) for i in range(clients)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
if failures:
    sys.exit("%d requests failed: %r" % (len(failures), failures[0]))
