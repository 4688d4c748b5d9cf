"""Your own protocol: a framing, a codec for what is asked, one for what is answered, a service."""

from typing import NamedTuple

from pierhead import Context, LengthPrefixed, Packed, WireFormat, run, serve


class Reading(NamedTuple):
    sensor: int
    value: float


stored: list[Reading] = []


async def store(reading: Reading, context: Context) -> int:
    stored.append(reading)
    return len(stored)


readings = WireFormat(LengthPrefixed(2), requests=Packed("!Hf", Reading), replies=Packed("!I"))
run(serve(store, readings), "tcp:127.0.0.1:4000", "udp:127.0.0.1:4000", "unixgram:./r.sock")
