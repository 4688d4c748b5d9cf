"""Signed questions, and signed replies to them (RFC 8945).

A question that is signed by a known key reaches the service with a `SignedBy` in its context; its
reply, or each of its replies, is signed with the same key. One that is signed wrongly is refused.
One that is not signed passes: who must sign what is the service's policy.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from pierhead.clock import Clock, SystemClock
from pierhead.limits import Limit
from pierhead.metrics import Metrics
from pierhead.protocols.dns.middleware.layer import Layer, Verdict
from pierhead.protocols.dns.trace import Trace
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.message import HEADER, Query, Reply
from pierhead.protocols.dns.wire.rcode_error import FormErr, NotAuth
from pierhead.protocols.dns.wire.tsig.key import Key, Keyring
from pierhead.protocols.dns.wire.tsig.last_times import LastTimes
from pierhead.protocols.dns.wire.tsig.record import TsigRecord, tsig_octets
from pierhead.protocols.dns.wire.tsig.signature import (
    BadTsig,
    Verified,
    sign,
    unsigned_error,
    verify,
)
from pierhead.protocols.dns.wire.tsig.stream import StreamSigner
from pierhead.service.context import Context, Transport

__all__ = ["LIMITS", "SignedBy", "Tsig", "tsig"]


_log = logging.getLogger("pierhead.dns")

MAX_TSIG_TIMES = Limit(
    name="max_tsig_times",
    default=10_000,
    minimum=1,
    maximum=1_000_000,
    unit="keys and addresses",
    meaning="Of how many keys and addresses the time of the last UPDATE is remembered.",
    source="3 MB; more than a server has clients that may change its zones",
    metric="none: the one least recently used is forgotten",
    effect="at start",
)

LIMITS = (MAX_TSIG_TIMES,)

#: A datagram that every client takes, less what a truncated reply has in any case: its header, and
#: an OPT record with a cookie (RFC 7873 §4: 40 octets at most).
_ROOM = 512 - HEADER.size - (11 + 4 + 40)
#: What the sender of a refused question is told; short, since the refusal is not rate limited.
_REASONS = {
    iana.NOERROR: "malformed TSIG",
    iana.BADSIG: "wrong signature",
    iana.BADKEY: "unknown key",
    iana.BADTIME: "signed too long ago or ahead",
    iana.BADTRUNC: "MAC too short",
}
#: BADTIME has the server's time in its other data (RFC 8945 §5.2.3).
_TIME_OCTETS = 6


@dataclass(frozen=True, slots=True)
class SignedBy:
    """Marks the context of a question whose signature is valid.

    Attributes:
        key: the key that it is signed with.
        time: when it was signed, by its sender's clock, in seconds since 1970.
        signer: signs the replies, once each, in their order.
    """

    key: Key
    time: int
    signer: StreamSigner

    @property
    def name(self) -> str:
        """The name of the key: ``north.example.``."""
        return self.key.text

    @property
    def reserve(self) -> int:
        """How many octets of each reply the signature takes."""
        return self.signer.octets


def tsig(
    keys: Iterable[Key],
    *,
    max_tsig_times: int = int(MAX_TSIG_TIMES.default),
    clock: Clock | None = None,
    metrics: Metrics | None = None,
) -> Tsig:
    """Return the layer that verifies signed questions and signs the replies to them.

    List it outside every layer that replies by itself, since those replies are signed too.

    Args:
        keys: any of them may sign a question.
        max_tsig_times: of how many keys and addresses the time of the last UPDATE is remembered.
        clock: the source of time.
        metrics: where refused questions are counted; its own registry by default.

    Raises:
        UsageError: two keys have one name.

    Example:
        >>> from pierhead.protocols import dns
        >>> key = dns.Key("north.example", "c2VjcmV0IG9mIHRoZSBub3J0aA==")
        >>> dns.stack(dns.refuse(), dns.tsig([key]), dns.cookies())
        <Stack tsig > cookies > mandatory>
    """
    return Tsig(
        keys,
        LastTimes(int(MAX_TSIG_TIMES.check(max_tsig_times))),
        clock or SystemClock(),
        metrics or Metrics(),
    )


class Tsig(Layer):
    """The layer of signatures; created by `tsig`."""

    name: ClassVar[str] = "tsig"
    is_for_every_opcode: ClassVar[bool] = True
    #: Those that are signed more often than queries: so that even NOTIMP is signed.
    opcodes = frozenset({iana.OPCODE_NOTIFY, iana.OPCODE_UPDATE})
    #: What is signed never equals a question without records, and only those have ready answers.
    is_constant = True

    def __init__(
        self, keys: Iterable[Key], last_times: LastTimes, clock: Clock, metrics: Metrics
    ) -> None:
        self.keys = keys
        self.metrics = metrics
        self._last_times = last_times
        self._now = clock.wall
        self._refused = {
            error: metrics.counter("tsig_refused_total", error=_error_text(error).lower())
            for error in _REASONS
        }

    @property
    def keys(self) -> Keyring:
        """The keys; assign others to replace them."""
        return self._keys

    @keys.setter
    def keys(self, keys: Iterable[Key]) -> None:
        self._keys = Keyring(keys)

    def before(self, query: Query, context: Context) -> Verdict:
        """Verify the signature, if there is one."""
        # Most questions have an OPT record or none: nothing to look for.
        counts = b"\0\0\0\0\0\1" if query.udp_payload >= 0 else bytes(6)
        if query.frame[6:12] == counts:
            return context
        try:
            found = verify(query.frame, self._keys, int(self._now()))
            if found is None:
                return context
            _check_room(query, context, found.record, found.key.mac_octets)
            self._check_last_time(query, context, found)
        except BadTsig as bad:
            return self._refuse(query, context, bad)
        key = found.key
        _note(context, f"signed by {key.text} with {key.algorithm_text}", "RFC 8945 §5.2")
        signer = StreamSigner(key, found.record.mac)
        return context.having(SignedBy(key, found.record.time, signer))

    def after(self, query: Query, context: Context, reply: Reply) -> Reply:
        """Sign the reply to a signed question."""
        signed = context.get(SignedBy)
        if signed is None:
            return reply
        return reply.sealed(partial(self._sign, signed.signer), reserve=signed.reserve)

    def _sign(self, signer: StreamSigner, message: bytes) -> bytes:
        return signer.sign(message, int(self._now()))

    def _check_last_time(self, query: Query, context: Context, found: Verified) -> None:
        """Refuse an UPDATE that was signed before one already accepted.

        RFC 8945 §5.2.3 wants it of every message; but secondaries share keys, and a query that is
        repeated changes nothing (docs/decisions/0057-what-a-signature-allows.md).
        """
        if query.opcode != iana.OPCODE_UPDATE:
            return
        peer = context.peer.ip or context.peer.source
        later = self._last_times.advance(found.key, peer, found.record.time)
        if later is not None:
            text = f"signed {later - found.record.time} s before an UPDATE that came earlier"
            raise BadTsig(text, iana.BADTIME, found.record, found.key)

    def _refuse(self, query: Query, context: Context, bad: BadTsig) -> Reply:
        """Return the refusal of a question that is signed wrongly (RFC 8945 §5.3.2)."""
        self._refused[bad.error].add()
        text = f"{_error_text(bad.error)}: {bad.reason}"
        _note(context, text, "RFC 8945 §5.2")
        _log.debug("signature of %s to %s refused: %s", context.peer, context.via.listener, text)
        record, key = bad.record, bad.key
        if not bad.error or record is None:
            return FormErr(_REASONS[iana.NOERROR]).to_reply(query)
        reply = NotAuth(_REASONS[bad.error]).to_reply(query)
        if key is None or bad.error == iana.BADSIG:
            try:
                reserve = _check_room(query, context, record, 0)
            except BadTsig:
                return FormErr(_REASONS[iana.NOERROR]).to_reply(query)
            seal = partial(unsigned_error, record=record, error=bad.error)
            return reply.sealed(seal, reserve=reserve)
        seal = partial(self._sign_refusal, bad.error, record, key)
        octets = tsig_octets(key.name, key.algorithm.name, key.mac_octets, _TIME_OCTETS)
        return reply.sealed(seal, reserve=octets)

    def _sign_refusal(self, error: int, record: TsigRecord, key: Key, message: bytes) -> bytes:
        now = int(self._now())
        if error != iana.BADTIME:
            return sign(message, key, now, request_mac=record.mac, error=error).frame
        # The client's own time and fudge, so that it finds the refusal in time.
        return sign(
            message,
            key,
            record.time,
            request_mac=record.mac,
            fudge=record.fudge,
            error=error,
            other=now.to_bytes(_TIME_OCTETS, "big"),
        ).frame


def _check_room(query: Query, context: Context, record: TsigRecord, mac: int) -> int:
    """Return how long the TSIG record of the reply is.

    Raises:
        BadTsig: it leaves no room for the question in a datagram that the client certainly takes.
    """
    octets = tsig_octets(record.name, record.algorithm, mac, _TIME_OCTETS)
    is_datagram = context.via.transport is Transport.DATAGRAM
    if is_datagram and len(query.question) + octets > _ROOM:
        raise BadTsig("the names of key, algorithm and question are too long for a datagram")
    return octets


def _error_text(error: int) -> str:
    names = {iana.BADSIG: "BADSIG", iana.NOERROR: "FORMERR"}  # 16 is BADVERS in a message
    return names.get(error) or iana.rcode_text(error)


def _note(context: Context, text: str, rule: str) -> None:
    trace = context.get(Trace)
    if trace is not None:
        trace.note("tsig", text, rule)
