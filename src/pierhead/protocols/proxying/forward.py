"""The endpoint that passes on what arrives: connections to streams, datagrams to datagrams."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Unpack

from pierhead.client.balance_options import BalanceLimits, BalanceOptions
from pierhead.client.policies import Policy, policy_of
from pierhead.errors import UsageError
from pierhead.limits import Limit
from pierhead.metrics import Metrics
from pierhead.protocols.proxying.datagrams import conversing
from pierhead.protocols.proxying.relay import Relay
from pierhead.protocols.proxying.targets import Target, Targets
from pierhead.server.connection import ConnectionScope
from pierhead.server.endpoint import Endpoint, StreamHandler
from pierhead.server.makes_endpoint import makes_endpoint

__all__ = ["LIMITS", "forward"]

CONNECT_TIMEOUT = Limit(
    name="connect_timeout",
    default=5.0,
    minimum=0.001,
    maximum=3600.0,
    unit="s",
    meaning="For connecting to one upstream, before the next is tried.",
    source="HAProxy's timeout connect, 5 s in its examples",
    metric="upstream_failed_total{reason=connect}",
    effect="at construction",
)

LIMITS = (CONNECT_TIMEOUT,)

#: Longer than people are silent; NATs remember a connection for longer.
_IDLE_S = 600.0
#: RFC 4787 §4.3: for how long a NAT should remember the peers of datagrams, 5 min.
_DATAGRAM_IDLE_S = 300.0
#: An upstream may be busy for a while before it reads on.
_WRITE_S = 60.0


@makes_endpoint
def forward(
    *upstreams: str,
    policy: str | Policy = "round-robin",
    check: bool = False,
    splice: bool = True,
    connect_timeout: float = CONNECT_TIMEOUT.default,
    metrics: Metrics | None = None,
    **limits: Unpack[BalanceLimits],
) -> Endpoint:
    """Return an endpoint that passes on what arrives, octet for octet.

    Each connection goes to one upstream for as long as it lasts: its two directions end separately,
    a slow side stops the other, and a reset resets the other. An upstream that cannot be reached
    is passed over, before anything was read from the client. Each peer that sends datagrams has a
    socket of its own to one upstream, until it has been silent for ``idle_timeout``.

    When the server stops, connections go on until they end, or ``drain_timeout`` has passed. After
    `Server.replace` they stay with their upstream; new ones go to the new.

    Args:
        upstreams: addresses of streams, or of datagrams (``udp:``, ``unixgram:``, ``memgram:``);
            with both, connections go to the streams and datagrams to the others. ``proxy+`` in
            front of a stream tells it who the client is, in a PROXY header of version 2.
        policy: ``round-robin``, ``least-busy``, ``fastest`` to connect, ``rendezvous`` by peer; or
            one of `pierhead.client.policies`.
        check: whether to connect to every upstream now and then, to find out whether it is there.
        splice: whether the system moves octets from socket to socket by itself, where it can.
        connect_timeout: for connecting to one upstream, in seconds.
        metrics: where to count ``upstream_…{upstream=…}``; None for a registry of its own.
        limits: see `BalanceLimits`.

    Example:
        >>> from pierhead.protocols import proxying
        >>> endpoint = proxying.forward("unix:/run/a.sock", "unix:/run/b.sock")
    """
    targets = [Target(address) for address in upstreams]
    if not targets:
        raise UsageError("there is nothing to forward to; give one address or more")
    registry, chooses, options = metrics or Metrics(), policy_of(policy), BalanceOptions.of(limits)
    seconds = CONNECT_TIMEOUT.check(connect_timeout)

    def of(is_datagram: bool) -> Targets | None:
        chosen = [one for one in targets if one.is_datagram is is_datagram]
        if not chosen:
            return None
        return Targets(
            chosen,
            chooses,
            options,
            connect_timeout_s=seconds,
            is_checked=check and not is_datagram,
            splices=splice,
            metrics=registry,
        )

    streams, datagrams = of(False), of(True)
    return Endpoint(
        name="forward",
        stream=None if streams is None else _Relays(streams),
        datagram=None if datagrams is None else conversing(datagrams),
        short_form=tuple(
            scheme for scheme, found in (("tcp", streams), ("udp", datagrams)) if found is not None
        ),
        options={
            "idle_timeout": _DATAGRAM_IDLE_S if streams is None else _IDLE_S,
            "write_timeout": _WRITE_S,
        },
        lifespan=lambda: _all(streams, datagrams),
    )


@asynccontextmanager
async def _all(*targets: Targets | None) -> AsyncIterator[None]:
    async with AsyncExitStack() as entered:
        for one in targets:
            if one is not None:
                await entered.enter_async_context(one)
        yield


@dataclass(frozen=True, slots=True)
class _Relays:
    """Creates the object that relays a connection."""

    targets: Targets

    def __call__(self, scope: ConnectionScope) -> Relay:
        return Relay(scope, self.targets)

    @property
    def handler(self) -> Any:
        """Nothing answers frames: open connections stay with their upstreams."""
        return None

    def goes_on_from(self, before: StreamHandler) -> bool:
        """Return whether the connections of another handler may stay open."""
        return isinstance(before, _Relays)
