"""Where a relay leads: addresses, a policy, their health, and the pipes that all relays share."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from types import TracebackType
from typing import Self

from pierhead.address import ListenSpec
from pierhead.client.balance_options import BalanceOptions
from pierhead.client.health_checks import InUse
from pierhead.client.policies import Hedged, Policy
from pierhead.client.route import DATAGRAMS, STREAMS, Route
from pierhead.client.upstream import Upstream
from pierhead.client.upstreams import Upstreams
from pierhead.codec.proxy_header import ProxyHeader
from pierhead.errors import UsageError
from pierhead.metrics import Metrics
from pierhead.protocols.proxying.splicing import Pipes
from pierhead.service.context import Peer, Via

__all__ = ["Target", "Targets", "forwarded"]


class Target:
    """One address to pass on to.

    Attributes:
        name: the address as given.
        route: the way there.
        is_datagram: whether datagrams are passed on to it.

    Raises:
        UsageError: the address cannot be dialled.
    """

    def __init__(self, address: str) -> None:
        self.name = address
        spec = ListenSpec.parse(address)
        self.is_datagram = spec.address.scheme in DATAGRAMS
        self.route = Route(spec, schemes=DATAGRAMS if self.is_datagram else STREAMS)


class Targets:
    """The upstreams of a relay; an async context manager that checks them while it is open.

    Raises:
        UsageError: there is none, or the policy cannot be used here.
    """

    def __init__(
        self,
        targets: Sequence[Target],
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
        self.upstreams = Upstreams([(one.name, one) for one in targets], policy, options, metrics)
        self._use = InUse(self.upstreams, self._check if is_checked else None)

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
            (await target.route.stream(asyncio.Protocol)).abort()

    async def __aenter__(self) -> Self:
        """Start the checks."""
        self._use.begin()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the checks, and close what is kept."""
        if await self._use.end():
            self.pipes.close()


def forwarded(peer: Peer, via: Via, *, is_datagram: bool = False) -> ProxyHeader | None:
    """Return what an upstream is told about a client (proxy-protocol.txt §2.2).

    None if there is no IP address to tell. What another proxy has said of it passes on.
    """
    before = via.proxy
    if before is not None and before.source is not None:
        return before
    host, _, port = via.local.partition(":")[2].rpartition(":")
    if peer.ip is None or peer.port is None or not port.isdigit():
        return None
    source, there = peer.host.partition("%")[0], host.strip("[]").partition("%")[0]
    if (":" in source) != (":" in there):
        there = _of_family(source, there)
    return ProxyHeader(
        version=2,
        source=(source, peer.port),
        destination=(there, int(port)),
        is_datagram=is_datagram,
    )


def _of_family(like: str, address: str) -> str:
    """Return an address in the family of another: a socket for IPv6 takes both."""
    if ":" in like:
        return f"::ffff:{address}"
    mapped = address.removeprefix("::ffff:")
    return "127.0.0.1" if ":" in mapped else mapped
