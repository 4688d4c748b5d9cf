"""Plays a case against our server: in memory, on a clock that only moves when the file says so.

The whole way of a packet is taken, from the listener to the listener. Silence is proved, not
waited for: nothing can come any more when nothing is runnable on the held clock.
"""

from __future__ import annotations

import asyncio

import dns.exception
import dns.message
import dns.rcode
from tests.scenarios.scenario import (
    DEFAULTS,
    Case,
    Closed,
    Expected,
    Octets,
    Passing,
    Question,
    Scenario,
    Sending,
    Silence,
    Step,
)
from tests.scenarios.spelling import hexadecimal, spell, spell_message, spell_question

from pierhead.client.dial import dial_datagram, dial_stream
from pierhead.protocols import dns as ours
from pierhead.protocols.dns.services.zones import ZoneService
from pierhead.protocols.dns.zone.master_file import parse_zone
from pierhead.protocols.dns.zone.zone import Zones
from pierhead.server.endpoint import Endpoint
from pierhead.server.server import Server
from pierhead.testing import HeldClock, HeldLoop

__all__ = ["Difference", "endpoint", "play"]

#: How long nothing must come for it to be silence; held time, so it costs nothing.
_SILENCE_S = 10.0


class Difference(AssertionError):
    """The server answered otherwise than the file says; shows both, and where."""


def endpoint(scenario: Scenario) -> Endpoint:
    """Return our server with the zones and options of a file."""
    zones = [parse_zone(text.encode(), origin=name) for name, text in scenario.zones.items()]
    options = {**DEFAULTS, **scenario.options}
    service = ZoneService(Zones(zones), minimal=options["minimal-responses"] == "yes")
    return ours.serve(service, max_udp_payload=int(options["max-udp-payload"]))


def play(scenario: Scenario, case: Case) -> None:
    """Play one case.

    Raises:
        Difference: an answer is not the one in the file.
    """
    with asyncio.Runner(loop_factory=HeldLoop) as runner:
        runner.run(_play(scenario, case))


async def _play(scenario: Scenario, case: Case) -> None:
    addresses = "memgram:server", "mem:server"
    async with Server(endpoint(scenario), *addresses, clock=HeldClock.current()):
        client = await _Client.connected()
        try:
            for step in case.steps:
                await _take(client, scenario, step)
        finally:
            client.close()


async def _take(client: _Client, scenario: Scenario, step: Step) -> None:
    if isinstance(step, Passing):
        await HeldClock.current().advance(step.seconds)
        return
    asked = step.query.message() if isinstance(step.query, Question) else None
    frame = step.query if asked is None else asked.to_wire()
    reply = await client.ask(frame, step.tcp)
    expected, found = expected_lines(step), found_lines(step, reply)
    if found != expected:
        raise Difference(_both(f"{scenario.path}:{step.line}", expected, found))
    if asked is not None and reply is not None:
        complain = _fault(asked, step, reply)
        if complain:
            raise Difference(f"{scenario.path}:{step.line}: {complain}\n{hexadecimal(reply)}")


def _both(where: str, expected: list[str], found: list[str]) -> str:
    return "\n".join([f"{where}: expected", *expected, "", "found", *found])


def expected_lines(step: Sending) -> list[str]:
    """Return what the file says must come, as lines."""
    match step.reply:
        case Silence():
            return ["silence:"]
        case Closed():
            return ["closed:"]
        case Octets(data):
            return [f"reply: {hexadecimal(data)}"]
        case Expected() as one:
            sections = [
                one.sections.get(name, []) for name in ("answer", "authority", "additional")
            ]
            return spell(one.status, one.flags, sections, question=one.question, opt=one.opt)


def found_lines(step: Sending, reply: bytes | None) -> list[str]:
    """Return what came, as lines; None is silence, no octets at all the end of a stream."""
    if not reply:
        return ["silence:" if reply is None else "closed:"]
    if not isinstance(step.reply, Expected):
        return [f"reply: {hexadecimal(reply)}"]
    try:
        message = dns.message.from_wire(reply, one_rr_per_rrset=True)
    except dns.exception.DNSException as error:
        return [f"{error!r} in: {hexadecimal(reply)}"]
    question, opt = step.reply.question, step.reply.opt
    return spell_message(
        message,
        question=question is not None,
        opt=opt is not None,
        ede="ede=" in (opt or ""),
    )


def _fault(asked: dns.message.Message, step: Sending, reply: bytes) -> str | None:
    """Return what is wrong with a reply in ways that no file needs to mention."""
    message = dns.message.from_wire(reply)
    assert isinstance(step.reply, Expected)
    if message.id != asked.id or message.opcode() != asked.opcode():
        return "ID or opcode are not those of the query"
    if step.reply.question is None and spell_question(message) != spell_question(asked):
        return f"the question is not that of the query: {spell_question(message)}"
    if step.reply.opt is None and (message.edns >= 0, message.ednsflags) != (
        asked.edns >= 0,
        asked.ednsflags,
    ):
        return "an OPT record goes with one in the query, with its DO bit (RFC 6891 §6.1.1)"
    limit = 65535 if step.tcp else max(512, asked.payload if asked.edns >= 0 else 0)
    if len(reply) > limit:
        return f"{len(reply)} octets where {limit} were allowed"
    return None


class _Client(asyncio.Protocol):
    """One end for datagrams, and one stream for as long as the server keeps it."""

    @classmethod
    async def connected(cls) -> _Client:
        client = cls()
        client._datagrams = await dial_datagram("memgram:server", source="memgram:client")
        return client

    def __init__(self) -> None:
        self._stream: asyncio.Transport | None = None
        self._came = asyncio.Event()
        self._buffer = b""

    async def ask(self, frame: bytes, tcp: bool) -> bytes | None:
        """Return the answer; None for silence, nothing for the end of the stream."""
        try:
            async with asyncio.timeout(_SILENCE_S):
                return await (self._ask_stream(frame) if tcp else self._ask_datagram(frame))
        except TimeoutError:
            return None

    async def _ask_datagram(self, frame: bytes) -> bytes:
        self._datagrams.send(frame)
        return await self._datagrams.receive()

    async def _ask_stream(self, frame: bytes) -> bytes:
        if self._stream is None:
            self._stream = await dial_stream("mem:server", lambda: self, source="mem:client")
        self._stream.write(len(frame).to_bytes(2, "big") + frame)
        while True:
            size = int.from_bytes(self._buffer[:2], "big") + 2
            if len(self._buffer) >= max(size, 2) and self._buffer:
                reply, self._buffer = self._buffer[2:size], self._buffer[size:]
                return reply
            if self._stream is None:
                return b""
            self._came.clear()
            await self._came.wait()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._came.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stream = None
        self._came.set()

    def close(self) -> None:
        self._datagrams.close()
        if self._stream is not None:
            self._stream.close()
