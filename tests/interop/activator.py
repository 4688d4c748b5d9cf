"""Stands in for systemd where systemd-socket-activate cannot: sockets of several types at once.

    python activator.py NAME=TYPE:PATH... -- PROGRAM ARGUMENT...

Binds each socket, puts them at descriptors 3, 4, …, says ``bound`` on standard error and becomes
the program, as a service manager's child does.
"""

from __future__ import annotations

import os
import socket
import sys

TYPES = {
    "stream": socket.SOCK_STREAM,
    "dgram": socket.SOCK_DGRAM,
    "seqpacket": socket.SOCK_SEQPACKET,
}


def main() -> None:
    split = sys.argv.index("--")
    wanted = [argument.partition("=") for argument in sys.argv[1:split]]
    sockets = []
    for _, _, what in wanted:
        kind, _, path = what.partition(":")
        sock = socket.socket(socket.AF_UNIX, TYPES[kind])
        sock.bind(path)
        if kind != "dgram":
            sock.listen()
        sockets.append(sock)
    high = [os.dup2(sock.fileno(), 100 + i) for i, sock in enumerate(sockets)]
    for place, number in enumerate(high, 3):
        os.dup2(number, place)
        os.close(number)
    os.environ["LISTEN_PID"] = str(os.getpid())
    os.environ["LISTEN_FDS"] = str(len(high))
    os.environ["LISTEN_FDNAMES"] = ":".join(name for name, _, _ in wanted)
    print("bound", file=sys.stderr, flush=True)
    os.execv(sys.argv[split + 1], sys.argv[split + 1 :])


if __name__ == "__main__":
    main()
