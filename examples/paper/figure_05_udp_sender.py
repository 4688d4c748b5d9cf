"""Figure 5: send what is typed, a datagram for each line; `exit` exits."""

from pierhead import blocking
from pierhead.protocols import lines

with blocking.connect("udp:127.0.0.1:7000", lines.wire_format()) as receiver:
    for line in blocking.typed_lines(exit_word="exit"):
        receiver.send(line)
