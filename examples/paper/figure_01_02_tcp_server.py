"""Figures 1 and 2: take one TCP client after the other, and print its lines.

A client that sends what is no text, or breaks off, ends its own block; the loop goes on.
"""

import sys

from pierhead import blocking
from pierhead.protocols import lines

with blocking.listen("tcp:127.0.0.1:7000", lines.wire_format()) as listener:
    print("ready", *listener.addresses, file=sys.stderr, flush=True)
    for conversation in listener:
        with conversation:
            for line in conversation:
                print(line, flush=True)
