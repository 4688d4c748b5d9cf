"""The server of HTTP/1.1: connections on the same path as every other protocol's."""

from pierhead.protocols.http.serving.serve import HttpLimits, serve

__all__ = ["HttpLimits", "serve"]
