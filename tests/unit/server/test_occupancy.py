"""Which connection is evicted when every slot of a listener is taken, without a server."""

from __future__ import annotations

import random
import sys
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pierhead.server.connection import Standing
from pierhead.server.occupancy import Occupancy, network_of
from pierhead.service.context import Credentials, Peer

HALF, IDLE, BUSY = Standing


class Holder:
    """A connection whose state a test sets, and that counts how often it is asked."""

    asked = 0

    def __init__(self, name: str, standing: Standing = HALF, since: float = 0.0) -> None:
        self.name = name
        self.does = standing
        self.since = since

    def standing(self) -> tuple[Standing, float]:
        Holder.asked += 1
        return self.does, self.since

    def __repr__(self) -> str:
        return self.name


def filled(*holders: tuple[str, Holder]) -> Occupancy[Holder]:
    places: Occupancy[Holder] = Occupancy()
    for network, holder in holders:
        places.add(holder, network)
    return places


def named(holder: Holder | None) -> str | None:
    return None if holder is None else holder.name


def test_the_network_that_holds_the_most_gives_way_whichever_came_first() -> None:
    places = filled(
        ("quiet", Holder("honest", IDLE, 0)),
        ("flood", Holder("first", BUSY, 5)),
        ("flood", Holder("second", BUSY, 6)),
        ("flood", Holder("third", BUSY, 7)),
    )
    assert named(places.gives_way("another")) == "first"


def test_half_done_goes_before_idle_and_idle_before_busy_and_the_oldest_first() -> None:
    holders = {
        name: Holder(name, standing, since)
        for name, standing, since in [
            ("busy", BUSY, 0.0),
            ("idle young", IDLE, 3.0),
            ("idle old", IDLE, 2.0),
            ("half young", HALF, 9.0),
            ("half old", HALF, 8.0),
        ]
    }
    # In the order of arrival, which is also that of idle time for those that never sent anything.
    order = ["busy", "idle young", "idle old", "half old", "half young"]
    places = filled(*[("one", holders[name]) for name in order])
    gone = []
    while (victim := places.gives_way("other")) is not None:
        gone.append(victim.name)
        places.remove(victim)
    assert gone == ["half old", "half young", "idle old", "idle young"]
    # A single busy one is left: its network holds no more than the newcomer's would.
    assert len(places) == 1


def test_a_message_that_has_begun_counts_as_half_done_though_others_came_before_it() -> None:
    later = Holder("begun", IDLE, 5)
    places = filled(*[("one", Holder(f"idle {n}", IDLE, n)) for n in range(50)], ("one", later))
    assert named(places.gives_way("other")) == "idle 0"
    later.does = HALF
    assert named(places.gives_way("other")) == "begun"


def test_a_network_never_displaces_the_busy_connections_of_a_smaller_or_equal_one() -> None:
    places = filled(*[(net, Holder(f"{net} {n}", BUSY, n)) for net in "ab" for n in range(3)])
    assert places.gives_way("a") is None
    assert places.gives_way("b") is None
    places.add(Holder("a 3", BUSY, 3), "a")
    assert places.gives_way("a") is None  # its own must not be evicted
    assert places.gives_way("b") is None  # it would then hold as many
    assert named(places.gives_way("c")) == "a 0"


def test_a_burst_of_newcomers_displaces_idle_connections_and_not_itself() -> None:
    """If all newcomers competed for one slot, only the last would be served."""
    places = filled(*[("one", Holder(f"idle {n}", IDLE, n)) for n in range(1024)])
    newcomers = []
    for n in range(30):
        victim = places.gives_way("one")
        assert victim is not None
        assert victim.does is IDLE
        places.remove(victim)
        newcomers.append(Holder(f"newcomer {n}", HALF, 2000 + n))
        places.add(newcomers[-1], "one")
    assert len(places) == 1024


def test_a_flood_of_newcomers_takes_no_more_than_its_share_from_idle_connections() -> None:
    places = filled(*[("one", Holder(f"idle {n}", IDLE, n)) for n in range(1024)])
    for n in range(2000):
        victim = places.gives_way("one")
        assert victim is not None
        places.remove(victim)
        places.add(Holder(f"newcomer {n}", HALF, 2000 + n), "one")
    left = Counter(holder.does for holder in places._network_of)
    assert left[HALF] <= 1024 / 32 + 1
    assert left[IDLE] >= 1024 * 31 / 32 - 1


