"""Forged datagrams against echo servers: how long they keep talking to each other.

    python benchmarks/attacks/echo_loop.py

First a single datagram comes from a foreign echo server (a few lines here, which return whatever
arrives); then, if raw sockets are allowed, one that claims to come from another listener of the
same process, and one from the listener itself. It counts what Pierhead's server has received after
two seconds: more than a few means that they would talk forever.
"""

from __future__ import annotations

import asyncio
import socket
import struct

from pierhead import Server
from pierhead.metrics import Metrics
from pierhead.protocols import lines

SECONDS = 2.0


class Theirs(asyncio.DatagramProtocol):
    """A foreign echo server."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = transport

    def datagram_received(self, data: bytes, address: object) -> None:
        """Send it back."""
        self.transport.sendto(data, address)  # type: ignore[attr-defined]


def forge(sender: int, receiver: int) -> None:
    """Send one datagram from 127.0.0.1:sender to 127.0.0.1:receiver.

    Raises:
        PermissionError: only an administrator may.
    """
    payload = b"forged"
    datagram = struct.pack("!4H", sender, receiver, 8 + len(payload), 0) + payload
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP) as raw:
        raw.bind(("127.0.0.1", 0))
        raw.sendto(datagram, ("127.0.0.1", 0))


def shown(metrics: Metrics) -> str:
    """Return what was counted."""
    received, sent = (metrics.total(f"datagrams_{what}_total") for what in ("received", "sent"))
    return f"{received:.0f} datagrams received, {sent:.0f} sent in {SECONDS:.0f} s"


async def main() -> None:
    """Carry the attacks out, one after the other."""
    loop = asyncio.get_running_loop()
    echo = lines.serve(lines.echo, encoding=None)
    async with Server(echo, "udp:127.0.0.1:0") as server:
        port = int(server.addresses[0].rpartition(":")[2])
        transport, _ = await loop.create_datagram_endpoint(Theirs, ("127.0.0.1", 0))
        transport.sendto(b"forged", ("127.0.0.1", port))
        await asyncio.sleep(SECONDS)
        print("from somebody else's echo:", shown(server.metrics))
        transport.close()
    for what in ("another listener of the process", "the listener itself"):
        async with Server(echo, "udp:127.0.0.1:0", "udp:127.0.0.1:0") as server:
            one, other = (int(address.rpartition(":")[2]) for address in server.addresses)
            try:
                forge(other if what.startswith("another") else one, one)
            except PermissionError as error:
                print(f"from {what}: not tried: {error}")
                continue
            await asyncio.sleep(SECONDS)
            print(f"from {what}:", shown(server.metrics))


if __name__ == "__main__":
    asyncio.run(main())
