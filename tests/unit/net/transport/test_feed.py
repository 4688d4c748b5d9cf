"""Octets that are here already, handed to either kind of protocol."""

from __future__ import annotations

import asyncio

import pytest

from pierhead.net.transport.feed import buffer_of, feed, report


class Whole(asyncio.Protocol):
    def __init__(self) -> None:
        self.got: list[bytes] = []

    def data_received(self, data: bytes) -> None:
        self.got.append(data)


class Pieces(asyncio.BufferedProtocol):
    """Takes three octets at a time, and stops reading once it has had enough."""

    def __init__(self, *, size: int = 3, enough: int = 100) -> None:
        self.buffer = bytearray(size)
        self.got: list[bytes] = []
        self.enough = enough

    def is_reading(self) -> bool:
        return len(self.got) < self.enough

    def get_buffer(self, sizehint: int) -> bytearray:
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.got.append(bytes(self.buffer[:nbytes]))


@pytest.mark.parametrize("octets", [b"abcdefgh", memoryview(b"abcdefgh")])
def test_a_protocol_gets_them_in_one_piece_of_bytes(octets) -> None:
    protocol = Whole()

    assert feed(protocol, octets) == 8
    assert protocol.got == [b"abcdefgh"]
    assert type(protocol.got[0]) is bytes


@pytest.mark.parametrize("octets", [b"abcdefgh", memoryview(b"abcdefgh")])
def test_a_buffered_protocol_gets_them_in_pieces_of_its_own_size(octets) -> None:
    protocol = Pieces()

    assert feed(protocol, octets) == 8
    assert protocol.got == [b"abc", b"def", b"gh"]


def test_a_protocol_that_stops_reading_gets_no_further_piece() -> None:
    protocol = Pieces(enough=2)

    assert feed(protocol, b"abcdefgh", protocol.is_reading) == 6
    assert protocol.got == [b"abc", b"def"]


def test_an_empty_buffer_is_an_error_and_not_an_endless_loop() -> None:
    with pytest.raises(RuntimeError, match="empty buffer"):
        feed(Pieces(size=0), b"a")
    with pytest.raises(RuntimeError, match="empty buffer"):
        buffer_of(Pieces(size=0), -1)


async def test_an_exception_is_reported_with_its_protocol_and_transport() -> None:
    told = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    transport, protocol, mistake = asyncio.Transport(), Whole(), ValueError("mistake")

    report(transport, protocol, mistake)

    assert told == [
        {
            "message": "Fatal error: Whole failed on a Transport",
            "exception": mistake,
            "transport": transport,
            "protocol": protocol,
        }
    ]
