"""The lines protocol: a request is a line of text, and so is a reply.

    async def shout(line: str, context: Context) -> str:
        return line.upper()

    run(lines.serve(shout), "tcp:127.0.0.1:7000", "unix:./shout.sock")

A line ends with LF or CR LF on input and with LF on output. A datagram holds one or more lines, the
last with or without a line ending; the answers share a datagram.
"""

from pierhead.protocols.lines.serve import converse, echo, serve, wire_format

__all__ = ["converse", "echo", "serve", "wire_format"]
