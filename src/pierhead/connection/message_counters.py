"""The counters of the messages of conversations.

Of what arrives, each message is received, undecodable, or lost unread; of what is sent, each is
taken by the system or lost. Pings and their answers are counted apart. So once a conversation has
ended:

    frames received = messages received + undecodable + signs of life + lost{direction=in}
"""

from __future__ import annotations

from collections.abc import Callable

from pierhead.metrics import Metric

__all__ = ["MessageCounters"]


class MessageCounters:
    """What conversations count, shared by those of one listener or client.

    Args:
        count: returns the counter of this name with these labels.
    """

    def __init__(self, count: Callable[..., Metric]) -> None:
        self._count = count
        self.received = count("messages_received_total")
        self.sent = count("messages_sent_total")
        self.pings = count("pings_sent_total")
        self.signs_of_life = count("signs_of_life_received_total")
        self.undecodable = count("dropped_total", reason="undecodable")

    def note_lost(self, direction: str, reason: str, messages: int) -> None:
        """Count messages that were never received (``in``), or sent in vain (``out``)."""
        if messages:
            counter = self._count("messages_lost_total", direction=direction, reason=reason)
            counter.value += messages
