"""Figure 3: send what is typed to a TCP server.

`exit` exits; when the server goes, so does the program, even if nobody types.
"""

from pierhead import blocking
from pierhead.protocols import lines

with blocking.connect("tcp:127.0.0.1:7000", lines.wire_format()) as server:
    for line in blocking.typed_lines(until=server, exit_word="exit"):
        server.send(line)
