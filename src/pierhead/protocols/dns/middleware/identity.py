"""The identity of the server in class CH, beside a service for class IN (RFC 4892)."""

from __future__ import annotations

from typing import ClassVar

from pierhead.protocols.dns.middleware.layer import Layer, Verdict
from pierhead.protocols.dns.services.chaos import Chaos
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.message import Query
from pierhead.service.context import Context

__all__ = ["Identity", "identity"]


def identity(chaos: Chaos) -> Identity:
    """Return the layer that answers class CH from this service and passes on other classes."""
    return Identity(chaos)


class Identity(Layer):
    """The layer of the server's identity; created by `identity`."""

    name: ClassVar[str] = "identity"
    is_constant = True
    _WHY: ClassVar[str] = "it sends answers, and they need what others need"
    inside = dict.fromkeys(
        ("query_log", "tsig", "cookies", "rate_limit", "extended_errors", "nsid"), _WHY
    )

    def __init__(self, chaos: Chaos) -> None:
        self._chaos = chaos

    def before(self, query: Query, context: Context) -> Verdict:
        """Answer a question of class CH."""
        return self._chaos.answer(query) if query.qclass == iana.CLASS_CH else context
