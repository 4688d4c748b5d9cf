"""Lines on the wire: pure, no I/O."""

from pierhead.protocols.lines.wire.codec import Bytes, Text

__all__ = ["Bytes", "Text"]
