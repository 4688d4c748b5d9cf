"""The refusal of a query that cannot be parsed."""

from __future__ import annotations

from pierhead.errors import DecodeError
from pierhead.protocols.dns.wire import iana

__all__ = ["BadQuery"]


class BadQuery(DecodeError):
    """A message that gets a refusal instead of an answer.

    Attributes:
        rcode: the code of the refusal.
        question: the question section to echo; empty if none could be read.
        do: the DO bit to echo in an OPT record; None for a refusal without one.
    """

    def __init__(
        self,
        reason: str,
        offset: int | None = None,
        rcode: int = iana.FORMERR,
        *,
        question: bytes = b"",
        do: bool | None = None,
    ) -> None:
        super().__init__(reason, offset)
        self.rcode = rcode
        self.question = question
        self.do = do
