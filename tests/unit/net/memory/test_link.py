from __future__ import annotations

import asyncio

import pytest

from pierhead.address import ListenSpec
from pierhead.errors import ListenError, UsageError
from pierhead.listener.open import open_listeners
from pierhead.net.memory.link import Direction


@pytest.fixture
def ends(network):
    """A function that opens datagram ends by name."""
    opened = []

    async def open_ends(*names):
        for name in names:
            opened.extend(await open_listeners(ListenSpec.parse(f"memgram:{name}")))
        return opened[-len(names) :]

    yield open_ends
    for listener in opened:
        listener.close()


def numbers(listener, limit=10_000):
    return [int(payload) for payload, _ in listener.receive_batch(limit)]


def send(sender, receiver, count):
    datagrams = [(str(i).encode(), receiver.name) for i in range(count)]
    assert sender.send_batch(datagrams) == []


async def test_without_impairments_everything_arrives_in_order_and_at_once(ends):
    a, b = await ends("a", "b")
    send(a, b, 10)
    batch = b.receive_batch(100)
    assert [payload for payload, _ in batch] == [str(i).encode() for i in range(10)]
    assert {str(b.peer(back)) for _, back in batch} == {"a"}


async def test_a_reply_finds_its_way_back(ends):
    a, b = await ends("a", "b")
    send(a, b, 1)
    ((_, back),) = b.receive_batch(1)
    assert b.send_batch([(b"7", back)]) == []
    assert numbers(a) == [7]


async def test_loss_is_the_same_for_the_same_seed_only(ends, network):
    a, b = await ends("a", "b")

    def survivors(seed):
        network.between("a", "b").lose(0.3, seed=seed)
        send(a, b, 300)
        return numbers(b)

    first, again, other = survivors(7), survivors(7), survivors(8)
    assert first == again != other
    assert 150 < len(first) < 270
    assert network.between("b", "a").lost == 900 - len(first) * 2 - len(other)


async def test_one_direction_does_not_disturb_the_other(ends, network):
    a, b = await ends("a", "b")
    link = network.between("a", "b").lose(0.5, seed=3)
    send(a, b, 100)
    alone = numbers(b)
    link.lose(0.5, seed=3)
    for i in range(100):
        a.send_batch([(str(i).encode(), "b")])
        b.send_batch([(b"0", "a")])
    assert numbers(b) == alone


async def test_a_fault_may_concern_one_sender_only(ends, network):
    a, b = await ends("a", "b")
    network.between("a", "b").lose(1.0, sender="a")
    send(a, b, 5)
    send(b, a, 5)
    assert (numbers(b), numbers(a)) == ([], [0, 1, 2, 3, 4])


async def test_a_delay_is_kept_by_the_held_clock(ends, network, clock):
    a, b = await ends("a", "b")
    network.between("a", "b").delay(2.0)
    send(a, b, 3)
    await clock.advance(1.9)
    assert numbers(b) == []
    await clock.advance(0.2)
    assert numbers(b) == [0, 1, 2]


async def test_jitter_reorders_by_seed(ends, network, clock):
    a, b = await ends("a", "b")

    async def arrivals(seed):
        network.between("a", "b").delay(0.1, jitter=0.1, seed=seed)
        send(a, b, 50)
        await clock.advance(1)
        return numbers(b)

    first, again = await arrivals(1), await arrivals(1)
    assert first == again != sorted(first)
    assert sorted(first) == list(range(50))


async def test_reordering_lets_the_next_one_overtake(ends, network):
    a, b = await ends("a", "b")
    network.between("a", "b").reorder(0.3, seed=4)
    send(a, b, 100)
    send(a, b, 1)
    arrived = numbers(b)
    assert arrived != sorted(arrived)
    assert max(abs(place - number) for place, number in enumerate(arrived[:90])) <= 5


async def test_the_last_one_is_not_held_back_for_ever(ends, network, clock):
    a, b = await ends("a", "b")
    network.between("a", "b").reorder(1.0)
    send(a, b, 1)
    assert numbers(b) == []
    await clock.advance(0.05)
    assert numbers(b) == [0]


