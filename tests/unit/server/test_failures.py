"""Every failure is reported to ``on_error`` and logged at DEBUG."""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import tracemalloc
from typing import Any

import pytest
from fakes import FakeDatagramListener, HandClock, settle  # type: ignore[import-not-found]

from pierhead import Lines, Server, WireFormat, serve
from pierhead.client.dial import dial_datagram
from pierhead.errors import DecodeError, Overloaded, RequestLost
from pierhead.failure_log import FailureLog, Where
from pierhead.net.memory import connect_memory
from pierhead.protocols import lines
from pierhead.protocols.lines.wire import Text
from pierhead.service.admission import allow


class Heard:
    """Records the calls of ``on_error``."""

    def __init__(self) -> None:
        self.errors: list[tuple[BaseException, Where]] = []

    def __call__(self, error: BaseException, where: Where) -> None:
        self.errors.append((error, where))

    @property
    def stages(self) -> list[str]:
        return [str(where) for _, where in self.errors]


class Quiet(asyncio.Protocol):
    def connection_made(self, transport: Any) -> None:
        self.transport = transport


def connect(name: str) -> Quiet:
    client = Quiet()
    connect_memory(name, client, None)
    return client


async def until(condition: Any) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.001)


async def upper(line: str, context: Any) -> str:
    if line == "fail":
        raise ValueError("no such thing")
    if line == "full":
        raise Overloaded("seats")
    return line.upper()


@pytest.mark.parametrize(
    ("sent", "stage", "error"),
    [
        (b"fail\n", "service", ValueError),
        (b"full\n", "service", Overloaded),
        (b"\xff\n", "decode", DecodeError),
        (b"x" * 200, "framing", DecodeError),
    ],
)
async def test_each_failure_of_a_request_is_reported_and_logged(
    sent: bytes, stage: str, error: type, caplog: Any
) -> None:
    caplog.set_level(logging.DEBUG, "pierhead.server")
    heard = Heard()
    endpoint = lines.serve(upper, max_length_bytes=100)
    async with Server(endpoint, "mem:a?name=public", on_error=heard) as server:
        client = connect("a")
        client.transport.write(sent)
        await until(lambda: heard.errors)
        ((found, where),) = heard.errors
        assert isinstance(found, error) or stage == "framing"
        assert (where, where.listener) == (stage, "public")
        assert str(where.peer) == client.transport.get_extra_info("sockname")
        assert server.metrics.total("connections_accepted_total") == 1
    assert any(type(found).__name__ in record.getMessage() for record in caplog.records)


async def test_a_failed_datagram_is_reported_with_its_peer() -> None:
    heard = Heard()
    async with Server(lines.serve(upper), "memgram:a", on_error=heard):
        client = await dial_datagram("memgram:a", source="memgram:me")
        client.send(b"\xff")
        await until(lambda: heard.errors)
        ((_, where),) = heard.errors
        assert (where, str(where.peer)) == ("decode", "me")
        client.close()


async def test_a_failed_handshake_is_reported() -> None:
    heard = Heard()
    async with Server(lines.serve(upper), "proxy+mem:a", on_error=heard):
        connect("a").transport.write(b"no header, and no such thing as one either\r\n")
        await until(lambda: heard.errors)
    assert heard.stages == ["handshake"]


async def test_a_handshake_timeout_is_reported() -> None:
    heard = Heard()
    endpoint, address = lines.serve(upper), "proxy+mem:a?proxy.timeout=10ms"
    async with Server(endpoint, address, on_error=heard):
        connect("a")
        await until(lambda: heard.errors)
    ((error, where),) = heard.errors
    assert where == "handshake"
    assert str(error)


async def test_an_accept_error_is_reported() -> None:
    heard = Heard()

    class Listener(FakeDatagramListener):  # type: ignore[misc]
        def receive_batch(self, limit: int) -> Any:
            raise OSError(errno.ENOBUFS, "No buffer space available")

    listener = Listener("memgram:own")
    async with Server(lines.serve(upper), listener, on_error=heard):
        assert listener.on_readable is not None
        listener.on_readable()
    assert heard.stages == ["accept"]


async def test_replies_that_the_system_refuses_are_reported() -> None:
    heard = Heard()
    listener = FakeDatagramListener("memgram:own")
    listener.refuse[b"A"] = errno.EMSGSIZE
    async with Server(lines.serve(upper), listener, on_error=heard):
        listener.arrive(b"a", sender="somebody")
        await settle()
    ((error, where),) = heard.errors
    assert (where, str(where.peer)) == ("write", "somebody")
    assert isinstance(error, OSError)
    assert error.errno == errno.EMSGSIZE


