"""NOTIFY goes out at each change, again if it is not answered, and once for many changes."""

from __future__ import annotations

import asyncio
import logging

import pytest
from tests.unit.protocols.dns.transfer.copies import service, zone

from pierhead import Server
from pierhead.errors import UsageError
from pierhead.protocols import dns
from pierhead.protocols.dns.services.zone_service import ZoneService
from pierhead.protocols.dns.transfer.notify import Notifier
from pierhead.protocols.dns.wire.message import AA
from pierhead.protocols.dns.zone.zone import Zones


class Secondary:
    """What takes NOTIFY, after it has dropped some; it says when it has seen so many."""

    opcodes = frozenset({dns.OPCODE_NOTIFY})

    def __init__(self, drops: int = 0, rcode: int = dns.NOERROR) -> None:
        self.seen: list[dns.Query] = []
        self._drops = drops
        self._rcode = rcode
        self._more = asyncio.Event()

    async def __call__(self, query, context):
        self.seen.append(query)
        self._more.set()
        if len(self.seen) <= self._drops:
            return None
        return query.reply(rcode=self._rcode)

    async def saw(self, count: int) -> None:
        async with asyncio.timeout(20):
            while len(self.seen) < count:
                self._more.clear()
                await self._more.wait()


def serve(secondary: Secondary) -> Server:
    return Server(dns.serve(dns.stack(secondary)), "udp:127.0.0.1:0")


def primary(notifier: Notifier) -> ZoneService:
    return ZoneService(Zones([zone()]), notifier=notifier)


async def change(served: ZoneService, number: int) -> None:
    async with served.zone("example.").edit() as edit:
        edit.replace("www", dns.A(f"192.0.2.{number}"))


async def finished(notifier: Notifier) -> None:
    async with asyncio.timeout(20):
        while notifier.is_busy:
            await asyncio.sleep(0.005)


@pytest.mark.rfc("1996", "3.7")
@pytest.mark.rfc("1996", "3.8")
async def test_secondaries_are_told_at_the_start_and_at_each_change(caplog):
    caplog.set_level(logging.INFO, "pierhead.dns.notify")
    secondary = Secondary()
    async with serve(secondary) as server:
        notifier = Notifier(server.addresses)
        served = primary(notifier)
        async with served.lifespan():
            await secondary.saw(1)
            await finished(notifier)
            await change(served, 1)
            await secondary.saw(2)
            await finished(notifier)
    first, second = secondary.seen
    assert (first.name, first.rtype, first.opcode) == ("example.", "SOA", dns.OPCODE_NOTIFY)
    assert first.flags & AA
    assert second.name == "example."
    assert "zone example. serial 2: " in caplog.text
    assert "says NOERROR" in caplog.text


@pytest.mark.rfc("1996", "3.6")
async def test_what_is_not_answered_is_sent_again():
    secondary = Secondary(drops=2)
    async with serve(secondary) as server:
        notifier = Notifier(server.addresses, timeout=0.02)
        async with notifier:
            notifier.changed(zone())
            await secondary.saw(3)
            await finished(notifier)
    assert len(secondary.seen) == 3


@pytest.mark.rfc("1996", "3.6")
async def test_it_is_given_up_after_some_attempts(caplog):
    secondary = Secondary(drops=99)
    async with serve(secondary) as server:
        notifier = Notifier(server.addresses, attempts=2, timeout=0.02)
        async with notifier:
            notifier.changed(zone())
            await finished(notifier)
    assert len(secondary.seen) == 2
    assert "was not told: " in caplog.text


async def test_a_refusal_is_an_answer(caplog):
    secondary = Secondary(rcode=dns.NOTAUTH)
    async with serve(secondary) as server:
        notifier = Notifier(server.addresses, timeout=0.02)
        async with notifier:
            notifier.changed(zone())
            await secondary.saw(1)
            await finished(notifier)
    assert len(secondary.seen) == 1
    assert "says NOTAUTH" in caplog.text


async def test_changes_that_come_meanwhile_are_told_once():
    secondary = Secondary()
    async with serve(secondary) as server:
        notifier = Notifier(server.addresses)
        async with notifier:
            for _ in range(20):
                notifier.changed(zone())
            await secondary.saw(1)
            await finished(notifier)
    assert len(secondary.seen) == 1


async def test_outside_of_its_block_nobody_is_told():
    secondary = Secondary()
    async with serve(secondary) as server:
        notifier = Notifier(server.addresses)
        notifier.changed(zone())
        assert not notifier.is_busy
    assert secondary.seen == []


async def test_what_is_being_told_ends_with_the_block():
    notifier = Notifier(["127.0.0.1:1"], timeout=3600)
    async with notifier:
        notifier.changed(zone())
        assert notifier.is_busy
    assert not notifier.is_busy


def test_mistakes_are_said():
    with pytest.raises(UsageError, match=r"expected a list; write \['::1'\]"):
        Notifier("::1")
    Notifier(["127.0.0.1:53"])
    with pytest.raises(UsageError, match="notify_attempts is 0"):
        Notifier(["127.0.0.1:53"], attempts=0)
    assert service()
