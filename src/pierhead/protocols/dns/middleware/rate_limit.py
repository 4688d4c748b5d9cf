"""Response rate limiting: keeps the server useless for reflection attacks.

An attacker who forges the source of a query has the answer sent to a victim. So answers are counted
by their destination network and their content, and beyond the rate they are not sent: mostly
dropped, sometimes truncated with TC, on which a genuine client retries over TCP. Only datagrams are
counted: a stream begins with a handshake, which cannot be forged.

What counts as the same answer: the same set of records, however it was queried (an alias with any
type, all names matched by one wildcard or pattern); all absent types of one name, or of all names
of one wildcard; all absent names of one zone; all referrals to one zone; all errors, including
those for unreadable messages.

A large answer counts as several, so that those of a signed zone are worth no more than others.
docs/decisions/0025-what-rate-limiting-counts.md
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Sequence
from typing import ClassVar, TypeAlias

from pierhead.clock import Clock, SystemClock
from pierhead.errors import PierheadError, ServiceError
from pierhead.limits import Limit
from pierhead.metrics import Metrics
from pierhead.protocols.dns.middleware.cookies import ValidCookie
from pierhead.protocols.dns.middleware.layer import Layer
from pierhead.protocols.dns.trace import Trace
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.message import Query, Reply
from pierhead.rate import Rate
from pierhead.service.admission import allow
from pierhead.service.admission.networks import NetworkList
from pierhead.service.context import Context, Peer, Transport, Via

__all__ = ["LIMITS", "Kind", "RateLimit", "kind_of", "rate_limit", "tokens_for"]

_METRIC = "responses_limited_total{action=…}"
_EFFECT = "at construction"

PER_SECOND = Limit(
    name="responses_per_second",
    default=200.0,
    minimum=0.001,
    maximum=1_000_000.0,
    unit="responses/s",
    meaning="How many similar answers per second one network gets on average; one of more than "
    "512 octets counts as one more for each further 512.",
    source="NSD's rrl-ratelimit, 200",
    metric=_METRIC,
    effect=_EFFECT,
)
BURST = Limit(
    name="burst",
    default=200,
    minimum=1,
    maximum=1_000_000,
    unit="responses",
    meaning="How many similar answers one network gets at once after a pause.",
    source="one second of the default rate, as in NSD",
    metric=_METRIC,
    effect=_EFFECT,
)
SLIP = Limit(
    name="slip",
    default=2,
    minimum=0,
    maximum=100,
    unit="responses",
    meaning="Of answers beyond the rate, one in this many is truncated (TC), not dropped; 0 none.",
    source="NSD, BIND and Knot: rrl-slip 2, 2 and 1",
    metric=_METRIC,
    effect=_EFFECT,
)
IPV4_PREFIX = Limit(
    name="ipv4_prefix",
    default=24,
    minimum=1,
    maximum=32,
    unit="bits",
    meaning="How many leading bits of an IPv4 address make a network.",
    source="NSD, BIND and Knot: 24",
    metric=_METRIC,
    effect=_EFFECT,
)
IPV6_PREFIX = Limit(
    name="ipv6_prefix",
    default=56,
    minimum=1,
    maximum=128,
    unit="bits",
    meaning="How many leading bits of an IPv6 address make a network.",
    source="BIND and Knot: 56; RFC 6177 §2: what a site may be assigned",
    metric=_METRIC,
    effect=_EFFECT,
)
MAX_ENTRIES = Limit(
    name="max_entries",
    default=100_000,
    minimum=1,
    maximum=16_777_216,
    unit="entries",
    meaning="How many networks and answers are remembered; the oldest are forgotten first.",
    source="about 30 MB of memory; BIND's max-table-size is 20,000, NSD's rrl-size 1,000,000",
    metric="none: forgotten entries start afresh",
    effect=_EFFECT,
)

LIMITS = (PER_SECOND, BURST, SLIP, IPV4_PREFIX, IPV6_PREFIX, MAX_ENTRIES)

#: Kinds of answers that are distinguished.
_ANSWER, _NODATA, _NXDOMAIN, _REFERRAL, _ERROR = (bytes((number,)) for number in range(5))

#: The content: the kind of answer, the type, and the name it is about.
Kind: TypeAlias = bytes
#: A network and a kind as one number, so that long names take no memory. Collisions cannot be
#: chosen: Python's hash of octets is keyed, and the salt is secret even if its key is not.
_Key: TypeAlias = int

#: The largest answer that counts as one.
_OCTETS_PER_TOKEN = 512
#: No datagram is larger, as servers are configured (RFC 9715).
_MOST_OCTETS = 1232

#: The state of a network without an entry: its bucket is full, nothing was withheld.
_FRESH = 0, 0


def rate_limit(
    responses_per_second: float = PER_SECOND.default,
    *,
    burst: int = int(BURST.default),
    slip: int = int(SLIP.default),
    ipv4_prefix: int = int(IPV4_PREFIX.default),
    ipv6_prefix: int = int(IPV6_PREFIX.default),
    max_entries: int = int(MAX_ENTRIES.default),
    exempt: Sequence[str] = ("127.0.0.0/8", "::1"),
    clock: Clock | None = None,
    metrics: Metrics | None = None,
) -> RateLimit:
    """Return the layer that limits similar answers to one network over datagrams.

    In any span of t seconds a network gets no more than ``burst + responses_per_second * t`` whole
    answers of one kind, for as long as it is remembered. A client with a valid cookie is not
    limited, and neither is a peer without an IP address.

    Args:
        responses_per_second, burst, slip, ipv4_prefix, ipv6_prefix, max_entries: see `LIMITS`.
        exempt: networks that are not limited; by default, this machine.
        clock: the source of time.
        metrics: where limited answers are counted; its own registry by default.

    Raises:
        UsageError: a number is out of range, or a network is invalid.

    Example:
        >>> from pierhead.protocols import dns
        >>> layer = dns.rate_limit(50, slip=1)
    """
    for limit, value in zip(
        LIMITS,
        (responses_per_second, burst, slip, ipv4_prefix, ipv6_prefix, max_entries),
        strict=True,
    ):
        limit.check(value)
    return RateLimit(
        rate=Rate(responses_per_second, burst),
        slip=slip,
        prefixes={4: _octets(ipv4_prefix), 16: _octets(ipv6_prefix)},
        max_entries=max_entries,
        exempt=allow(*exempt) if exempt else None,
        clock=clock or SystemClock(),
        metrics=metrics or Metrics(),
    )


class RateLimit(Layer):
    """The layer of response rate limiting; created by `rate_limit`.

    It has a token bucket for each key (`Rate`).

    Attributes:
        metrics: where ``responses_limited_total`` counts, by ``action``: drop or slip.
    """

    name: ClassVar[str] = "rate_limit"
    is_for_every_opcode: ClassVar[bool] = True
    inside = {  # noqa: RUF012  # the base class says ClassVar
        "query_log": "the log shows what was sent, not what would have been",
        "cookies": "clients with a valid cookie are not limited, and cookies verifies that",
    }

    def __init__(
        self,
        *,
        rate: Rate,
        slip: int,
        prefixes: dict[int, tuple[int, int | None]],
        max_entries: int,
        exempt: NetworkList | None,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._rate = rate
        self._slip = slip
        self._prefixes = prefixes
        self._max_entries = max_entries
        self._exempt = exempt
        self._now = clock.monotonic
        self.metrics = metrics
        self._dropped = metrics.counter("responses_limited_total", action="drop")
        self._slipped = metrics.counter("responses_limited_total", action="slip")
        self._salt = os.urandom(16)
        # Ordered by last use: when the bucket is full again, and how many answers have been
        # withheld since it last was. In a plain dict, finding the first entry would skip all holes.
        self._entries: OrderedDict[_Key, tuple[int, int]] = OrderedDict()

    def after(self, query: Query, context: Context, reply: Reply) -> Reply | None:
        """Send the reply, truncate it or withhold it."""
        if context.via.transport is not Transport.DATAGRAM:
            return reply
        key = self._key(context.peer, kind_of(query, reply))
        if key is None or context.get(ValidCookie) is not None:
            return reply
        withheld = self._count(key, tokens_for(_octets_of(reply)))
        # Exemption is checked last: most answers are within the rate.
        if not withheld or (self._exempt is not None and self._exempt.lists(context.peer)):
            return reply
        if self._slip and withheld % self._slip == 0:
            self._slipped.value += 1
            _note(context, "beyond the rate: the answer is truncated, TC says to use TCP")
            return reply.cut()
        self._dropped.value += 1
        _note(context, "beyond the rate: the answer is not sent")
        return None

    def withholds_refusal(self, peer: Peer, failure: PierheadError | None) -> bool:
        """Tell whether to withhold the refusal of a datagram that no layer has seen.

        It is counted with all errors: unreadable messages, requests shed or late, and answers of
        admission checks. A refusal that layers have prepared has already been counted.
        """
        if isinstance(failure, ServiceError) and failure.reply is not None:
            return False
        if self._admits(peer, _ERROR, 1):
            return False
        self._dropped.value += 1
        return True

    def admits(self, peer: Peer, via: Via, kind: Kind, tokens: int = 1) -> bool:
        """Tell whether an answer of this kind may be sent at once, and count it if so.

        If not, nothing is counted: the query goes through the layers, which decide.
        """
        return via.transport is not Transport.DATAGRAM or self._admits(peer, kind, tokens)

    def _admits(self, peer: Peer, kind: Kind, tokens: int) -> bool:
        key = self._key(peer, kind)
        if key is None:
            return True
        entries = self._entries
        taken = self._rate.take(entries.get(key, _FRESH)[0], int(self._now() * 1e9), tokens)
        if taken is None:
            return self._exempt is not None and self._exempt.lists(peer)
        entries[key] = taken, 0
        entries.move_to_end(key)
        if len(entries) > self._max_entries:
            entries.popitem(last=False)
        return True

    def __len__(self) -> int:
        """How many networks and answers are remembered."""
        return len(self._entries)

    def _key(self, peer: Peer, kind: Kind) -> _Key | None:
        """Return what an answer is counted under; None if it is not limited."""
        source = peer.ip
        if source is None:
            return None
        octets, mask = self._prefixes[len(source)]
        network = source[:octets]
        if mask is not None:
            network = network[:-1] + bytes((network[-1] & mask,))
        # Prefixes of the two families differ in length, so keys cannot collide.
        return (
            hash(self._salt + network + kind)
            if len(source) == 4
            else hash(kind + self._salt + network)
        )

    def _count(self, key: _Key, tokens: int) -> int:
        """Count an answer; return 0 to send it, else how many have been withheld in a row."""
        entries = self._entries
        full_at, withheld = entries.get(key, _FRESH)
        taken = self._rate.take(full_at, int(self._now() * 1e9), tokens)
        # An answer withheld takes no token, but keeps its entry from being forgotten.
        withheld = 0 if taken is not None else withheld + 1
        entries[key] = full_at if taken is None else taken, withheld
        entries.move_to_end(key)
        if len(entries) > self._max_entries:
            entries.popitem(last=False)
        return withheld


def _octets(prefix: int) -> tuple[int, int | None]:
    """Return how many octets a prefix takes, and the mask of the last one, None for all."""
    return (prefix + 7) // 8, 0xFF << 8 - prefix % 8 & 0xFF if prefix % 8 else None


def kind_of(query: Query, reply: Reply) -> Kind:
    """Return what a reply says, as far as answers are distinguished."""
    rcode = reply.rcode
    if rcode == iana.NOERROR:
        if reply.answer:
            # The set that answered: its own owner, not the name it is shown under, and its own
            # type, not the queried one, which is arbitrary if an alias answers.
            rrset = reply.answer[0][1]
            owner = reply.made_by or rrset.owner.lower()
            return _ANSWER + rrset.rtype.to_bytes(2, "big") + owner
        if reply.authority and not reply.authoritative:
            return _REFERRAL + reply.authority[0][1].owner.lower()
        return _NODATA + (reply.made_by or query.qname.lower())
    if rcode == iana.NXDOMAIN:
        return _NXDOMAIN + (reply.authority[0][1].owner.lower() if reply.authority else b"")
    return _ERROR


def tokens_for(octets: int) -> int:
    """Return how many answers one of this size counts as."""
    return 1 + min(octets, _MOST_OCTETS) // _OCTETS_PER_TOKEN


def _octets_of(reply: Reply) -> int:
    """Return the approximate length of the message, assuming compressed names."""
    octets = 12 + len(reply.query.question)
    for section in (reply.answer, reply.authority, reply.glue, reply.additional):
        for _, rrset in section:
            for rdata in rrset.rdatas:
                octets += 12 + len(rdata)
        if octets > _MOST_OCTETS:
            break
    return octets


def _note(context: Context, text: str) -> None:
    trace = context.get(Trace)
    if trace is not None:
        trace.note("rate_limit", text)
