"""A callback and a protocol written for asyncio, on addresses that asyncio does not know.

python examples/asyncio_callback.py callback tcp:127.0.0.1:7000 unix:./echo.sock
python examples/asyncio_callback.py protocol tls+tcp:127.0.0.1:7001?cert=server.pem @shout
"""

import asyncio
import sys

from pierhead import hosting, run


async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        writer.write(line.upper())
        await writer.drain()


class Shout(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data.upper())


if __name__ == "__main__":
    kind, *addresses = sys.argv[1:] or ["callback", "tcp:127.0.0.1:7000", "unix:./shout.sock"]
    served = hosting.streams.serve(shout) if kind == "callback" else hosting.protocol.serve(Shout)
    run(served, *addresses)
