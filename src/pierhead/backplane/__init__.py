"""What connects the rooms of several servers.

`peers` needs no broker; `redis_streams` and `jetstream` use one, and load its library when called.
"""

from pierhead.backplane.brokered import Brokered
from pierhead.backplane.jetstream import jetstream
from pierhead.backplane.peers import Peers, peers
from pierhead.backplane.redis_streams import redis_streams

__all__ = ["Brokered", "Peers", "jetstream", "peers", "redis_streams"]