@pytest.mark.parametrize("networks", [1, 60, 20_000])
@pytest.mark.parametrize("standing", list(Standing))
def test_admitting_a_connection_costs_the_same_however_many_there_are(
    networks: int, standing: Standing
) -> None:
    number = 20_000
    places = filled(*[(f"net {n % networks}", Holder("", standing, n)) for n in range(number)])
    for n in range(100):
        Holder.asked = 0
        before = _lines_run(places.gives_way, f"newcomer {n}")
        assert Holder.asked <= 64
        assert before < 64 * 40
        places.add(Holder("", standing, number + n), f"newcomer {n}")


def _lines_run(call, *arguments) -> int:
    """Count the lines of Python that a call runs."""
    lines = 0

    def trace(frame, event, argument):
        nonlocal lines
        lines += event == "line"
        return trace

    sys.settrace(trace)
    try:
        call(*arguments)
    finally:
        sys.settrace(None)
    return lines


networks = st.sampled_from("abcd")
steps = st.lists(
    st.tuples(
        st.sampled_from(["add", "add", "remove", "move", "change", "give way"]),
        networks,
        st.integers(0, 20),
        st.sampled_from(list(Standing)),
    ),
    max_size=60,
)


@given(steps)
def test_the_choice_agrees_with_a_model_that_asks_every_connection(steps) -> None:
    """Compared with a model that examines all of them; there are fewer than the number asked."""
    places: Occupancy[Holder] = Occupancy()
    model: dict[Holder, str] = {}
    for time, (step, network, index, standing) in enumerate(steps):
        chosen = list(model)[index % len(model)] if model else None
        if step == "add" or chosen is None:
            holder = Holder(f"{network} {time}", standing, time)
            places.add(holder, network)
            model[holder] = network
        elif step == "remove":
            places.remove(chosen)
            places.remove(chosen)  # harmless
            del model[chosen]
        elif step == "move":
            places.move(chosen, network)
            del model[chosen]
            model[chosen] = network
        elif step == "change":
            chosen.does = standing
        held = Counter(model.values())
        assert len(places) == len(model)
        assert all(places.held_by(one) == held[one] for one in "abcd")
        if step == "give way" and model:
            _check_choice(places, model, held, network)


def _check_choice(places, model, held, newcomer) -> None:
    most = max(held.values())
    able = [h for h, net in model.items() if held[net] == most]
    if held[newcomer] + 1 >= most:
        able = [holder for holder in able if holder.does is not BUSY]
    victim = places.gives_way(newcomer)
    if not able:
        assert victim is None
        return
    assert victim in able
    order = [HALF, IDLE, BUSY]
    best = min(order.index(holder.does) for holder in able)
    if len(model) < 32:  # where a single newcomer exceeds their share
        assert order.index(victim.does) == best


def test_random_traffic_leaves_no_entries_behind() -> None:
    chance = random.Random(7)
    places: Occupancy[Holder] = Occupancy()
    present: list[Holder] = []
    for n in range(20_000):
        if present and chance.random() < 0.5:
            places.remove(present.pop(chance.randrange(len(present))))
        else:
            holder = Holder("", chance.choice(list(Standing)), n)
            places.add(holder, chance.randrange(50))
            present.append(holder)
            if chance.random() < 0.2:
                places.gives_way(chance.randrange(50))
    for holder in present:
        places.remove(holder)
    assert len(places) == 0
    assert not places._networks
    assert not places._by_size
    assert places._most == places._fresh == 0


@pytest.mark.parametrize(
    ("one", "other", "are_one"),
    [
        ("192.0.2.1", "192.0.2.254", True),
        ("192.0.2.1", "192.0.3.1", False),
        ("192.0.2.1", "::ffff:192.0.2.9", True),
        ("2001:db8:0:aa00::1", "2001:db8:0:aaff::2", True),
        ("2001:db8:0:aa00::1", "2001:db8:0:ab00::1", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("0.0.0.1", "::1", False),
    ],
)
def test_addresses_of_one_network_are_counted_together(one, other, are_one) -> None:
    first, second = (network_of(Peer((host, 7)), None, 24, 56) for host in (one, other))
    assert (first == second) is are_one


def test_processes_are_counted_by_account_and_peers_without_address_by_name() -> None:
    root, user = Credentials(1, 0, 0), Credentials(2, 1000, 1000)
    assert network_of(Peer(""), root, 24, 56) != network_of(Peer(""), user, 24, 56)
    assert network_of(Peer("/a"), user, 24, 56) == network_of(Peer("@b"), user, 24, 56)
    assert network_of(Peer("a"), None, 24, 56) != network_of(Peer("b"), None, 24, 56)
