"""NOTIFY: secondaries are told that a zone has changed, so that they need not ask (RFC 1996).

    changed ─▶ one task for each zone and target ─▶ NOTIFY ─▶ answered, or sent again, ever later

A zone that changes while its target is being told is told about again at once, and once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from pierhead.address import ListenSpec
from pierhead.errors import ConnectError, PeerError, TimedOut, UsageError
from pierhead.limits import Limit
from pierhead.protocols.dns.client import Client
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.message import AA
from pierhead.protocols.dns.wire.name import to_text
from pierhead.protocols.dns.wire.rrset import Name
from pierhead.protocols.dns.zone.zone import Zone

__all__ = ["LIMITS", "Notifier"]

ATTEMPTS = Limit(
    name="notify_attempts",
    default=5,
    minimum=1,
    maximum=15,
    unit="messages",
    meaning="How often a secondary is told of one version before it is left to ask by itself.",
    source="RFC 1996 §3.6: 5",
    metric="none: the log says so",
    effect="at construction",
)
TIMEOUT = Limit(
    name="notify_timeout",
    default=5.0,
    minimum=0.01,
    maximum=3600.0,
    unit="s",
    meaning="How long the answer to the first NOTIFY may take; each later one may take twice as "
    "long as the one before.",
    source="RFC 1996 §3.6 suggests 60 s each; five that double from 5 s take as long as three",
    metric="none: the log says so",
    effect="at construction",
)

LIMITS = (ATTEMPTS, TIMEOUT)

_log = logging.getLogger("pierhead.dns.notify")


class Notifier:
    """Tells secondaries about changes while it is entered.

    Args:
        targets: addresses of secondaries; one without a scheme is UDP, one without a port has 53.
        attempts, timeout: see `LIMITS`.
        source: the address to send from, since a secondary takes it from its primary alone.

    Raises:
        UsageError: an address or a number is invalid.
    """

    def __init__(
        self,
        targets: Sequence[str],
        *,
        attempts: int = int(ATTEMPTS.default),
        timeout: float = TIMEOUT.default,
        source: str | None = None,
    ) -> None:
        if isinstance(targets, str):
            raise UsageError(f"notify is {targets!r}, expected a list; write [{targets!r}]")
        self._targets = tuple(ListenSpec.parse(target) for target in targets)
        self._attempts = int(ATTEMPTS.check(attempts))
        self._timeout = TIMEOUT.check(timeout)
        self._source = source
        self._tasks: dict[tuple[Name, ListenSpec], asyncio.Task[None]] = {}
        #: The newest version of which a target is to be told.
        self._newest: dict[tuple[Name, ListenSpec], Zone] = {}
        self._is_open = False

    async def __aenter__(self) -> Notifier:
        self._is_open = True
        return self

    async def __aexit__(self, *_: object) -> None:
        self._is_open = False
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # One that was cancelled before its first step has not done it.
        self._tasks.clear()
        self._newest.clear()

    @property
    def is_busy(self) -> bool:
        """Whether some target is being told."""
        return bool(self._tasks)

    def changed(self, zone: Zone) -> None:
        """Tell every target that a zone has this version now; nothing unless it is entered."""
        if not self._is_open:
            return
        for target in self._targets:
            which = zone.key, target
            self._newest[which] = zone
            if which not in self._tasks:
                self._tasks[which] = asyncio.create_task(self._tell(which))

    async def _tell(self, which: tuple[Name, ListenSpec]) -> None:
        told: Zone | None = None
        try:
            while told is not self._newest[which]:
                told = self._newest[which]
                await self._tell_once(told, which)
        finally:
            self._tasks.pop(which, None)
            self._newest.pop(which, None)

    async def _tell_once(self, zone: Zone, which: tuple[Name, ListenSpec]) -> None:
        """Send messages until one is answered, there have been enough, or there is news."""
        target = which[1]
        name = to_text(zone.origin)
        clock = asyncio.get_running_loop().time
        wait = self._timeout
        reason = ""
        for _ in range(self._attempts):
            until = clock() + wait
            try:
                async with Client(target, attempts=1, timeout=wait, source=self._source) as client:
                    flags = iana.OPCODE_NOTIFY << 11 | AA  # RFC 1996 §3.7, §4.5
                    response = await client.query(name, "SOA", flags=flags, edns=None)
            except (TimedOut, PeerError, ConnectError, OSError) as error:
                reason = str(error)
            else:
                rcode = iana.rcode_text(response.rcode)
                level = logging.INFO if response.rcode == iana.NOERROR else logging.WARNING
                _log.log(level, "zone %s serial %d: %s says %s", name, zone.serial, target, rcode)
                return
            # One that cannot be reached says so at once: it is asked no sooner for that.
            await asyncio.sleep(max(0.0, until - clock()))
            if self._newest[which] is not zone:
                return
            wait *= 2
        _log.warning("zone %s serial %d: %s was not told: %s", name, zone.serial, target, reason)
