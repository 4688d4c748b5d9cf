"""A service that asks other servers, and forwards what they answer.

    site.mount("corp.example.", dns.forward("192.0.2.1:53", "tls+tcp:192.0.2.2:853"))

    Query ─▶ allowed? ─▶ policy ─▶ Question, with an OPT record and an identifier of this hop
    Reply ◀─ the records of all three sections, in order ◀─ Response

Nothing is cached, and nothing validated.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Unpack

from pierhead.client.balance import Balance
from pierhead.client.balance_options import BalanceLimits
from pierhead.client.policies import Policy
from pierhead.errors import DecodeError, PeerUnavailable, TimedOut, UsageError
from pierhead.limits import Limit
from pierhead.metrics import Metrics
from pierhead.middleware.limit import limit
from pierhead.protocols.dns.response import Response
from pierhead.protocols.dns.services.upstream import DnsUpstream
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.message import Query, Reply
from pierhead.protocols.dns.wire.rcode_error import NotImp, Refused, ServFail
from pierhead.service import stack
from pierhead.service.admission import allow as listed
from pierhead.service.context import Context

__all__ = ["LIMITS", "Forward", "forward"]

TIMEOUT = Limit(
    name="timeout",
    default=1.0,
    minimum=0.01,
    maximum=60.0,
    unit="s",
    meaning="How long one upstream may take for its answer, before the next is asked.",
    source="stub resolvers ask again after 2 to 5 s: two upstreams can be asked before that",
    metric="upstream_failed_total{reason=timeout}",
    effect="at construction",
)

MAX_QUERIES = Limit(
    name="max_queries",
    default=500,
    minimum=1,
    maximum=10_000,
    unit="queries",
    meaning="How many queries may await an upstream at the same time, each with a socket of its "
    "own; a thousand more wait.",
    source="half of the 1024 descriptors that a process usually may open",
    metric="requests_failed_total{reason=limit}",
    effect="at construction",
)

LIMITS = (TIMEOUT, MAX_QUERIES)

#: Who may ask by default: this machine. An open resolver is a weapon (RFC 5358).
_THIS_MACHINE = ("127.0.0.0/8", "::1")
#: RFC 8914 §4.23, §4.24.
_EDE_NO_REACHABLE_AUTHORITY = 22
#: With one upstream alone, an attempt that is lost is repeated.
_ATTEMPTS_OF_ONE = 3


def forward(
    *upstreams: str,
    policy: str | Policy = "fastest",
    allow: Sequence[str] = (),
    check: str | None = ".",
    timeout: float = TIMEOUT.default,
    max_queries: int = int(MAX_QUERIES.default),
    metrics: Metrics | None = None,
    **limits: Unpack[BalanceLimits],
) -> Forward:
    """Return a service that forwards each query to one of these servers.

    The answer has the records of all three sections, in order, with their TTLs and data. OPT record
    and identifier are made for each hop: EDNS options are not forwarded, except the reasons of RFC
    8914 in answers. Every query over UDP leaves from a new port that the system draws (RFC 5452
    §9.2); a truncated answer is asked for again over TCP (RFC 7766 §5).

    Args:
        upstreams: addresses; one without a scheme is UDP, and TCP for what is truncated.
        policy: see `Balance`; queries are idempotent, so ``hedged`` is possible.
        allow: networks that may ask, as for `pierhead.service.admission.allow`; by default this
            machine alone. Peers without an IP address are on this machine. Others are REFUSED.
        check: the name whose SOA record is asked for to find out whether a failed server is well
            again: any answer will do. None to find out with queries of clients.
        timeout: how long one upstream may take, in seconds.
        max_queries: how many queries may await an upstream at the same time.
        metrics: where to count ``upstream_…{upstream=…}``; None for a registry of its own.
        limits: see `BalanceLimits`; by default the first failure ejects an upstream.

    Example:
        >>> from pierhead.protocols import dns
        >>> site = dns.Router()
        >>> site.mount(".", dns.forward("192.0.2.1:53", "192.0.2.2:53", policy="fastest"))
    """
    limits.setdefault("max_failures", 1)
    seconds = TIMEOUT.check(timeout)
    attempts = _ATTEMPTS_OF_ONE if len(upstreams) == 1 else 1
    servers = [DnsUpstream(address, seconds, attempts) for address in upstreams]
    balance: Balance[Query, Response] = Balance(
        servers,
        policy,
        idempotent=True,
        check=None if check is None else lambda one: one.check(check),
        checks_well_ones=False,
        metrics=metrics,
        **limits,
    )
    return Forward(balance, allow, max_queries)


class Forward:
    """Forwards queries; created by `forward`.

    Attributes:
        balance: chooses among the upstreams; `Balance.drain` takes one out.
    """

    def __init__(
        self, balance: Balance[Query, Response], allow: Sequence[str], max_queries: int
    ) -> None:
        if isinstance(allow, str):
            raise UsageError(f"allow is {allow!r}, expected a list of networks: [{allow!r}]")
        self.balance = balance
        self._ask = stack(balance, limit(int(MAX_QUERIES.check(max_queries))))
        self._allowed = listed(*_THIS_MACHINE, *allow)

    def __repr__(self) -> str:
        return f"<forward to {', '.join(self.balance.upstreams)}>"

    def lifespan(self) -> AbstractAsyncContextManager[object]:
        """Return what `dns.serve` enters while this service is served."""
        return self.balance

    async def __call__(self, query: Query, context: Context) -> Reply:
        """Forward a query.

        Raises:
            RcodeError: REFUSED, the client is not allowed; SERVFAIL, no upstream answered.
        """
        if context.peer.ip is not None and not self._allowed.lists(context.peer):
            raise Refused("this server forwards for listed networks only")
        if query.qtype in (iana.AXFR, iana.IXFR):
            raise NotImp("zone transfers are not forwarded")
        try:
            response = await self._ask(query, context)
        except (PeerUnavailable, TimedOut, DecodeError) as error:
            reason = "no upstream answers"
            raise ServFail(reason, extended_error=_EDE_NO_REACHABLE_AUTHORITY) from error
        assert isinstance(response, Response)  # one, of `DnsUpstream`
        try:
            return response.to_reply(query)
        except DecodeError as error:
            raise ServFail("the upstream's answer is malformed") from error
