"""Clients of the echo server: `PORT CONNECTIONS ROUNDS`. Says when all are connected, waits for a line, plays ping-pong, says when done."""

import selectors
import socket
import sys

port, connections, rounds = map(int, sys.argv[1:])
MESSAGE = b"x" * 1024
selector = selectors.DefaultSelector()
left = {}
for _ in range(connections):
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    selector.register(connection, selectors.EVENT_READ)
    left[connection] = [rounds, len(MESSAGE)]
# One write each: the other side takes a read for a word, and print() makes two.
sys.stdout.write("connected\n")
sys.stdout.flush()
sys.stdin.readline()
for connection in left:
    connection.sendall(MESSAGE)
while left:
    for key, _ in selector.select():
        connection = key.fileobj
        state = left[connection]
        state[1] -= len(connection.recv(65536))
        if state[1] == 0:
            state[0] -= 1
            state[1] = len(MESSAGE)
            if state[0]:
                connection.sendall(MESSAGE)
            else:
                selector.unregister(connection)
                del left[connection]
sys.stdout.write("done\n")
sys.stdout.flush()
# The connections stay until the server has been looked at.
sys.stdin.readline()
