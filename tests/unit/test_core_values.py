"""The small values that everything is built on: errors, limits, context, metrics, buffers."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.laws.outcomes import met, shares

import pierhead
from pierhead import Lines, Server, WireFormat, serve
from pierhead.buffer import BufferPool
from pierhead.errors import (
    AddressError,
    ConfigError,
    DecodeError,
    Fault,
    Overloaded,
    ServiceFailed,
    UsageError,
)
from pierhead.failure_log import FailureLog
from pierhead.limits import Limit
from pierhead.metrics import Metrics
from pierhead.protocols.lines.wire import Bytes
from pierhead.service import as_service, is_many, stack
from pierhead.service.admission import Drop, first_verdict
from pierhead.service.coding import coded
from pierhead.service.context import Context, Peer, Transport, Via

SOURCE = Path(pierhead.__file__).parent

VIA = Via(transport=Transport.DATAGRAM, scheme="mem", local="mem:a", listener="mem:a")


# -- the front door ----------------------------------------------------------------------------


def test_every_exported_name_can_be_imported() -> None:
    for name in pierhead.__all__:
        assert getattr(pierhead, name) is not None
    assert set(pierhead.__all__) <= set(dir(pierhead))


def test_the_package_exports_no_other_names() -> None:
    with pytest.raises(AttributeError, match="no attribute 'shout'"):
        _ = pierhead.shout


def test_importing_the_package_imports_none_of_its_parts() -> None:
    code = "import sys, pierhead; print([m for m in sys.modules if m.startswith('pierhead.')])"
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert shown.stdout.strip() == "[]"


PACKAGES = sorted(
    ".".join(path.relative_to(SOURCE.parent).parent.parts)
    for path in SOURCE.rglob("__init__.py")
    if "__all__" in path.read_text(encoding="utf-8")
)


# `pierhead.hosting` exports its modules, each named after a library.
@pytest.mark.parametrize("package", sorted({*PACKAGES} - {"pierhead.hosting"}))
def test_a_package_never_exports_its_own_modules(package: str) -> None:
    imported = importlib.import_module(package)
    exported = imported.__all__
    assert [one for one in exported if isinstance(getattr(imported, one), ModuleType)] == []
    # A name may be that of a file; then the file must be imported before the name is read.
    alike = [one for one in exported if importlib.util.find_spec(f"{package}.{one}")]
    if not alike:
        return
    code = (
        "import importlib, types\n"
        f"package = importlib.import_module({package!r})\n"
        f"for name in {alike}:\n"
        "    importlib.import_module(f'{package.__name__}.{name}')\n"
        f"print([n for n in {alike} if isinstance(getattr(package, n), types.ModuleType)])\n"
    )
    run = [sys.executable, "-c", code]
    shown = subprocess.run(run, capture_output=True, text=True, check=True, timeout=60)
    assert shown.stdout.strip() == "[]"


def test_no_exported_name_is_also_a_module() -> None:
    files = {path.stem for path in SOURCE.glob("*.py")} | {one.name for one in SOURCE.iterdir()}
    assert files & set(pierhead.__all__) == set()


# -- errors ------------------------------------------------------------------------------------


def test_an_address_error_points_at_the_position() -> None:
    error = AddressError("tcp:x", 4, "no port", "write tcp:x:80")
    assert str(error).splitlines() == ["no port", "  tcp:x", "      ^", "  write tcp:x:80"]


def test_an_address_error_shows_an_excerpt_of_a_long_text() -> None:
    lines = str(AddressError("a" * 1000 + "!" + "b" * 1000, 1000, "bad")).splitlines()
    assert len(lines[1]) == 122
    assert lines[1][len(lines[2]) - 1] == "!"


def test_unprintable_characters_are_replaced_and_the_caret_stays_aligned() -> None:
    lines = str(AddressError("a\n\x1b!", 3, "bad")).splitlines()
    assert lines[1] == "  a\ufffd\ufffd!"
    assert lines[2].index("^") == lines[1].index("!")


@pytest.mark.parametrize(
    ("before", "columns"),
    [("é", 1), ("e\u0301", 1), ("日本", 4), ("\uff21", 2), ("\x01\x02", 2), ("\u200b", 1)],
)
def test_carets_align_after_characters_of_any_width(before: str, columns: int) -> None:
    address = str(AddressError(f"{before}!", len(before), "bad")).splitlines()
    fault = str(Fault("a.zone", 1, len(before) + 1, "bad", f"{before}!")).splitlines()
    assert address[2] == fault[2] == f"  {' ' * columns}^"


def test_a_caret_may_point_past_the_end_of_its_line() -> None:
    assert str(Fault("a.zone", 1, 6, "bad", "w A")).splitlines()[2] == "       ^"


def test_a_config_error_shows_every_fault_with_its_line_and_a_caret() -> None:
    error = ConfigError(
        [Fault("a.zone", 3, 5, "bad type", "x 5 Q", "try A"), Fault("b", 0, 0, "?")]
    )
    assert str(error) == "a.zone:3:5: bad type\n  x 5 Q\n      ^\n  try A\nb: ?"


@pytest.mark.parametrize("offset", [None, 7])
def test_a_decode_error_names_its_offset(offset: int | None) -> None:
    assert ("octet 7" in str(DecodeError("bad", offset))) == (offset == 7)


# -- limits ------------------------------------------------------------------------------------

WHOLE = Limit("n", 5, 1, 10, "things", "Things.", "here", "m", "now")
TIME = Limit("t", 5.0, 0.5, 10.0, "s", "Time.", "here", "m", "now")


@given(st.floats(0.5, 10))
def test_a_value_in_range_passes(value: float) -> None:
    assert TIME.check(value) == value


@given(st.one_of(st.floats(max_value=0.49), st.floats(min_value=10.01), st.just(float("nan"))))
def test_a_value_out_of_range_is_refused_with_the_range(value: float) -> None:
    with pytest.raises(UsageError, match=r"expected 0\.5 to 10 s"):
        TIME.check(value)


@pytest.mark.parametrize("value", ["5", None, True, 2.5])
def test_a_fraction_is_refused_for_a_whole_number(value: Any) -> None:
    with pytest.raises(UsageError):
        WHOLE.check(value)


# -- context -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "text", "source"),
    [
        (("192.0.2.1", 53), "192.0.2.1:53", bytes([192, 0, 2, 1])),
        (
            ("2001:db8::1", 53, 0, 0),
            "[2001:db8::1]:53",
            bytes.fromhex("20010db8" + "0" * 22 + "01"),
        ),
        ((3, 5000), "3:5000", b"3"),
        ("client-1", "client-1", b"client-1"),
        ("", "unnamed", b""),
        ("a\x1b]0;b\x07\n", "a\\x1b]0;b\\x07\\n", b"a\x1b]0;b\x07\n"),
        ("a\\b", "a\\\\b", b"a\\b"),
        (("::ffff:192.0.2.1", 53, 0, 0), "192.0.2.1:53", bytes([192, 0, 2, 1])),
        (
            b"\x0a\0\0\x35" + bytes(14) + b"\xff\xff\xc0\0\2\1" + bytes(4),
            "192.0.2.1:53",
            bytes([192, 0, 2, 1]),
        ),
        (b"\1\0/run/\xc3\xa9\xff\n\0", "/run/\\xc3\\xa9\\xff\\n", b"/run/\xc3\xa9\xff\n"),
        (b"\2\0\0\x35\xc0\0\2\1" + bytes(8), "192.0.2.1:53", bytes([192, 0, 2, 1])),
        (
            b"\x0a\0\0\x35" + bytes(4) + bytes.fromhex("fe80" + "0" * 26 + "01") + b"\2\0\0\0",
            "[fe80::1%2]:53",
            bytes.fromhex("fe80" + "0" * 26 + "01"),
        ),
        (b"\1\0/run/a.sock\0\0", "/run/a.sock", b"/run/a.sock"),
        (b"\1\0\0abs\xff", "@abs\\xff", b"\0abs\xff"),
        (b"\1\0", "unnamed", b""),
    ],
)
@pytest.mark.skipif(sys.byteorder != "little", reason="raw addresses are written for this order")
def test_a_peer_is_formatted_whatever_form_it_came_in(raw: Any, text: str, source: bytes) -> None:
    peer = Peer(raw)
    assert str(peer) == text
    assert peer.source == source
    assert Peer(raw) == peer
    assert hash(Peer(raw)) == hash(peer)


@pytest.mark.parametrize(
    ("raw", "octets"),
    [
        (b"\2\0\0\x35\xc0\0\2\1" + bytes(8), b"\xc0\0\2\1"),
        (b"\x0a\0\0\x35" + bytes(4) + b"\xfe\x80" + bytes(18), b"\xfe\x80" + bytes(14)),
        (b"\x0a\0\0\x35" + bytes(14) + b"\xff\xff\xc0\0\2\1" + bytes(4), b"\xc0\0\2\1"),
        (b"\1\0four", None),
        (("192.0.2.1", 53), b"\xc0\0\2\1"),
        (("::ffff:192.0.2.1", 53, 0, 0), b"\xc0\0\2\1"),
        (("2001:db8::", 53, 0, 0), b"\x20\x01\x0d\xb8" + bytes(12)),
        ((1000, 5000), None),  # vsock
        ("four", None),
        ("x" * 16, None),
    ],
)
@pytest.mark.skipif(sys.byteorder != "little", reason="raw addresses are written for this order")
def test_the_ip_address_of_a_peer_is_its_octets(raw: Any, octets: bytes | None) -> None:
    assert Peer(raw).ip == octets


def test_a_changed_context_is_a_copy() -> None:
    first = Context(Peer("a"), 1.0, VIA)
    second = first.having("fact").having(3)
    assert (first.get(str), second.get(str), second.get(int)) == (None, "fact", 3)
    assert second.having("newer").get(str) == "newer"
    assert second.peer is first.peer
    with pytest.raises(AttributeError):
        first.answer = "b"  # type: ignore[attr-defined]


# -- services ----------------------------------------------------------------------------------


async def one(request: str, context: Any) -> str:
    return request


async def many(request: str, context: Any) -> AsyncIterator[str]:
    yield request


class Callable_:
    async def __call__(self, request: str, context: Any) -> AsyncIterator[str]:
        yield request


@pytest.mark.parametrize("form", [many, Callable_(), functools.partial(many)])
async def test_an_async_generator_becomes_a_service_of_many_replies(form: Any) -> None:
    reply = await as_service(form)("a", None)  # type: ignore[arg-type]
    assert is_many(reply)
    assert [item async for item in reply] == ["a"]


def test_as_service_returns_a_service_unchanged() -> None:
    assert as_service(one) is one


@pytest.mark.parametrize("wrong", [3, None, "shout"])
def test_an_object_that_is_not_callable_is_not_a_service(wrong: Any) -> None:
    with pytest.raises(UsageError, match="async function"):
        as_service(wrong)


@pytest.mark.parametrize("wrong", [Callable_, functools.partial(Callable_), dict, AsyncIterator])
def test_a_class_is_not_a_service(wrong: Any) -> None:
    with pytest.raises(UsageError, match="is a class; write a service with 'async def'"):
        as_service(wrong)


def test_a_function_of_one_argument_is_not_a_service() -> None:
    async def one_argument(line: str) -> str:
        return line

    with pytest.raises(UsageError, match=r"one_argument does not take \(request, context\)"):
        as_service(one_argument)  # type: ignore[arg-type]


def test_a_service_in_place_of_a_layer_is_refused() -> None:
    with pytest.raises(UsageError, match="stack takes the service, then layers"):
        stack(one, one)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("framing", "codec", "message"),
    [
        (Lines, Bytes(), "Lines is a class"),
        (Lines(), Bytes, "Bytes is a class"),
        (Bytes(), Lines(), r"Bytes is not a framing: it has no new\(\)"),
    ],
)
def test_a_wire_format_is_a_framing_then_a_codec(framing: Any, codec: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        WireFormat(framing, codec)


def test_an_object_that_is_not_an_endpoint_cannot_be_served() -> None:
    with pytest.raises(UsageError, match=r"one is not an endpoint; .*lines\.serve\(service\)"):
        Server(one, "mem:a")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="a wire format is Bytes"):
        serve(one, Bytes())  # type: ignore[arg-type]


def test_a_plain_generator_is_not_a_service() -> None:
    def generator(request: str, context: Any) -> Any:
        yield request

    with pytest.raises(UsageError, match="async def"):
        as_service(generator)


async def test_the_first_layer_listed_is_the_outermost() -> None:
    def layer(name: str) -> Any:
        def wrap(service: Any) -> Any:
            async def inner(request: str, context: Any) -> str:
                return f"{name}({await service(request, context)})"

            return inner

        return wrap

    assert await stack(one, layer("a"), layer("b"))("x", None) == "a(b(x))"  # type: ignore[arg-type]


# -- coded -------------------------------------------------------------------------------------


class Numbers:
    def decode(self, frame: bytes) -> int:
        if not frame.isdigit():
            raise DecodeError("no number")
        return int(frame)

    def encode(self, reply: int) -> bytes:
        return b"%d" % reply

    def reject(self, error: Exception, frame: bytes) -> bytes:
        return b"?"


async def test_a_service_of_messages_becomes_a_handler_of_frames() -> None:
    async def double(number: int, context: Any) -> int | None:
        return 2 * number if number else None

    handler = coded(double, Numbers())
    assert await handler.service(b"21", None) == b"42"  # type: ignore[arg-type]
    assert await handler.service(b"0", None) is None  # type: ignore[arg-type]
    with pytest.raises(DecodeError):
        await handler.service(b"x", None)  # type: ignore[arg-type]
    assert handler.reject is not None
    assert handler.reject(DecodeError("no"), b"x") == b"?"


async def test_an_error_about_another_peer_that_a_service_lets_through_is_its_own_failure() -> None:
    async def forwards(number: int, context: Any) -> int:
        raise DecodeError("upstream sent garbage")

    with pytest.raises(ServiceFailed, match="DecodeError: upstream sent garbage"):
        await coded(forwards, Numbers()).service(b"1", None)  # type: ignore[arg-type]


async def test_many_messages_become_many_frames_and_the_source_is_closed() -> None:
    closed = False

    async def count(number: int, context: Any) -> AsyncIterator[int]:
        nonlocal closed
        try:
            for n in range(number):
                yield n
        finally:
            closed = True

    frames: Any = await coded(count, Numbers()).service(b"3", None)  # type: ignore[arg-type]
    assert await anext(frames) == b"0"
    await frames.aclose()
    assert closed


# -- metrics, admission, buffers, log ----------------------------------------------------------


def test_a_metric_is_identified_by_its_name_and_labels() -> None:
    metrics = Metrics()
    metrics.counter("n_total", listener="a", reason="x").add()
    metrics.counter("n_total", reason="x", listener="a").add(2)
    metrics.counter("n_total", listener='b"\n', reason="y").add()
    metrics.gauge("open").add(-1)
    assert metrics.snapshot() == {
        'n_total{listener="a",reason="x"}': 3,
        'n_total{listener="b\\"\\n",reason="y"}': 1,
        "open": -1,
    }
    assert metrics.total("n_total") == 4
    assert metrics.total("n_total", reason="x") == 3


def test_admission_checks_run_in_order_and_the_first_verdict_wins() -> None:
    asked: list[str] = []

    def check(name: str, verdict: Drop | None) -> Any:
        def ask(frame: bytes, peer: Peer, via: Via) -> Drop | None:
            asked.append(name)
            return verdict

        return ask

    together = first_verdict([check("a", None), check("b", Drop("b")), check("c", Drop("c"))])
    assert together is not None
    assert together(b"", Peer("x"), VIA) == Drop("b")
    assert asked == ["a", "b"]
    assert first_verdict([]) is None


@shares(lent=0.2, refused=0.02)
@given(st.lists(st.tuples(st.sampled_from([16, 32, 100]), st.booleans()), max_size=60))
def test_a_pool_never_grows_past_its_bound(steps: list[tuple[int, bool]]) -> None:
    pool = BufferPool(max_bytes=150)
    lent: list[bytearray] = []
    for size, give_back in steps:
        if give_back and lent:
            pool.release(lent.pop())
            continue
        try:
            buffer = pool.acquire(size)
        except Overloaded:
            met("refused")
            assert sum(map(len, lent)) + size > 150
        else:
            assert len(buffer) == size
            assert not any(buffer is other for other in lent)
            met("lent")
            lent.append(buffer)
        assert pool.lent_bytes == sum(map(len, lent))
        assert pool.lent_bytes + pool.kept_bytes <= 150


def test_a_pool_lends_a_released_buffer_again() -> None:
    pool = BufferPool()
    buffer = pool.acquire(64)
    pool.release(buffer)
    assert pool.acquire(64) is buffer


def test_a_pool_without_room_is_refused() -> None:
    with pytest.raises(UsageError):
        BufferPool(0)


def test_failures_are_logged_once_a_second_with_the_number_omitted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Clock:
        now = 0.0

        def monotonic(self) -> float:
            return self.now

        def wall(self) -> float:
            return self.now

    clock = Clock()
    log = FailureLog(clock)
    for _ in range(3):
        log.report("here", ValueError("x" * 500 + "\x1b"))
    clock.now = 1.0
    log.report("here", ValueError("y"))
    errors = [r.getMessage() for r in caplog.records if r.levelname == "ERROR"]
    assert len(errors) == 2
    assert len(errors[0]) < 300
    assert "(2 more since the last line)" in errors[1]
