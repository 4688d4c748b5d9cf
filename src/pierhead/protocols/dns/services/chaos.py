"""The server's identity and version, as TXT records of class CH (RFC 4892 §2.1)."""

from __future__ import annotations

from pierhead.errors import UsageError
from pierhead.protocols.dns.records import TXT
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.message import Query, Reply
from pierhead.protocols.dns.wire.name import from_text, key
from pierhead.protocols.dns.wire.record import Record
from pierhead.service.context import Context

__all__ = ["Chaos", "chaos"]

_VERSION = ("version.bind.", "version.server.")
_IDENTITY = ("id.server.", "hostname.bind.")


def chaos(*, version: str | None = None, identity: str | None = None) -> Chaos:
    """Return a service that answers version and identity in class CH, and refuses all else.

    Args:
        version: the answer to ``version.bind`` and ``version.server``; None to refuse them.
        identity: the answer to ``id.server`` and ``hostname.bind``; None to refuse them.

    Raises:
        UsageError: neither is given.

    Example:
        >>> from pierhead.protocols import dns
        >>> who = dns.chaos(identity="north-2")
    """
    if version is None and identity is None:
        raise UsageError("chaos() has no answers; give a version, an identity or both")
    return Chaos(version, identity)


class Chaos:
    """A service for class CH; created by `chaos`."""

    __slots__ = ("_records",)

    def __init__(self, version: str | None, identity: str | None) -> None:
        self._records: dict[bytes, Record] = {}
        for names, text in ((_VERSION, version), (_IDENTITY, identity)):
            if text is not None:
                self._records |= {key(from_text(name)): TXT(text) for name in names}

    async def __call__(self, query: Query, context: Context) -> Reply:
        """Answer the query; REFUSED for unknown names."""
        return self.answer(query)

    def answer(self, query: Query) -> Reply:
        """Return the same reply immediately."""
        record = self._records.get(key(query.qname))
        if record is None or query.qclass != iana.CLASS_CH:
            return Reply(query, iana.REFUSED)
        # A type other than TXT: the name exists, without such data.
        return query.reply(record, ttl=0)
