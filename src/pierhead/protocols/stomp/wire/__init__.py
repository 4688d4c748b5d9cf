"""STOMP on the wire: pure, no I/O."""

from pierhead.protocols.stomp.wire.codec import Frame, FrameCodec, wire_format

__all__ = ["Frame", "FrameCodec", "wire_format"]
