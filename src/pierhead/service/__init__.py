"""Services, of messages or of frames, and what can be put around them."""

from pierhead.service.base import (
    Middleware,
    Reply,
    Service,
    ServiceFunction,
    as_service,
    blocking,
    from_layer,
    is_many,
    stack,
)
from pierhead.service.handler import FrameHandler, Handler

__all__ = [
    "FrameHandler",
    "Handler",
    "Middleware",
    "Reply",
    "Service",
    "ServiceFunction",
    "as_service",
    "blocking",
    "from_layer",
    "is_many",
    "stack",
]