async def test_duplicates_arrive_twice(ends, network):
    a, b = await ends("a", "b")
    network.between("a", "b").duplicate(1.0)
    send(a, b, 2)
    assert numbers(b) == [0, 0, 1, 1]


async def test_a_cut_link_loses_new_datagrams_and_those_in_transit(ends, network, clock):
    a, b = await ends("a", "b")
    link = network.between("a", "b").delay(1.0)
    send(a, b, 2)
    link.cut()
    send(a, b, 3)
    await clock.advance(5)
    assert numbers(b) == []
    assert link.lost == 5
    link.heal()
    send(a, b, 1)
    await clock.advance(5)
    assert numbers(b) == [0]


async def test_a_full_queue_drops_and_counts(ends):
    a, b = await ends("a", "b")
    send(a, b, 1500)
    assert len(numbers(b)) == 1024
    assert b.dropped == 476


async def test_an_absent_receiver_loses_in_silence(ends):
    (a,) = await ends("a")
    assert a.send_batch([(b"x", "nobody")]) == []


async def test_a_datagram_no_network_carries_is_refused(ends):
    a, b = await ends("a", "b")
    refused = a.send_batch([(b"1", "b"), (bytes(65_508), "b"), (b"3", "b")])
    assert [index for index, _ in refused] == [1]
    assert numbers(b) == [1, 3]


async def test_readable_is_called_until_the_queue_is_empty(ends, clock):
    a, b = await ends("a", "b")
    calls = []
    send(a, b, 2)
    b.start(lambda: calls.append(b.receive_batch(1)))
    await clock.advance(0)
    send(a, b, 1)
    await clock.advance(0)
    assert [len(batch) for batch in calls] == [1, 1, 1]
    b.stop()
    send(a, b, 1)
    await clock.advance(0)
    assert len(calls) == 3


async def test_a_listener_may_lose_by_its_address(network):
    (b,) = await open_listeners(ListenSpec.parse("memgram:b?loss=0.5&seed=7"))
    (a,) = await open_listeners(ListenSpec.parse("memgram:a"))
    send(a, b, 200)
    assert 50 < len(numbers(b)) < 150
    a.close()
    b.close()


async def test_a_name_is_taken_once(ends):
    await ends("a")
    with pytest.raises(ListenError, match=r"memgram:a: open: .*already has an end called 'a'"):
        await ends("a")


async def test_a_closed_end_releases_its_name(ends):
    (a,) = await ends("a")
    a.close()
    a.close()
    await ends("a")


async def test_unreferenced_links_do_not_accumulate(ends, network):
    a, _ = await ends("a", "b")
    for number in range(50):
        a.send_batch([(b"x", f"client-{number}")])
    assert len(network._links) == 0


@pytest.mark.parametrize("probability", [-0.1, 1.1, float("nan")])
async def test_a_probability_is_checked(network, probability):
    with pytest.raises(UsageError, match="between 0 and 1"):
        network.between("a", "b").lose(probability)


async def test_a_delay_is_checked(network):
    with pytest.raises(UsageError, match="not negative"):
        network.between("a", "b").delay(-1)


async def test_a_sender_must_be_an_end_of_the_link(network):
    with pytest.raises(UsageError, match="'c' is not an end of this link, which joins a and b"):
        network.between("a", "b").lose(0.1, sender="c")


def test_a_stream_keeps_its_order_however_time_passes_meanwhile(monkeypatch):
    class Loop:
        """Time passes between any two looks at the clock."""

        def __init__(self):
            self.now, self.calls = 0.0, []

        def time(self):
            self.now += 0.1 / (1 + len(self.calls))
            return self.now

        def call_at(self, when, call):
            self.calls.append((when, call))

    loop = Loop()
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: loop)
    direction, arrived = Direction("a", "b"), []
    direction.impairments.delay(1.0, 0.0, 0)
    direction.carry_chunk(lambda: arrived.append(0))
    direction.impairments.delay(0.0, 0.0, 0)
    for number in (1, 2, 3):
        direction.carry_chunk(lambda number=number: arrived.append(number))

    for _, call in loop.calls:
        call()

    assert arrived == [0, 1, 2, 3]
