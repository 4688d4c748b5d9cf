"""Your own protocol: framing, codec, service; the same over datagrams."""

import struct
from typing import NamedTuple

from pierhead import Context, DecodeError, LengthPrefixed, WireFormat, run, serve


class Reading(NamedTuple):
    sensor: int
    value: float


class Readings:
    def decode(self, frame: bytes) -> Reading:
        if len(frame) != 6:
            raise DecodeError(f"a reading has 6 octets, got {len(frame)}")
        return Reading(*struct.unpack("!Hf", frame))

    def encode(self, count: int) -> bytes:
        return struct.pack("!I", count)


stored: list[Reading] = []


async def store(reading: Reading, context: Context) -> int:
    stored.append(reading)
    return len(stored)


readings = WireFormat(LengthPrefixed(2), Readings())
run(serve(store, readings), "tcp:127.0.0.1:4000", "udp:127.0.0.1:4000", "unixgram:./r.sock")
