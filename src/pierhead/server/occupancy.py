"""Which connections hold the slots of a listener, and which is evicted when all are taken.

The network that holds the most gives way first, so that a flooding client displaces itself. Within
it a half-done connection (an incomplete handshake or first message) goes before an idle one, an
idle one before a busy one, and among equals the oldest.

Every step takes constant time however many connections there are: networks are in lists by how many
slots they hold, and connections are in order of arrival. A connection's activity changes all the
time and is not reported, so a bounded number of connections are asked when it matters.
docs/decisions/0023-who-gives-way.md
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterable
from itertools import islice
from typing import Generic, Protocol, TypeAlias, TypeVar

from pierhead.server.connection import Standing
from pierhead.service.context import Credentials, Peer

__all__ = ["Network", "Occupancy", "Occupant", "network_of"]

#: The key by which connections are counted: a network, an account or a name.
Network: TypeAlias = Hashable

#: How many connections are asked what they are doing, to find one to evict.
_LOOKS = 64
#: New connections displace each other only once they hold more than this fraction of all slots;
#: otherwise a burst of them would leave only one, though all others are idle.
_SHARE_OF_NEWCOMERS = 1 / 32


class Occupant(Protocol):
    """A connection that holds a slot; hashable by identity."""

    def standing(self) -> tuple[Standing, float]:
        """Return what would be lost with it, and since when."""
        ...


O = TypeVar("O", bound=Occupant)  # noqa: E741  # as in `Occupant`


def network_of(
    peer: Peer, credentials: Credentials | None, ipv4_prefix: int, ipv6_prefix: int
) -> Network:
    """Return the key by which this peer is counted.

    The leading bits of its IP address; the account of a process at the other end of a Unix
    socket; else its name.
    """
    if credentials is not None:
        return "uid", credentials.uid
    address = peer.ip
    if address is None:
        return peer.source
    prefix = ipv4_prefix if len(address) == 4 else ipv6_prefix
    return len(address), int.from_bytes(address, "big") >> (8 * len(address) - prefix)


class _Holders(Generic[O]):
    """The connections of one network.

    Attributes:
        fresh: those not yet known to have sent a complete message, in order of arrival.
        settled: the others.
    """

    __slots__ = ("fresh", "settled")

    def __init__(self) -> None:
        # Ordered dictionaries, not plain ones, whose first item is not found in constant time once
        # earlier items have been deleted.
        self.fresh: OrderedDict[O, None] = OrderedDict()
        self.settled: OrderedDict[O, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self.fresh) + len(self.settled)


class Occupancy(Generic[O]):
    """The taken slots of one listener."""

    def __init__(self) -> None:
        self._network_of: dict[O, Network] = {}
        self._networks: dict[Network, _Holders[O]] = {}
        # By how many slots a network holds; without empty lists.
        self._by_size: dict[int, OrderedDict[Network, _Holders[O]]] = {}
        self._most = 0
        self._fresh = 0

    def __len__(self) -> int:
        return len(self._network_of)

    def held_by(self, network: Network) -> int:
        """Return how many slots a network holds."""
        holders = self._networks.get(network)
        return 0 if holders is None else len(holders)

    def add(self, occupant: O, network: Network) -> None:
        """Give a new connection a slot."""
        holders = self._networks.get(network)
        if holders is None:
            holders = self._networks[network] = _Holders()
        self._network_of[occupant] = network
        holders.fresh[occupant] = None
        self._fresh += 1
        self._resized(network, holders, len(holders) - 1)

    def remove(self, occupant: O) -> None:
        """Free its slot; does nothing if it has none."""
        if occupant not in self._network_of:
            return
        network = self._network_of.pop(occupant)
        holders = self._networks[network]
        if occupant in holders.fresh:
            del holders.fresh[occupant]
            self._fresh -= 1
        else:
            del holders.settled[occupant]
        self._resized(network, holders, len(holders) + 1)
        if not holders:
            del self._networks[network]

    def move(self, occupant: O, network: Network) -> None:
        """Count it under another network from now on: a PROXY header has named the client."""
        if occupant in self._network_of:
            self.remove(occupant)
            self.add(occupant, network)

    def gives_way(self, newcomer: Network) -> O | None:
        """Return the connection to evict for a new one from this network.

        None if only busy ones are left and the new connection's network would then hold no less
        than theirs: accepted requests are answered.
        """
        largest = self._by_size.get(self._most)
        if largest is None:
            return None
        candidates: list[tuple[int, float, O]] = []
        number, looks = len(largest), _LOOKS
        for network, holders in list(islice(largest.items(), _LOOKS)):
            asked = self._ask(holders, min(max(2, _LOOKS // number), looks))
            looks -= len(asked)
            candidates += asked
            if looks <= 0 or any(rank == 0 for rank, _, _ in asked):
                break
            if number > 1:  # others are asked next time
                largest.move_to_end(network)
        may_be_busy = self.held_by(newcomer) + 1 < self._most
        return _first(candidates, may_be_busy=may_be_busy)

    def gives_way_within(self, network: Network) -> O | None:
        """Return the connection of this network to evict for another of its own."""
        holders = self._networks.get(network)
        return None if holders is None else _first(self._ask(holders, _LOOKS), may_be_busy=False)

    def _ask(self, holders: _Holders[O], looks: int) -> list[tuple[int, float, O]]:
        """Ask at most this many connections of a network, in order of arrival.

        Returns:
            For each: its rank, since when it has had it, and the connection.
        """
        newcomers_yield = self._fresh > len(self) * _SHARE_OF_NEWCOMERS
        asked: list[tuple[int, float, O]] = []
        while holders.fresh and len(asked) < looks:
            occupant = next(iter(holders.fresh))
            standing, since = occupant.standing()
            if standing is Standing.HALF_DONE:
                asked.append((0 if newcomers_yield else _NEWCOMER, since, occupant))
                if newcomers_yield:
                    return asked  # none can rank before it
                break
            del holders.fresh[occupant]
            holders.settled[occupant] = None
            self._fresh -= 1
            asked.append((_RANKS[standing], since, occupant))
        for occupant in list(islice(holders.settled, looks - len(asked))):
            standing, since = occupant.standing()
            if standing is Standing.BUSY:
                holders.settled.move_to_end(occupant)
            asked.append((_RANKS[standing], since, occupant))
        return asked

    def _resized(self, network: Network, holders: _Holders[O], before: int) -> None:
        if before:
            same = self._by_size[before]
            del same[network]
            if not same:
                del self._by_size[before]
        now = len(holders)
        if now:
            self._by_size.setdefault(now, OrderedDict())[network] = holders
        if now > self._most or self._most not in self._by_size:
            self._most = now


#: The order in which connections are evicted. New ones come after idle ones if they are few.
_RANKS = {Standing.HALF_DONE: 0, Standing.IDLE: 1, Standing.BUSY: 3}
_NEWCOMER = 2


def _first(candidates: Iterable[tuple[int, float, O]], *, may_be_busy: bool) -> O | None:
    busy = _RANKS[Standing.BUSY]
    able = [one for one in candidates if may_be_busy or one[0] != busy]
    return min(able, key=lambda one: one[:2])[2] if able else None
