"""HTTP: a request is a message, and so is a response."""

from pierhead.protocols.http.wire import Body, Fields, Request, Response

__all__ = ["Body", "Fields", "Request", "Response"]
