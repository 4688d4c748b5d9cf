"""A wire format is one value for both sides; see `tests/laws/test_matching_laws.py` too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
import pytest

from pierhead.codec import (
    ById,
    InOrder,
    LengthPrefixed,
    Lines,
    Octets,
    Order,
    Packed,
    WireFormat,
    check_one_reply,
)
from pierhead.codec.base import Framing
from pierhead.errors import DecodeError, UsageError
from pierhead.service.coding import coded
from pierhead.testing.laws import LawBroken, check_wire_format


class Asking(NamedTuple):
    ident: int
    what: str


class Questions:
    def decode(self, frame: bytes) -> Asking:
        ident, _, what = frame.decode("latin-1").partition(" ")
        if not ident.isascii() or not ident.isdigit():
            raise DecodeError(f"no identifier in {frame!r}")
        return Asking(int(ident), what)

    def encode(self, asking: Asking) -> bytes:
        return f"{asking.ident} {asking.what}".encode("latin-1")


class Numbers:
    def decode(self, frame: bytes) -> int:
        if not frame.isdigit():
            raise DecodeError("no number")
        return int(frame)

    def encode(self, number: int) -> bytes:
        return b"%d" % number

    def reject(self, error: Exception, frame: bytes) -> bytes:
        return b"0"


BY_ID: ById[Asking, Asking] = ById(
    get=lambda reply: reply.ident,
    put=lambda request, ident: request._replace(ident=ident),
    range=range(1, 4),
)


def test_one_codec_serves_both_ways_unless_there_are_two() -> None:
    same = WireFormat(Lines(), Numbers())
    assert same.replies is same.requests
    two = WireFormat(Lines(), Questions(), Numbers())
    assert (type(two.requests), type(two.replies)) == (Questions, Numbers)


async def test_a_server_decodes_requests_and_encodes_replies_and_a_client_does_the_reverse() -> (
    None
):
    async def measure(asking: Asking, context: Any) -> int:
        return len(asking.what)

    wire = WireFormat(Lines(), requests=Questions(), replies=Numbers())
    handler = coded(measure, wire.requests, wire.replies)
    frame = wire.requests.encode(Asking(7, "ahoy"))
    answer: Any = await handler.service(frame, None)  # type: ignore[arg-type]
    assert wire.replies.decode(answer) == 4
    assert handler.reject is not None
    assert handler.reject(DecodeError("x"), b"x") == b"0"


def test_a_refusal_is_the_business_of_the_codec_of_replies() -> None:
    async def never(request: Any, context: Any) -> Any:
        raise AssertionError

    assert coded(never, Numbers(), Octets()).reject is None
    assert coded(never, Octets(), Numbers()).reject is not None


def test_replies_may_leave_in_any_order_where_a_client_can_tell_them_apart() -> None:
    assert WireFormat(Lines(), Questions()).order is Order.IN_ORDER
    assert WireFormat(Lines(), Questions(), matching=BY_ID).order is Order.ANY
    in_order = WireFormat(Lines(), Questions(), matching=BY_ID, order=Order.IN_ORDER)
    assert in_order.order is Order.IN_ORDER


def test_a_wire_format_is_a_value() -> None:
    framing, codec = Lines(), Questions()
    first = WireFormat(framing, codec, matching=BY_ID)
    assert first == WireFormat(framing, codec, codec, matching=BY_ID, order=Order.ANY)
    assert "matching=ById(" in repr(first)
    with pytest.raises(AttributeError):
        first.order = Order.ANY  # type: ignore[misc]


def is_end(reply: Asking) -> bool:
    return reply.what == "end"


def test_a_request_for_one_reply_refuses_formats_of_many_by_name() -> None:
    check_one_reply(WireFormat(Lines(), Questions()))
    check_one_reply(WireFormat(Lines(), Questions(), matching=BY_ID))
    with pytest.raises(UsageError, match="tells the last of them by is_end"):
        check_one_reply(WireFormat(Lines(), Questions(), last=is_end))
    with pytest.raises(UsageError, match=r"any order.*give the wire format matching=ById\("):
        check_one_reply(WireFormat(Lines(), Questions(), order=Order.ANY))


# -- whose a reply is ----------------------------------------------------------------------------


def test_replies_in_order_go_to_the_oldest_waiting_request() -> None:
    matcher = InOrder().new()
    _, second, _ = [matcher.ask(token.upper(), token) for token in "abc"]
    matcher.give_up(second)
    got = [matcher.take(number) for number in range(4)]
    assert [asked and (asked.token, asked.is_given_up) for asked in got] == [
        ("a", False),
        ("b", True),
        ("c", False),
        None,
    ]


def test_the_client_chooses_the_identifier_and_the_reply_repeats_it() -> None:
    matcher = BY_ID.new()
    first, second = (matcher.ask(Asking(0, what), what) for what in ("x", "y"))
    assert (first.request, second.request) == (Asking(1, "x"), Asking(2, "y"))
    assert matcher.take(Asking(2, "reply")) is second
    assert second.is_answered
    assert matcher.take(Asking(2, "again")) is None
    assert matcher.take(Asking(9, "nobody's")) is None
    assert matcher.end() == [first]
    assert len(matcher) == 0


def test_a_late_reply_is_never_delivered_to_another_request() -> None:
    matcher = BY_ID.new()
    late = matcher.ask(Asking(0, "slow"), None)
    matcher.give_up(late)
    others = [matcher.ask(Asking(0, "quick"), None) for _ in range(2)]
    assert late.request.ident not in {asked.request.ident for asked in others}
    assert matcher.take(Asking(late.request.ident, "at last")) is late
    assert late.is_given_up


def test_identifiers_are_used_anew_and_run_out_by_name() -> None:
    matcher = BY_ID.new()
    given_up = [matcher.ask(Asking(0, "silent"), None) for _ in range(3)]
    with pytest.raises(UsageError, match="all 3 identifiers are in use; ask fewer at once"):
        matcher.ask(Asking(0, "one more"), None)
    for asked in given_up:
        matcher.give_up(asked)
    assert len(matcher) == 1  # at most half of the range is kept from use for late replies
    assert len({matcher.ask(Asking(0, "x"), None).request.ident for _ in range(3)}) == 3


def test_a_reply_with_the_identifier_and_another_subject_is_refused_and_the_request_waits() -> None:
    matching: ById[Asking, Asking] = ById(
        get=BY_ID.get, put=BY_ID.put, range=range(1), fits=lambda q, r: r.what.startswith(q.what)
    )
    matcher = matching.new()
    asked = matcher.ask(Asking(0, "time"), None)
    with pytest.raises(DecodeError, match="identifier 0 answers something else"):
        matcher.take(Asking(0, "weather: rain"))
    assert matcher.take(Asking(0, "time: noon")) is asked


def test_identifiers_can_be_unguessable() -> None:
    matching: ById[Asking, Asking] = ById(get=BY_ID.get, put=BY_ID.put, range=range(1 << 64))
    chosen = iter([(1 << 64) - 1, 5, 5, 6])
    matcher = matching.new(choose=lambda size: next(chosen) % size)
    idents = [matcher.ask(Asking(0, ""), None).request.ident for _ in range(3)]
    assert idents == [(1 << 64) - 1, 5, 6]


@pytest.mark.parametrize("matching", [InOrder(), BY_ID])
def test_a_request_waits_until_the_last_of_its_replies(matching: Any) -> None:
    wire = WireFormat(Lines(), Questions(), matching=matching, last=is_end)
    matcher = wire.matcher()
    asked = matcher.ask(Asking(0, "list"), "token")
    ident = asked.request.ident
    for what in ("a", "b"):
        assert matcher.take(Asking(ident, what)) is asked
        assert not asked.is_answered
    assert matcher.take(Asking(ident, "end")) is asked
    assert asked.is_answered
    assert matcher.take(Asking(ident, "more")) is None


def test_a_custom_matching_is_accepted() -> None:
    class LastAskedFirst:
        def new(self, last: Any = None, choose: Any = None) -> Any:
            return "matcher"

    wire: Any = WireFormat(Lines(), Octets(), matching=LastAskedFirst())
    assert wire.matcher() == "matcher"
    framing: Framing = wire.framing
    assert framing.frame(b"x") == b"x\n"


class Struct(msgspec.Struct):
    ident: int
    what: str


class Frozen(msgspec.Struct, frozen=True):
    ident: int
    what: str


@dataclass(frozen=True)
class Value:
    ident: int
    what: str


@dataclass
class Plain:
    ident: int
    what: str


MESSAGES = [kind(0, "x") for kind in (Asking, Struct, Frozen, Value, Plain)]


@pytest.mark.parametrize("message", [*MESSAGES, {"ident": 0, "what": "x"}, {"what": "x"}], ids=repr)
def test_an_identifier_may_be_a_field_of_any_kind_of_message(message: Any) -> None:
    matching = ById.field("ident", range(7, 9))
    assert matching == ById.field("ident", range(7, 9))
    before = repr(message)
    matcher = matching.new()
    asked = matcher.ask(message, None)
    assert repr(message) == before
    assert type(asked.request) is type(message)
    assert "x" in repr(asked.request)
    assert "7" in repr(asked.request)
    assert matcher.take(asked.request) is asked


# -- the law -------------------------------------------------------------------------------------


class Told(Questions):
    def reject(self, error: Exception, frame: bytes) -> bytes:
        ident = frame.partition(b" ")[0]
        return b"%d no" % (int(ident) if ident.isdigit() else 0)


ASKED = [Asking(0, "a"), Asking(0, "b"), Asking(0, "")]


def reply_to(asking: Asking) -> Asking:
    return Asking(asking.ident, asking.what.upper())


def test_a_wire_format_that_both_sides_understand_obeys_the_law() -> None:
    check_wire_format(WireFormat(Lines(), Questions(), Told(), matching=BY_ID), ASKED, reply_to)
    check_wire_format(WireFormat(Lines(), Questions(), Numbers()), ASKED, lambda asking: 7)
    check_wire_format(
        WireFormat(LengthPrefixed(2), Packed("!H"), Packed("!I")), [1, 2], lambda number: number**2
    )


class RefusesTheFirst(Told):
    def reject(self, error: Exception, frame: bytes) -> bytes:
        return b"1 no"


class RefusesInOtherWords(Told):
    def reject(self, error: Exception, frame: bytes) -> bytes:
        return b"no"


BREAKING: list[tuple[Any, Any, str]] = [
    (
        WireFormat(Lines(), Questions(), matching=ById(get=BY_ID.get, put=lambda q, i: q,
                   range=BY_ID.range)),
        reply_to,
        "is taken for no request's",
    ),
    (
        WireFormat(Lines(), Questions(), matching=BY_ID),
        lambda asking: Asking(1, "x"),
        r"answers Asking\(ident=3, what=''\) and is taken for Asking\(ident=1",
    ),
    (
        WireFormat(Lines(), Questions(), RefusesTheFirst(), matching=BY_ID),
        reply_to,
        "b'1 no' answers Asking.ident=3",
    ),
    (
        WireFormat(Lines(), Questions(), RefusesInOtherWords(), matching=BY_ID),
        reply_to,
        "with b'no', which it cannot decode: no identifier",
    ),
    (
        WireFormat(Lines(max_length_bytes=3), Questions(), matching=BY_ID),
        lambda asking: Asking(asking.ident, "much longer"),
        "cannot carry a message",
    ),
    (
        WireFormat(Lines(), Questions(), matching=ById(get=BY_ID.get, put=BY_ID.put,
                   range=BY_ID.range, fits=lambda q, r: q.what == r.what)),
        reply_to,
        "does not fit Asking.*answers something else",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("wire", "service", "why"), BREAKING)
def test_a_wire_format_that_breaks_the_law_is_caught(wire: Any, service: Any, why: str) -> None:
    with pytest.raises(LawBroken, match=why):
        check_wire_format(wire, ASKED, service)
