"""DNS cookies: tell reachable clients from those with a forged source (RFC 7873).

Every answer to a query with a cookie carries one, the client's own if it is still recent. A client
that sends a valid one is marked in the context (`ValidCookie`), so that inner layers can trust its
address. Server cookies are those of RFC 9018: servers that share a secret accept each other's
cookies.
"""

from __future__ import annotations

import secrets as chance
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from pierhead.clock import Clock, SystemClock
from pierhead.errors import DecodeError, UsageError
from pierhead.protocols.dns.middleware.layer import Layer, Verdict
from pierhead.protocols.dns.trace import Trace
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.cookie import (
    CLIENT_OCTETS,
    SECRET_OCTETS,
    check_cookie,
    cookie_age,
    make_cookie,
)
from pierhead.protocols.dns.wire.message import Query, Reply
from pierhead.service.admission import allow
from pierhead.service.admission.networks import NetworkList
from pierhead.service.context import Context, Transport

__all__ = ["Cookies", "ValidCookie", "cookies"]

#: RFC 9018 §4.3: how old a valid cookie may be, how far ahead another server's clock may be, and
#: from which age on the client gets a new one.
MAX_AGE_S = 3600
MAX_AHEAD_S = 300
RENEW_AGE_S = 1800


@dataclass(frozen=True, slots=True)
class ValidCookie:
    """Marks the context of a client that sent a cookie we issued to its address.

    Attributes:
        answer: the cookie option of the answer.
    """

    answer: bytes


def cookies(
    *,
    secrets: Sequence[bytes] = (),
    required: Sequence[str] = (),
    exempt: Sequence[str] = (),
    clock: Clock | None = None,
) -> Cookies:
    """Return the layer that issues cookies and verifies them.

    Args:
        secrets: 16 octets each. The first creates cookies, all of them verify: add a new one second
            on all servers, then make it first, and remove the old one an hour later (RFC 9018 §5).
            None: a random one, and cookies do not outlive the process.
        required: networks whose clients get an answer over UDP only for a valid cookie: others are
            sent BADCOOKIE, or told to use TCP if they do not support cookies.
        exempt: networks within these that need none.
        clock: the source of time.

    Raises:
        UsageError: a secret has another length, or a network is invalid.

    Example:
        >>> from pierhead.protocols import dns
        >>> layer = dns.cookies(required=["0.0.0.0/0", "::/0"], exempt=["127.0.0.0/8", "::1"])
    """
    return Cookies(
        secrets=secrets or (chance.token_bytes(SECRET_OCTETS),),
        required=allow(*required) if required else None,
        exempt=allow(*exempt) if exempt else None,
        clock=clock or SystemClock(),
    )


class Cookies(Layer):
    """The layer of DNS cookies; created by `cookies`."""

    name: ClassVar[str] = "cookies"
    is_for_every_opcode: ClassVar[bool] = True
    inside = {  # noqa: RUF012  # the base class says ClassVar
        "tsig": "it replies by itself, and every reply to a signed question is signed"
    }

    def __init__(
        self,
        *,
        secrets: Sequence[bytes],
        required: NetworkList | None,
        exempt: NetworkList | None,
        clock: Clock,
    ) -> None:
        self.secrets = secrets
        self._required = required
        self._exempt = exempt
        self._now = clock.wall
        # Without networks that require one, only queries that carry one are of interest.
        self.option = None if required is not None else iana.OPTION_COOKIE
        self.is_constant = required is None

    @property
    def secrets(self) -> tuple[bytes, ...]:
        """The secrets, the creating one first; assign to roll over."""
        return self._secrets

    @secrets.setter
    def secrets(self, secrets: Sequence[bytes]) -> None:
        if not secrets:
            raise UsageError("no secret is given; cookies need at least one")
        for secret in secrets:
            if len(secret) != SECRET_OCTETS:
                raise UsageError(f"a secret of {len(secret)} octets, expected {SECRET_OCTETS}")
        self._secrets = tuple(secrets)

    def before(self, query: Query, context: Context) -> Verdict:
        """Verify the cookie; answer if a valid one is required and missing."""
        data = query.option(iana.OPTION_COOKIE)
        if data is None:
            if not self._is_required(context):
                return context
            # A client without cookie support can still prove its address, with a handshake.
            _note(context, "none sent where one is required: use TCP", "RFC 7873 §5.2.1")
            return Reply(query, iana.REFUSED, truncated=True)
        try:
            check_cookie(data)
        except DecodeError as error:
            _note(context, str(error), "RFC 7873 §5.2.2")
            return Reply(query, iana.FORMERR)
        address = _address(context)
        good = self._check(data, address)
        if not query.has_question:
            # A client that only requests a cookie, or checks whether its own is still valid.
            _note(context, "only a cookie is requested", "RFC 7873 §5.4")
            is_bad = good is None and len(data) > CLIENT_OCTETS
            rcode = iana.BADCOOKIE if is_bad else iana.NOERROR
            return self._reply(query, rcode, good or self._make(data, address))
        if good is not None:
            _note(context, "the client's cookie is valid", "RFC 7873 §5.2.5")
            return context.having(ValidCookie(good))
        rule = "RFC 7873 §5.2.4" if len(data) > CLIENT_OCTETS else "RFC 7873 §5.2.3"
        if self._is_required(context):
            _note(context, "no valid cookie where one is required", rule)
            return self._reply(query, iana.BADCOOKIE, self._make(data, address))
        _note(context, "the client has no valid cookie, and needs none", rule)
        return context

    def after(self, query: Query, context: Context, reply: Reply) -> Reply:
        """Add a cookie to the reply that the client can use from now on."""
        valid = context.get(ValidCookie)
        if valid is not None:
            return reply.having(iana.OPTION_COOKIE, valid.answer)
        data = query.option(iana.OPTION_COOKIE)
        if data is None:
            return reply
        fresh = self._make(data, _address(context))
        return reply.having(iana.OPTION_COOKIE, fresh)

    def _check(self, data: bytes, address: bytes) -> bytes | None:
        """Return the option to answer a valid cookie with; None for an invalid one."""
        now = int(self._now())
        for secret in self._secrets:
            age = cookie_age(data, address, now, secret)
            if age is None:
                continue
            if not -MAX_AHEAD_S <= age <= MAX_AGE_S:
                return None
            # RFC 9018 §4.3: a recent one is returned unchanged; a change of secrets renews all.
            if age <= RENEW_AGE_S and secret is self._secrets[0]:
                return data
            return self._make(data, address)
        return None

    def _make(self, data: bytes, address: bytes) -> bytes:
        client = data[:CLIENT_OCTETS]
        return make_cookie(client, address, int(self._now()), self._secrets[0])

    def _reply(self, query: Query, rcode: int, cookie: bytes) -> Reply:
        return Reply(query, rcode, options=((iana.OPTION_COOKIE, cookie),))

    def _is_required(self, context: Context) -> bool:
        """Tell whether a query received this way needs a valid cookie."""
        if self._required is None or context.via.transport is not Transport.DATAGRAM:
            return False
        peer = context.peer
        is_exempt = self._exempt is not None and self._exempt.lists(peer)
        return self._required.lists(peer) and not is_exempt


def _address(context: Context) -> bytes:
    """Return what a cookie is bound to; the name of a peer without an IP address."""
    return context.peer.ip or context.peer.source


def _note(context: Context, text: str, rule: str) -> None:
    trace = context.get(Trace)
    if trace is not None:
        trace.note("cookies", text, rule)
