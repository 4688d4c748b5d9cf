from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, NamedTuple, TypedDict

import msgspec
import pytest

from pierhead import Context, DecodeError, Json, LengthPrefixed, Packed, Server, WireFormat, serve
from pierhead.client.dial import dial_datagram
from pierhead.errors import UsageError
from pierhead.testing.laws import check_codec


class Reading(NamedTuple):
    sensor: int
    value: float


@dataclass(frozen=True)
class Point:
    x: int
    y: int

    def __post_init__(self) -> None:
        if self.x < 0:
            raise ValueError("left of everything")


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Ask(msgspec.Struct):
    what: str
    count: int = 1


class Told(TypedDict):
    name: str


PACKED: list[tuple[Packed[Any], list[Any]]] = [
    (Packed("!I"), [0, 2**32 - 1]),
    (Packed("<hB?"), [(-1, 255, True)]),
    (Packed("!4s"), [b"abcd", b"\0\0\0\0"]),
    (Packed("!Hf", Reading), [Reading(7, 21.5)]),
    (Packed("!2h", Point), [Point(0, -1)]),
    (Packed("!H", Level), [Level.LOW, Level.HIGH]),
]


@pytest.mark.parametrize(("codec", "messages"), PACKED, ids=lambda each: repr(each)[:20])
def test_packed_fields_come_back_as_they_were(codec: Packed[Any], messages: list[Any]) -> None:
    check_codec(codec, [b"", b"\xff" * 6], messages=messages)
    for message in messages:
        assert type(codec.decode(codec.encode(message))) is type(message)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Packed("Hf"), "does not say its byte order; begin with '!'"),
        (lambda: Packed("=H"), "does not say its byte order"),
        (lambda: Packed("!Y"), "'!Y' is none of struct's: bad char"),
        (lambda: Packed("!"), "has 0 fields, expected 1 or more"),
        (lambda: Packed("!H", Reading), "has 1 fields, expected 2 of Reading"),
        (lambda: Packed("!2H", Level), "has 2 fields, expected 1 of Level"),
        (lambda: Packed("!H").encode(65_536), "65536 does not fit '!H'"),
        (lambda: Packed("!f").encode(1e300), "1e+300 does not fit '!f'"),
        (lambda: Packed("!2H").encode((1,)), "(1,) does not fit '!2H'"),
        (lambda: Packed("!4s").encode(b"abcde"), "b'abcde' does not fill its place in '!4s'"),
        (lambda: Packed("!4s").encode(b"abc"), "b'abc' does not fill its place in '!4s'"),
        (lambda: Packed("!Hf", Reading).encode((7, 1.0)), "a message is tuple, expected Reading"),
        (lambda: Json(print), "is not a type that JSON can have"),
        (lambda: Json("Unknown"), "is not a type that JSON can have"),
        (lambda: Json(Ask).encode(Reading(7, 1.0)), "a message is Reading, expected Ask"),
        (lambda: Json().encode(print), "a message cannot be JSON"),
        (lambda: Json().encode("\ud800"), "a message cannot be JSON"),
        (lambda: Json().encode(None), "a message is None"),
    ],
)
def test_bugs_of_the_program_are_reported(build: Any, message: str) -> None:
    with pytest.raises(UsageError) as mistake:
        build()
    assert message in str(mistake.value)


@pytest.mark.parametrize(
    ("codec", "frame", "message"),
    [
        (Packed("!Hf"), b"\0" * 5, "message of 5 octets, expected 6"),
        (Packed("!2h", Point), b"\xff\xff\0\0", "no Point: left of everything"),
        (Packed("!H", Level), b"\0\3", "no Level: 3 is not a valid Level"),
        (Json(Ask), b"{}", "missing required field"),
        (Json(Ask), b'{"what":1}', "$.what: expected str, got int"),
        (Json(Point), b'{"x":-1,"y":0}', "left of everything"),
        (Json(), b"", "it ends too early"),
        (Json(), b'"\xff"', "text in JSON that is not UTF-8"),
        (Json(), b"[" * 200_000, "nests too deeply"),
        (Json(), b"9" * 10_000, "out of range"),
        (Json(), b"null", "null is not a message"),
    ],
)
def test_malformed_input_is_a_decode_error(codec: Any, frame: bytes, message: str) -> None:
    with pytest.raises(DecodeError) as refused:
        codec.decode(frame)
    assert message in str(refused.value)


@dataclass
class Tree:
    children: list[Tree] = field(default_factory=list)


JSON: list[tuple[Json[Any], list[Any]]] = [
    (Json(), [{"a": [1, 2.5, None, True]}, [], "", 0]),
    (Json(Ask), [Ask("time"), Ask("two\nlines", 2)]),
    (Json(Reading), [Reading(7, 21.5)]),
    (Json(Told), [Told(name="ahoy")]),
    (Json(dict[str, int]), [{"a": 1}]),
    (Json(int | str), [1, "1"]),
    (Json(Tree), [Tree([Tree(), Tree([Tree()])])]),
]


@pytest.mark.parametrize(("codec", "messages"), JSON, ids=lambda each: repr(each)[:20])
def test_json_survives_the_round_trip_and_fits_a_line(
    codec: Json[Any], messages: list[Any]
) -> None:
    check_codec(codec, [b"", b"null", b"[" * 5000], messages=messages)
    for message in messages:
        assert b"\n" not in codec.encode(message)


async def test_a_server_and_its_client_share_one_wire_format() -> None:
    async def measure(reading: Reading, context: Context) -> int:
        return round(reading.value * reading.sensor)

    wire = WireFormat(LengthPrefixed(2), requests=Packed("!Hf", Reading), replies=Packed("!I"))
    async with Server(serve(measure, wire), "memgram:measure"):
        client = await dial_datagram("memgram:measure")
        client.send(wire.requests.encode(Reading(2, 21.5)))
        assert wire.replies.decode(await client.receive()) == 43
        client.close()


def test_codecs_have_a_readable_repr() -> None:
    assert repr(Json(Ask)) == "Json(Ask)"
    assert repr(Json()) == "Json()"
    assert repr(Packed("!Hf", Reading)) == "Packed('!Hf', Reading)"
