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
    """End the stream after the last octet: linger where the peer may still be sending, else close.

    Returns:
        Whether the connection lingers: then it is to be read from until the peer's end.
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
    except OSError:  # ENOTCONN: the peer has reset the connection, and it has not been told yet
        life.close()
        transport.close()
        return False
    life.linger(now, timeouts)
    return True
