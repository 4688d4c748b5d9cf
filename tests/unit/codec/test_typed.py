"""JSON and MessagePack of a type: every kind of type, and every kind of wrong input."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import Annotated, Any, Literal, NamedTuple, TypedDict
from uuid import UUID

import attrs
import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.laws.outcomes import met, shares

from pierhead import Context, DecodeError, Json, Lines, MsgPack, Server, json_lines, serve
from pierhead.client.dial import dial_datagram
from pierhead.codec.typed import load_msgspec
from pierhead.errors import UsageError
from pierhead.testing.laws import check_codec, check_wire_format


class Colour(Enum):
    RED = "red"


class Struct(msgspec.Struct, frozen=True):
    number: int
    names: tuple[str, ...] = ()


class Circle(msgspec.Struct, tag=True, frozen=True):
    radius: float


class Square(msgspec.Struct, tag=True, frozen=True):
    side: float


@dataclass(frozen=True)
class Dataclass:
    number: int
    names: list[str] = field(default_factory=list)


@attrs.frozen
class Attrs:
    number: int = attrs.field(validator=attrs.validators.ge(0))
    names: list[str] = attrs.Factory(list)


class Tuple(NamedTuple):
    number: int
    name: str = ""


class Dict(TypedDict):
    number: int


class Model(pydantic.BaseModel):
    number: int
    names: list[str] = []
    at: datetime | None = None
    key: UUID | None = None
    colour: Colour = Colour.RED
    share: float = 0.0


class Constants(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(ser_json_inf_nan="constants")
    share: float


class Aliased(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")
    number: int = pydantic.Field(alias="n", gt=0)

    @pydantic.field_validator("number")
    @classmethod
    def even(cls, number: int) -> int:
        if number % 2:
            raise ValueError(f"{number} is odd")
        return number


@pydantic.dataclasses.dataclass(frozen=True)
class Validated:
    number: int = pydantic.Field(gt=0)


@dataclass(frozen=True)
class HoldsModel:
    models: tuple[Model, ...]


NOW = datetime(2026, 11, 29, 12, 0, 0, 5, tzinfo=UTC)
KEY = UUID(int=7)

KINDS: list[tuple[Any, list[Any]]] = [
    (Any, [{"a": [1, 2.5, None, True]}, "", 0, [[]], "\n\u2028é😀"]),
    (Struct, [Struct(1), Struct(-1, ("a", "b\nc"))]),
    (Circle | Square, [Circle(1.5), Square(2.0)]),
    (Dataclass, [Dataclass(1), Dataclass(2, ["x"])]),
    (Attrs, [Attrs(1), Attrs(2, ["x"])]),
    (Tuple, [Tuple(1, "x")]),
    (Dict, [Dict(number=1)]),
    (list[Dataclass], [[], [Dataclass(1)]]),
    (dict[str, Struct | None], [{"a": Struct(1), "b": None}]),
    (int | str, [1, "1"]),
    (Literal["on", "off"], ["on"]),
    (Annotated[int, msgspec.Meta(ge=0)], [0]),
    (tuple[datetime, UUID, Colour, bytes], [(NOW, KEY, Colour.RED, b"\xff\0")]),
    (Model, [Model(number=1), Model(number=2, names=["x"], at=NOW, key=KEY, share=0.5)]),
    (list[Model], [[Model(number=1)]]),
    (Model | int, [Model(number=1), 3]),
    (Aliased, [Aliased(n=2)]),
    (Validated, [Validated(1)]),
    (HoldsModel, [HoldsModel((Model(number=1),))]),
]


@pytest.mark.parametrize("codec_of", [Json, MsgPack])
@pytest.mark.parametrize(("kind", "messages"), KINDS, ids=lambda each: str(each)[:40])
def test_messages_of_any_kind_of_type_come_back_as_that_type(
    codec_of: Any, kind: Any, messages: list[Any]
) -> None:
    codec = codec_of(kind)
    check_codec(codec, [b"", b"null", b"\xc0", b"{}", b"\x80", b"[" * 3000], messages=messages)
    for message in messages:
        assert type(codec.decode(codec.encode(message))) is type(message)
        if codec_of is Json:
            assert b"\n" not in codec.encode(message)


WRONG: list[tuple[Any, Any, str]] = [
    (Struct, {"number": "1"}, "$.number: expected int, got str"),
    (Struct, {"number": 1.5}, "$.number: expected int, got float"),
    (Struct, {"number": True}, "$.number: expected int, got bool"),
    (Struct, {"number": 1, "names": ["a", 2]}, "$.names[1]: expected str, got int"),
    (Struct, {}, "$: missing required field number"),
    (Struct, [1], "$: expected object, got array"),
    (list[Struct], [{"number": 1}, {}], "$[1]: missing required field number"),
    (dict[str, int], {"a": "b"}, "$[...]: expected int, got str"),
    (Circle | Square, {"type": "Oval"}, "$.type: invalid value 'Oval'"),
    (Dataclass, {"number": {}}, "$.number: expected int, got object"),
    (Attrs, {"number": ["x"]}, "$.number: expected int, got array"),
    (Attrs, {"number": -1}, "$: 'number' must be >= 0: -1"),
    (Tuple, [], "$: expected array of length 1 to 2"),
    (Dict, {"number": []}, "$.number: expected int, got array"),
    (Literal["on", "off"], "of", "$: invalid enum value 'of'"),
    (int | str, 1.5, "$: expected int | str, got float"),
    (Annotated[int, msgspec.Meta(ge=0)], -1, "$: expected int >= 0"),
    (UUID, "x", "$: invalid UUID"),
    (Model, {"number": "1"}, "$.number: expected a valid integer, got str"),
    (Model, {"number": 1.0}, "$.number: expected a valid integer, got float"),
    (Model, {"number": 1, "names": ["a", 2]}, "$.names[1]: expected a valid string, got int"),
    (Model, {"number": 1, "names": None}, "$.names: expected a valid array, got null"),
    (Model, {}, "$: missing required field number"),
    (Model, [1], "$: expected an object, got array"),
    (list[Model], [{"number": 1}, {}], "$[1]: missing required field number"),
    (
        dict[str, Model],
        {"a b": {"number": {}}},
        "$['a b'].number: expected a valid integer, got obj",
    ),
    (Aliased, {"n": 0}, "$.n: expected greater than 0"),
    (Aliased, {"n": 3}, "$.n: 3 is odd"),
    (Aliased, {"n": 2, "m\x1b": 1}, r"$: unknown field m\x1b"),
    (Validated, {"number": 0}, "$.number: expected greater than 0"),
    (HoldsModel, {"models": [{}]}, "$.models[0]: missing required field number"),
]


@pytest.mark.parametrize("codec_of", [Json, MsgPack])
@pytest.mark.parametrize(("kind", "given", "message"), WRONG, ids=lambda each: str(each)[:40])
def test_wrongly_typed_input_is_refused_by_its_path(
    codec_of: Any, kind: Any, given: Any, message: str
) -> None:
    with pytest.raises(DecodeError) as refused:
        codec_of(kind).decode(codec_of().encode(given))
    assert str(refused.value).startswith(message)


def deep(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


MALFORMED: list[tuple[Any, bytes, str]] = [
    (Json, b"", "malformed JSON: it ends too early"),
    (Json, b'{"number":', "malformed JSON: it ends too early"),
    (Json, b'{"number":1}{', "malformed JSON: trailing characters (at octet 12)"),
    (Json, b'{"number":NaN}', "malformed JSON: invalid character (at octet 10)"),
    (Json, b'{"number":-Infinity}', "malformed JSON: invalid character (at octet 11)"),
    (Json, b'{"number":01}', "malformed JSON: invalid number (at octet 11)"),
    (Json, b"{'number':1}", "malformed JSON"),
    (Json, b"\xef\xbb\xbf{}", "malformed JSON: invalid character (at octet 0)"),
    (Json, b'{"number":1,"names":["\xff"]}', ""),
    (Json, b'{"number":1,"names":["\\ud800"]}', "malformed JSON"),
    (Json, b'{"number":1,"names":["\\udc00"]}', "malformed JSON"),
    (Json, b'{"number":1,"names":["a\x01"]}', "malformed JSON: invalid character"),
    (Json, b'{"number":1e400}', "$.number: "),
    (Json, b'{"number":' + b"9" * 5000 + b"}", ""),
    (Json, b'{"x":' + deep(100_000) + b"}", "JSON that nests too deeply"),
    (Json, deep(100_000), ""),
    (Json, b"null", ""),
    (MsgPack, b"", "malformed MessagePack: it ends too early"),
    (MsgPack, b"\x81\xa6number", "malformed MessagePack: it ends too early"),
    (MsgPack, b"\x81\xa6number\x01\x01", "malformed MessagePack: trailing characters (at octet 9)"),
    (MsgPack, b"\xc1", ""),
    (MsgPack, b"\x81\xa6number\xa1\xff", ""),
    (MsgPack, b"\xdf\xff\xff\xff\xff", "malformed MessagePack: it ends too early"),
    (MsgPack, b"\xdd\xff\xff\xff\xff" + b"\x01" * 100, ""),
    (MsgPack, b"\x81\xa1x" + b"\x91" * 100_000, "MessagePack that nests too deeply"),
    (MsgPack, b"\x81\x91\x01\x01", ""),
    (MsgPack, b"\x81\xa6number\xd4\x05x", ""),
    (MsgPack, b"\x81\xa6number\xc7\x0c\xff" + b"\xff" * 12, ""),
    (MsgPack, b"\xc0", ""),
]


@pytest.mark.parametrize("kind", [Struct, Dataclass, Attrs, Model])
@pytest.mark.parametrize(("codec_of", "frame", "message"), MALFORMED, ids=lambda e: str(e)[:30])
def test_malformed_input_is_refused_whoever_checks_it(
    codec_of: Any, frame: bytes, message: str, kind: Any
) -> None:
    with pytest.raises(DecodeError) as refused:
        codec_of(kind).decode(frame)
    assert str(refused.value).startswith(message)
    assert len(str(refused.value)) < 1000
    assert str(refused.value).isascii()


def test_faults_without_number_are_counted_and_not_listed() -> None:
    with pytest.raises(DecodeError, match=r"\$: 101 values of another type"):
        Json(list[Model]).decode(b"[" + b",".join([b"1"] * 101) + b"]")
    with pytest.raises(DecodeError, match=r"\$\[0\]: expected an object, got int"):
        Json(list[Model]).decode(b"[" + b",".join([b"1"] * 100) + b"]")


def test_what_json_leaves_open_is_decided() -> None:
    """RFC 8259 §4, §6, §8.2: duplicate names, large numbers, lone surrogates."""
    assert Json().decode(b'{"a":1,"a":2}') == {"a": 2}
    assert Json(Model).decode(b'{"number":1,"number":2}').number == 2
    assert MsgPack().decode(b"\x82\xa1a\x01\xa1a\x02") == {"a": 2}
    assert Json().decode(b"9" * 4300) == int("9" * 4300)
    assert Json().decode(Json().encode(-(10**30))) == -(10**30)
    assert Json().decode(b"1e-400") == 0.0
    assert Json(float).decode(b"1") == 1.0
    assert Json(int, strict=False).decode(b'"1"') == 1
    assert Json(Model, strict=False).decode(b'{"number":"1"}').number == 1


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Json().encode(math.nan), "cannot be JSON: it contains NaN or an infinity"),
        (lambda: Json().encode({"a": [None, -math.inf]}), "it contains NaN or an infinity"),
        (lambda: Json(Circle).encode(Circle(math.inf)), "it contains NaN or an infinity"),
        (lambda: Json(Model).encode(Model(number=1, share=math.nan)), "it contains NaN"),
        (lambda: Json(Constants).encode(Constants(share=-math.inf)), "it contains NaN"),
        (lambda: Json(Constants).encode(Constants(share=math.nan)), "it contains NaN"),
        (lambda: Json(Model).encode(Model(number=1, names=["\ud800"])), "cannot be JSON"),
        (lambda: Json().encode({(1, 2): 3}), "cannot be JSON"),
        (lambda: MsgPack().encode(2**64), "cannot be MessagePack: can't serialize ints"),
        (lambda: MsgPack().encode("\ud800"), "cannot be MessagePack"),
        (lambda: MsgPack().encode(None), "a message is None"),
        (lambda: Json(Model).encode(Dataclass(1)), "a message is Dataclass, expected Model"),
        (lambda: MsgPack(list[Model]).encode(7), "cannot be MessagePack: Pydantic serializer"),
        (lambda: Json(Attrs).encode(Dataclass(1)), "a message is Dataclass, expected Attrs"),
        (lambda: MsgPack(print), "is not a type that MessagePack can have"),
        (lambda: Json(Mixed), "is not a type that JSON can have: Unable to generate"),
        (lambda: Json(list[Converts]), "Converts.name has a converter, which decoding does not"),
    ],
)
def test_bugs_of_the_program_are_reported(build: Any, message: str) -> None:
    with pytest.raises(UsageError) as mistake:
        build()
    assert message in str(mistake.value)


class Mixed(msgspec.Struct):
    model: Model


@attrs.define
class Converts:
    name: str = attrs.field(converter=str.upper)


def test_null_inside_a_message_is_not_taken_for_nan() -> None:
    assert Json().encode({"a": None, "b": "null", "c": 1.5}) == b'{"a":null,"b":"null","c":1.5}'


def test_who_has_no_msgspec_is_told_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "msgspec", None)
    with pytest.raises(UsageError, match=r"pip install 'pierhead\[msgspec\]'"):
        load_msgspec()


CODECS = [codec_of(kind) for codec_of in (Json, MsgPack) for kind in (Any, Struct, Attrs, Model)]
pieces = st.sampled_from(
    [
        *rb"""{ } [ ] : , " \ud800 \ null NaN 1 - . e9 "number": {"number":1}""".split(),
        *b"\x81\xa6number \xa6number \x01 \x82 \x91 \xc0 \xd4\x05x \xd6\xff \xff \xcb".split(b" "),
    ]
)
integers = st.integers(-(2**63), 2**64 - 1)  # those of MessagePack
values = st.recursive(
    st.none() | st.booleans() | integers | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
numbered = st.fixed_dictionaries({"number": integers})
frames = st.one_of(
    st.lists(pieces, max_size=6).map(b"".join),
    st.binary(max_size=30),
    (values | numbered).map(msgspec.json.encode),
    (values | numbered).map(msgspec.msgpack.encode),
)


@shares(decoded=0.02, refused=0.3)
@given(frame=frames)
def test_any_octets_are_a_message_or_a_decode_error(frame: bytes) -> None:
    for codec in CODECS:
        try:
            codec.decode(frame)
        except DecodeError as error:
            shown = str(error)
            met("refused")
        else:
            shown = ""
            met("decoded")
        assert shown.isascii()


def test_json_lines_are_one_expression() -> None:
    wire = json_lines(Dataclass, Struct)
    assert wire.framing == Lines()
    check_wire_format(wire, [Dataclass(1), Dataclass(2, ["x"])], lambda asked: Struct(asked.number))
    same = json_lines(Dataclass, max_length_bytes=100)
    assert same.framing == Lines(max_length_bytes=100)
    assert same.requests is same.replies
    assert json_lines().requests.decode(b"[1]") == [1]


async def test_a_service_of_json_lines_gets_what_it_is_typed_for_from_a_datagram_too() -> None:
    async def count(asked: Dataclass, context: Context) -> Struct:
        return Struct(len(asked.names))

    async with Server(serve(count, json_lines(Dataclass, Struct)), "memgram:count"):
        client = await dial_datagram("memgram:count")
        client.send(b'{"number":"x"}\n')  # no answer
        client.send(b'{"number":1,"names":["a","b"]}\n')
        assert await client.receive() == b'{"number":2,"names":[]}'
        client.close()


def test_codecs_have_a_readable_repr() -> None:
    assert [repr(Json(Struct)), repr(Json()), repr(MsgPack(list[int]))] == [
        "Json(Struct)",
        "Json()",
        "MsgPack(list[int])",
    ]
