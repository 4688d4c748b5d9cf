"""Error replies as exceptions: ``raise dns.Refused``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pierhead.errors import ServiceError, UsageError
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.edns import extended_error
from pierhead.protocols.dns.wire.message import Query, Reply, check_rcode
from pierhead.protocols.dns.wire.record import Record, check_records

__all__ = ["FormErr", "NXDomain", "NotAuth", "NotImp", "RcodeError", "Refused", "ServFail"]


class RcodeError(ServiceError):
    """Ends a query with the reply of an RCODE; services and layers raise it.

    It is an answer, not a failure: outer layers see the reply, it is counted as answered, and
    nothing is logged.

    Attributes:
        rcode: NXDOMAIN, REFUSED …

    Args:
        reason: sent to clients that support EDNS (RFC 8914); keep it short.
        rcode: overrides that of the class.
        extended_error: the code that accompanies the reason; the class has a default.
        authority: the authority section, such as the zone's SOA record for NXDOMAIN, without which
        a negative answer is not cached (RFC 2308 §5). Functions of a `Router` need none: it adds
        the SOA record of the enclosing zone.

    Raises:
        UsageError: an argument is invalid; NOERROR is no error.

    Example:
        >>> from pierhead.protocols import dns
        >>> async def locked(query, context):
        ...     raise dns.Refused("only for the office")
    """

    rcode: int = iana.SERVFAIL
    #: The extended error of the class (RFC 8914 §4).
    code: ClassVar[int] = iana.EDE_OTHER

    def __init__(
        self,
        reason: str = "",
        *,
        rcode: int | None = None,
        extended_error: int | None = None,
        authority: Sequence[Record] = (),
    ) -> None:
        if not isinstance(reason, str):
            raise UsageError(
                f"the reason is {reason!r}, expected text; the code is a keyword: rcode={reason!r}"
            )
        if rcode is not None:
            check_rcode(rcode)
            if rcode == iana.NOERROR:
                raise UsageError("rcode is NOERROR, which is no error; return query.reply()")
            self.rcode = rcode
        if extended_error is not None:
            _check_extended_error(extended_error)
        self._reason = reason
        self._code = type(self).code if extended_error is None else extended_error
        self._says_why = bool(reason) or extended_error is not None
        self._authority = check_records("authority", authority) if authority else ()
        super().__init__(reason or iana.rcode_text(self.rcode))

    def to_reply(self, query: Query) -> Reply:
        """Return the reply to a query."""
        reply = query.reply(rcode=self.rcode, authority=self._authority)
        if self._says_why:
            reply.options = (extended_error(self._code, self._reason),)
        return reply


def _check_extended_error(code: object) -> None:
    if not (isinstance(code, int) and 0 <= code <= 0xFFFF):
        raise UsageError(
            f"extended_error is {code!r}, expected a number from 0 to 65535 (RFC 8914 §2)"
        )


class FormErr(RcodeError):
    """The query is malformed (RFC 1035 §4.1.1)."""

    rcode = iana.FORMERR


class ServFail(RcodeError):
    """The answer is temporarily unavailable (RFC 1035 §4.1.1)."""

    rcode = iana.SERVFAIL


class NXDomain(RcodeError):
    """The name does not exist (RFC 1035 §4.1.1, RFC 2308 §2.1)."""

    rcode = iana.NXDOMAIN


class NotImp(RcodeError):
    """This kind of query is not supported (RFC 1035 §4.1.1)."""

    rcode = iana.NOTIMP
    code = iana.EDE_NOT_SUPPORTED


class Refused(RcodeError):
    """The answer is refused by policy (RFC 1035 §4.1.1)."""

    rcode = iana.REFUSED
    code = iana.EDE_PROHIBITED


class NotAuth(RcodeError):
    """The server is not authoritative, or a signature is wrong (RFC 2136 §2.2, RFC 8945 §5.2)."""

    rcode = iana.NOTAUTH
