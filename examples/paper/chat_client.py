"""The chat client that the paper wishes for: it sends what is typed, and prints what comes."""

import asyncio

from pierhead import connect, console
from pierhead.protocols import lines


async def main() -> None:
    async with connect("tcp:127.0.0.1:7000", lines.wire_format()).conversation() as chat:
        async for line in console.talk(chat, exit_word="exit"):
            print(line, flush=True)


asyncio.run(main())
