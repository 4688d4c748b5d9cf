"""Figure 9: send what is typed to a TCP server.

`exit` exits; when the server goes, so does the program, even if nobody types.
"""

import asyncio

from pierhead import connect, console
from pierhead.protocols import lines


async def main() -> None:
    async with connect("tcp:127.0.0.1:7000", lines.wire_format()).conversation() as server:
        async for line in console.lines(until=server, exit_word="exit"):
            await server.send(line)


asyncio.run(main())
