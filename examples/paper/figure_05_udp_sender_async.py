"""Figure 5, asynchronous: send what is typed, a datagram for each line; `exit` exits."""

import asyncio

from pierhead import connect, console
from pierhead.protocols import lines


async def main() -> None:
    async with connect("udp:127.0.0.1:7000", lines.wire_format()).conversation() as receiver:
        async for line in console.lines(exit_word="exit"):
            await receiver.send(line)


asyncio.run(main())
