"""Padding: hides the exact length of an encrypted answer (RFC 7830, RFC 8467)."""

from __future__ import annotations

from typing import ClassVar

from pierhead.limits import Limit
from pierhead.protocols.dns.middleware.layer import Layer
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.message import Query, Reply
from pierhead.service.context import Context

__all__ = ["LIMITS", "Padding", "padding"]

BLOCK = Limit(
    name="block",
    default=468,
    minimum=1,
    maximum=4096,
    unit="octets",
    meaning="An encrypted answer is padded to a multiple of this.",
    source="RFC 8467 §4.1: 468 for responses",
    metric="none: it applies to every padded answer",
    effect="at construction",
)

LIMITS = (BLOCK,)


def padding(block: int = int(BLOCK.default)) -> Padding:
    """Return the layer that pads answers to padded queries on encrypted transports.

    Args:
        block: answers are padded to a multiple of this many octets.

    Raises:
        UsageError: the number is out of range.
    """
    return Padding(int(BLOCK.check(block)))


class Padding(Layer):
    """The layer of the padding option; created by `padding`."""

    name: ClassVar[str] = "padding"
    is_for_every_opcode: ClassVar[bool] = True
    option = iana.OPTION_PADDING
    is_constant = True

    def __init__(self, block: int) -> None:
        self._block = block

    def after(self, query: Query, context: Context, reply: Reply) -> Reply:
        """Have the message padded when it is encoded, since only then is its length known.

        RFC 7830 §6: "Implementations MUST NOT use Padding … without encryption."
        """
        if not context.via.encrypted or query.option(iana.OPTION_PADDING) is None:
            return reply
        return reply.padded(self._block)
