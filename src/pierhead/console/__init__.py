"""What people type, and what they are shown: for programs with a terminal, and `pierhead connect`.

    async with connect("tcp:127.0.0.1:7000", lines.wire_format()).conversation() as server:
        async for line in console.lines(until=server, exit_word="exit"):
            await server.send(line)

Standard input is read without a thread, from a terminal, a pipe or a file, and whoever waits for a
line can be cancelled.
"""

from pierhead.console.typed import lines, talk, typed_into

__all__ = ["lines", "talk", "typed_into"]
