"""Messages of HTTP as values: no octets are read or written here."""

from pierhead.protocols.http.wire.body import Body
from pierhead.protocols.http.wire.fields import Fields
from pierhead.protocols.http.wire.message import Request, Response

__all__ = ["Body", "Fields", "Request", "Response"]
