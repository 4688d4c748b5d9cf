"""Inside a larger program: start, reconfigure, inspect, drain."""

import asyncio

from services import shout

from pierhead import Server
from pierhead.protocols import lines


async def main() -> None:
    async with Server(lines.serve(shout), "tcp:127.0.0.1:0") as server:
        print(server.addresses)
        server.reconfigure(idle_timeout=5.0, max_connections=1000)
        print(server.metrics.snapshot())
    # leaving the block finished what had been accepted; server.lost has the rest
    print(server.lost)


asyncio.run(main())
