"""How a stream ends, for every connection alike."""

from __future__ import annotations

import asyncio

from pierhead.connection.life import Life, Timeouts

__all__ = ["end_stream"]


def end_stream(
    transport: asyncio.Transport,
    life: Life,
    timeouts: Timeouts,
    now: float,
    *,
    may_be_sending: bool,
) -> bool:
    """End the stream after the last octet: linger if the peer may still be sending, else close.

    Returns:
        Whether the connection lingers: then it must be read until the peer's end of stream.
    """
    if (
        not may_be_sending
        or not timeouts.linger_timeout
        or transport.is_closing()
        or not transport.can_write_eof()
    ):
        life.close()
        transport.close()
        return False
    try:
        transport.write_eof()
    except OSError:  # ENOTCONN: reset by the peer, which the transport has not reported yet
        life.close()
        transport.close()
        return False
    life.linger(now, timeouts)
    return True
