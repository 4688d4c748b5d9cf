"""A rate limit per source."""

from __future__ import annotations

import ipaddress
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pierhead.errors import UsageError
from pierhead.service.admission import Drop, per_source_rate
from pierhead.service.context import Peer, Transport, Via

VIA = Via(transport=Transport.DATAGRAM, scheme="udp", local="udp:[::]:53", listener="udp:[::]:53")


class Held:
    """A clock that the test moves."""

    def __init__(self, now=1_000_000.0):
        self.now = now

    def monotonic(self):
        return self.now

    def wall(self):
        return self.now


def asked(check, host, times=1):
    """How many of so many frames pass."""
    peer = host if isinstance(host, Peer) else Peer((host, 5353))
    return sum(check(b"", peer, VIA) is None for _ in range(times))


def test_a_burst_passes_then_the_rate():
    clock = Held()
    check = per_source_rate(10, 3, clock=clock)
    assert asked(check, "192.0.2.1", 5) == 3
    clock.now += 0.11
    assert asked(check, "192.0.2.1", 5) == 1
    clock.now += 100
    assert asked(check, "192.0.2.1", 5) == 3
    assert check(b"", Peer(("192.0.2.1", 1)), VIA) == Drop("source_rate")


def test_a_dropped_frame_costs_nothing():
    clock = Held()
    check = per_source_rate(1, 1, clock=clock)
    assert asked(check, "192.0.2.1", 1000) == 1
    clock.now += 1.01
    assert asked(check, "192.0.2.1") == 1


def test_sources_do_not_share_a_bucket():
    check = per_source_rate(1, 1, clock=Held())
    hosts = ["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8:0:1::1", "::c000:201"]
    assert [asked(check, host, 2) for host in hosts] == [1, 1, 1, 1, 1]
    assert [asked(check, Peer(name), 2) for name in ("a", "b", "")] == [1, 1, 1]


def test_addresses_of_one_prefix_share_a_bucket():
    check = per_source_rate(1, 1, clock=Held())
    assert asked(check, "2001:db8::1") + asked(check, "2001:db8::2") == 1
    assert asked(check, "192.0.2.1") + asked(check, "::ffff:192.0.2.1") == 1
    check = per_source_rate(1, 1, ipv4_prefix=24, ipv6_prefix=56, clock=Held())
    assert asked(check, "192.0.2.1") + asked(check, "192.0.2.255") == 1
    assert asked(check, "2001:db8::1") + asked(check, "2001:db8:0:ff::1") == 1
    assert asked(check, "192.0.3.1") + asked(check, "2001:db8:0:100::1") == 2


def test_the_table_is_bounded_and_the_longest_silent_source_is_forgotten():
    check = per_source_rate(1, 1, max_sources=2, clock=Held())
    assert asked(check, "192.0.2.1", 2) == 1
    assert asked(check, "192.0.2.2", 2) == 1
    assert asked(check, "192.0.2.1") == 0  # seen again, though dropped
    assert check.forgotten == 0
    assert asked(check, "192.0.2.3") == 1
    assert (len(check), check.forgotten) == (2, 1)
    assert asked(check, "192.0.2.1") == 0
    assert asked(check, "192.0.2.2") == 1  # it was the one


def test_forgetting_a_source_whose_bucket_is_full_loses_nothing():
    clock = Held()
    check = per_source_rate(1, 1, max_sources=1, clock=clock)
    asked(check, "192.0.2.1")
    clock.now += 2
    asked(check, "192.0.2.2")
    assert check.forgotten == 0


@settings(max_examples=60, deadline=None)
@given(
    per_second=st.sampled_from([0.5, 3, 7, 200]),
    burst=st.integers(1, 20),
    steps=st.lists(st.tuples(st.floats(0, 2), st.integers(1, 30)), min_size=1, max_size=15),
    start=st.sampled_from([0.0, 12.3456789, 1e7]),
)
def test_no_span_admits_more_than_burst_and_rate_and_no_source_is_starved(
    per_second, burst, steps, start
):
    clock = Held(start)
    check = per_source_rate(per_second, burst, clock=clock)
    passed = []
    for pause, frames in steps:
        clock.now += pause
        passed.append((clock.now, asked(check, "192.0.2.1", frames)))
    for i, (begin, _) in enumerate(passed):
        for j in range(i, len(passed)):
            got = sum(n for _, n in passed[i : j + 1])
            # A microsecond for the clock's own rounding.
            assert got <= burst + per_second * (passed[j][0] - begin + 1e-6)
    assert passed[0][1] == min(burst, steps[0][1])


@settings(max_examples=30, deadline=None)
@given(
    hosts=st.lists(st.ip_addresses(v=4).map(str), max_size=60),
    max_sources=st.integers(1, 10),
)
def test_the_table_never_grows_past_its_bound(hosts, max_sources):
    check = per_source_rate(1, 1, max_sources=max_sources, clock=Held())
    for host in hosts:
        asked(check, host)
        assert len(check) <= max_sources


@pytest.mark.parametrize(
    "wrong",
    [
        {"per_second": 0},
        {"burst": 0},
        {"burst": 1.5},
        {"ipv4_prefix": 33},
        {"ipv6_prefix": 0},
        {"max_sources": 0},
    ],
)
def test_a_number_out_of_range_is_refused(wrong):
    with pytest.raises(UsageError, match=next(iter(wrong))):
        per_source_rate(**{"per_second": 1, "burst": 1, **wrong})


@pytest.mark.parametrize("source", ["names", "IPv6", "IPv4"])
def test_the_full_table_takes_no_more_memory_than_is_documented(source):
    def peer(number):
        if source == "names":
            return Peer(f"{number:0>108}")
        if source == "IPv6":
            return Peer((str(ipaddress.IPv6Address(2**127 + (number << 64))), 53))
        return Peer((str(ipaddress.IPv4Address(2**31 + number)), 53))

    check = per_source_rate(max_sources=8192, clock=Held())
    tracemalloc.start()
    try:
        for number in range(9000):
            check(b"", peer(number), VIA)
        assert len(check) == 8192
        # 12 MB for 65,536, as the table of limits says.
        assert tracemalloc.get_traced_memory()[0] < 12_000_000 * 8192 / 65_536
    finally:
        tracemalloc.stop()


def test_names_are_distinct_from_each_other_and_from_addresses():
    check = per_source_rate(1, 1, clock=Held())
    names = [Peer("x" * 107 + last) for last in "ab"]
    addresses = [Peer((host, 1)) for host in ("0.0.0.0", "255.255.255.255", "::", "ffff::")]
    assert [asked(check, peer, 2) for peer in (*names, *addresses)] == [1] * 6


def test_a_source_that_keeps_sending_is_not_forgotten():
    check = per_source_rate(1000, 1000, max_sources=3, clock=Held())
    for number in range(100):
        asked(check, "192.0.2.1")
        asked(check, f"198.51.100.{number}")
    assert asked(check, "192.0.2.1", 1000) == 900