async def test_a_write_timeout_is_reported_and_so_are_the_lost_requests() -> None:
    heard = Heard()

    async def much(line: str, context: Any) -> str:
        return "x" * 60_000

    endpoint = lines.serve(much)
    async with Server(endpoint, "mem:a", on_error=heard, write_timeout=0.05) as server:
        client = connect("a")
        client.transport.pause_reading()
        client.transport.write(b"a\n" * 100)
        await until(lambda: server.metrics.total("connections_closed_total", reason="write"))
    assert heard.stages[0] == "write"
    assert set(heard.stages[1:]) == {"lost"}
    lost = [error for error, where in heard.errors if where == "lost"]
    assert all(isinstance(error, RequestLost) and error.reason == "write" for error in lost)
    assert len(lost) == server.lost.count


async def test_an_admission_check_that_raises_is_reported() -> None:
    heard = Heard()

    class Faulty:
        def __call__(self, frame: bytes, peer: Any, via: Any) -> None:
            raise LookupError("a mistake")

    endpoint = serve(upper, WireFormat(Lines(), Text()), admission=[Faulty(), allow("name:")])
    async with Server(endpoint, "memgram:a", on_error=heard) as server:
        client = await dial_datagram("memgram:a")
        client.send(b"a")
        await until(lambda: heard.errors)
        assert server.metrics.total("dropped_total", reason="admission_error") == 1
        client.close()
    assert heard.stages == ["admission"]


async def test_an_on_error_that_raises_has_no_other_effect_and_is_not_called_again(
    caplog: Any,
) -> None:
    called = 0

    def broken(error: BaseException, where: Where) -> None:
        nonlocal called
        called += 1
        raise RuntimeError("of my own")

    async with Server(lines.serve(upper), "memgram:a", on_error=broken):
        client = await dial_datagram("memgram:a")
        for line in (b"fail", b"fail", b"a"):
            client.send(line)
        assert await client.receive() == b"A"
        client.close()
    assert called == 1
    assert len([r for r in caplog.records if "on_error failed" in r.getMessage()]) == 1


# -- the log -----------------------------------------------------------------------------------


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as found:
        return found


def elsewhere(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as found:
        return found


def test_each_distinct_failure_has_its_own_line(caplog: Any) -> None:
    clock = HandClock()
    log = FailureLog(clock, "a")
    for _ in range(5):
        log.report("a", raised(ValueError("one")))
        log.report("a", raised(KeyError("two")))
        log.report("a", elsewhere(ValueError("three")))
        log.report("b", raised(ValueError("four")))
    shown = [record.getMessage() for record in caplog.records]
    words = ("one", "two", "three", "four")
    assert all(word in line for word, line in zip(words, shown, strict=True))
    clock.now += 1
    log.report("a", raised(ValueError("one")))
    assert "(4 more since the last line)" in caplog.records[-1].getMessage()


def test_text_of_a_peer_does_not_make_a_failure_distinct(caplog: Any) -> None:
    log = FailureLog(HandClock(), "a")
    for number in range(1000):
        log.report("a", raised(ValueError(f"text of a peer {number}")))
    assert len(caplog.records) == 1


def test_a_thousand_distinct_failures_do_not_flood_the_log(caplog: Any) -> None:
    log = FailureLog(HandClock(), "a")
    for number in range(1000):
        log.report(f"{number}", raised(ValueError("one")))
    assert len(caplog.records) == 32


def test_a_thousand_distinct_failures_use_bounded_memory(caplog: Any) -> None:
    caplog.set_level(logging.CRITICAL, "pierhead.server")
    log = FailureLog(HandClock(), "a")
    tracemalloc.start()
    try:
        for number in range(1000):
            log.report("x" * 200 + str(number), raised(ValueError("y" * 10_000)))
        gc.collect()  # the errors of this test are in reference cycles
        assert tracemalloc.get_traced_memory()[0] < 100_000  # as its comment says
    finally:
        tracemalloc.stop()
    assert len(log._seen) == 128


def test_at_debug_nothing_is_omitted(caplog: Any) -> None:
    caplog.set_level(logging.DEBUG)
    log = FailureLog(HandClock(), "a")
    for _ in range(3):
        log.report("a", raised(ValueError("one")))
    levels = [record.levelname for record in caplog.records]
    assert levels == ["ERROR", "DEBUG", "DEBUG", "DEBUG"]  # a traceback, and two omitted
