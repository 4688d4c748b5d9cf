"""The check that every DNS frame passes before it is parsed."""

from __future__ import annotations

from pierhead.service.admission import Drop
from pierhead.service.context import Peer, Via

__all__ = ["check_header"]

_SHORT = Drop("short")
_QR = Drop("qr")


def check_header(frame: bytes, peer: Peer, via: Via) -> Drop | None:
    """Drop what must never be answered: responses, and anything shorter than a header.

    Two servers that answer responses can be made to answer each other forever, and one such server
    can be abused for reflection. Everything else gets an answer.
    """
    if len(frame) < 12:
        return _SHORT
    return _QR if frame[2] & 0x80 else None
