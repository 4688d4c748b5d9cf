"""Inside a larger program: start, change, look, drain."""

import asyncio

from services import shout

from pierhead import Server
from pierhead.protocols import lines


async def main() -> None:
    async with Server(lines.serve(shout), "tcp:127.0.0.1:0") as server:
        print(server.addresses)
        server.reconfigure(idle_timeout=5.0, max_connections=1000)
        print(server.metrics.snapshot())
    # leaving the block finished what had been accepted; server.lost says what could not be
    print(server.lost)


asyncio.run(main())
