"""Figure 4: print the datagrams of anybody.

A datagram is decoded by its own length; one that is no text is dropped, alone.
"""

import sys

from pierhead import Context, blocking
from pierhead.protocols import lines


def show(line: str, context: Context) -> None:
    print(line, flush=True)


with blocking.serve(show, "udp:127.0.0.1:7000", wire_format=lines.wire_format()) as receiver:
    print("ready", *receiver.addresses, file=sys.stderr, flush=True)
    receiver.wait()
