"""A network inside the process: streams and datagrams between named ends, impairments on demand.

    network = Network.current()
    network.between("a", "b").lose(0.3, seed=7).delay(0.05, jitter=0.01)

Listeners are opened by address like any other (``mem:name``, ``memgram:name``); a client names its
own end the same way (``source="memgram:a"``).
"""

from pierhead.net.memory.datagram import MemoryDatagramEnd
from pierhead.net.memory.link import Impairments, Link
from pierhead.net.memory.network import Network, connect_memory
from pierhead.net.memory.transport import MemoryTransport

__all__ = [
    "Impairments",
    "Link",
    "MemoryDatagramEnd",
    "MemoryTransport",
    "Network",
    "connect_memory",
]
