"""A network inside the process: streams and datagrams between named ends, faults on demand.

    network = Network.current()
    network.between("a", "b").lose(0.3, seed=7).delay(0.05, jitter=0.01)

Listeners are opened by address like any other (``mem:name``, ``memgram:name``); a client names
its own end the same way (``source="memgram:a"``).
"""

from pierhead.listener.memory.datagram import MemoryDatagramListener
from pierhead.listener.memory.link import Faults, Link
from pierhead.listener.memory.network import Network
from pierhead.listener.memory.stream import MemoryStreamListener
from pierhead.listener.memory.transport import MemoryTransport

__all__ = [
    "Faults",
    "Link",
    "MemoryDatagramListener",
    "MemoryStreamListener",
    "MemoryTransport",
    "Network",
]
