"""Where a relay leads: addresses, a policy, their health, and the pipes that all relays share."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from pierhead.address import ListenSpec
from pierhead.client.balance_options import BalanceOptions
from pierhead.client.dial import dial_stream
from pierhead.client.health_checks import HealthChecks
from pierhead.client.policies import Hedged, Policy
from pierhead.client.upstream import Upstream
from pierhead.client.upstreams import Upstreams
from pierhead.errors import UsageError
from pierhead.metrics import Metrics
from pierhead.protocols.proxying.splicing import Pipes
from pierhead.service.context import Peer

__all__ = ["Target", "Targets"]

_DATAGRAMS = ("udp", "unixgram", "memgram")


@dataclass(frozen=True, slots=True)
class Target:
    """One address to pass on to.

    Attributes:
        spec: without the wrapper ``proxy+``.
        has_proxy_header: whether a PROXY header comes first.
    """

    spec: ListenSpec
    has_proxy_header: bool

    @classmethod
    def of(cls, address: str) -> Target:
        """Return the target of an address; one with ``proxy+`` is sent a PROXY header first."""
        spec = ListenSpec.parse(address)
        if spec.wrappers[:1] != ("proxy",):
            return cls(spec, False)
        return cls(ListenSpec(spec.wrappers[1:], spec.address, spec.options), True)

    @property
    def is_datagram(self) -> bool:
        """Whether datagrams are passed on to it."""
        return self.spec.address.scheme in _DATAGRAMS


class Targets:
    """The upstreams of a relay; an async context manager that checks them while it is open.

    Raises:
        UsageError: there is none, or the policy cannot be used here.
    """

    def __init__(
        self,
        targets: Sequence[tuple[str, Target]],
        policy: Policy,
        options: BalanceOptions,
        *,
        connect_timeout_s: float,
        is_checked: bool,
        splices: bool,
        metrics: Metrics,
    ) -> None:
        if isinstance(policy, Hedged):
            raise UsageError("octets are sent to one upstream; hedged is for requests")
        self.options = options
        self.connect_timeout_s = connect_timeout_s
        self.splices = splices
        self.pipes = Pipes()
        self.upstreams = Upstreams(targets, policy, options, metrics)
        self._checks = HealthChecks(self.upstreams, self._check) if is_checked else None
        self._users = 0

    def choose(self, peer: Peer, tried: Collection[Upstream[Target]]) -> Upstream[Target]:
        """Return the upstream for a connection of this peer.

        Raises:
            PeerUnavailable: no other is left.
        """
        key = peer.host.encode("utf-8", "backslashreplace")
        return self.upstreams.choose(key, asyncio.get_running_loop().time(), tried)

    def reached(self, chosen: Upstream[Target], began: float) -> None:
        """Note that an upstream has taken a connection."""
        now = asyncio.get_running_loop().time()
        self.upstreams.succeeded(chosen, now, now - began)

    def failed(self, chosen: Upstream[Target], began: float) -> None:
        """Note that an upstream could not be reached."""
        now = asyncio.get_running_loop().time()
        self.upstreams.failed(chosen, now, now - began, "connect", is_certain=True)

    async def _check(self, target: Target) -> None:
        if not target.is_datagram:
            (await dial_stream(target.spec, asyncio.Protocol)).abort()

    async def __aenter__(self) -> Self:
        """Start the checks."""
        self._users += 1
        if self._users == 1 and self._checks is not None:
            self._checks.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the checks, and close what is kept."""
        self._users -= 1
        if self._users:
            return
        if self._checks is not None:
            await self._checks.stop()
        self.upstreams.close()
        self.pipes.close()
