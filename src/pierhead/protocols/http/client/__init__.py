"""The other side of HTTP/1.1: requests to one server, over connections that are kept alive."""

from pierhead.protocols.http.client.client import Client
from pierhead.protocols.http.client.received import ReceivedResponse

__all__ = ["Client", "ReceivedResponse"]
