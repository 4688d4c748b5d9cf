"""What connects the rooms of several servers."""

from pierhead.backplane.peers import Peers, peers

__all__ = ["Peers", "peers"]
