"""What policies promise, whatever happens to the upstreams.

Upstreams are asked, answer, fail, are ejected, return and are drained in any order on a made-up
clock; each choice is compared with what may be chosen then.
"""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.laws.outcomes import met, shares

from pierhead import Metrics
from pierhead.client.balance_options import BalanceOptions
from pierhead.client.policies import Fastest, Hedged, LeastBusy, Policy, Rendezvous, RoundRobin
from pierhead.client.upstream import Upstream
from pierhead.client.upstreams import Upstreams
from pierhead.errors import PeerUnavailable

POLICIES = [RoundRobin(), LeastBusy(), Fastest(), Rendezvous(), Hedged()]
OPTIONS = BalanceOptions(max_failures=2, eject_time=1.0, max_eject_time=8.0, slow_return=4.0)

policies = st.sampled_from(POLICIES)
numbers = st.integers(1, 7)
steps = st.lists(
    st.tuples(
        st.sampled_from(["choose", "answer", "fail", "refuse", "wait", "drain", "restore"]),
        st.integers(0, 6),
    ),
    max_size=60,
)


def upstreams_of(names: list[str], policy: Policy, seed: int = 0) -> Upstreams[str]:
    chance = random.Random(seed).random
    return Upstreams([(n, n) for n in names], policy, OPTIONS, Metrics(), chance=chance)


@shares(chosen=0.1, ejected=0.02)
@given(policy=policies, number=st.integers(1, 4), plan=steps, seed=st.integers(0, 99))
def test_neither_an_ejected_nor_a_draining_one_is_chosen_while_there_is_another(
    policy: Policy, number: int, plan: list[tuple[str, int]], seed: int
) -> None:
    upstreams, now = upstreams_of([f"u{n}" for n in range(number)], policy, seed), 0.0
    for action, which in plan:
        upstream = upstreams.all[which % number]
        if action == "choose":
            open_to = [one for one in upstreams.all if not one.is_draining]
            if not open_to:
                with pytest.raises(PeerUnavailable, match="no upstream is left"):
                    upstreams.choose(b"key", now)
                continue
            chosen = upstreams.choose(str(which).encode(), now)
            assert chosen in open_to
            met("chosen")
            if any(one.share(now) for one in open_to):
                assert chosen.share(now)
        elif action == "wait":
            now += which / 2
        elif action == "answer":
            upstreams.succeeded(upstream, now, which / 10)
        elif action in ("fail", "refuse"):
            before = upstream.share(now)
            is_certain = action == "refuse"
            upstreams.failed(upstream, now, 0.1, "ended", is_certain=is_certain)
            if before < 1 or is_certain:
                assert upstream.share(now) == 0
                met("ejected")
        else:
            upstream.is_draining = action == "drain"


@given(policy=policies, number=numbers, key=st.binary(max_size=4))
def test_if_all_are_ejected_one_is_tried_nevertheless(
    policy: Policy, number: int, key: bytes
) -> None:
    upstreams = upstreams_of([f"u{n}" for n in range(number)], policy)
    for upstream in upstreams.all:
        upstreams.failed(upstream, 0.0, 0.1, "connect", is_certain=True)
        assert not upstream.share(0.5)
    assert upstreams.choose(key, 0.5) in upstreams.all


@given(number=numbers, requests=st.integers(0, 100))
def test_round_robin_is_fair_to_the_request(number: int, requests: int) -> None:
    upstreams = upstreams_of([f"u{n}" for n in range(number)], RoundRobin())
    counts = Counter(upstreams.choose(b"", 0.0).name for _ in range(requests))
    given_to = [counts[one.name] for one in upstreams.all]
    assert max(given_to) - min(given_to) <= 1


@given(number=numbers, ends=st.lists(st.booleans(), max_size=100), seed=st.integers(0, 99))
def test_the_least_busy_one_is_never_busier_than_another(
    number: int, ends: list[bool], seed: int
) -> None:
    upstreams, chance = (
        upstreams_of([f"u{n}" for n in range(number)], LeastBusy()),
        random.Random(seed),
    )
    for is_end in ends:
        busy = [one for one in upstreams.all if one.in_flight]
        if is_end and busy:
            upstreams.ended(chance.choice(busy))
        chosen = upstreams.choose(b"", 0.0)
        assert chosen.in_flight == min(one.in_flight for one in upstreams.all)
        upstreams.begun(chosen)


@settings(max_examples=15)
@given(
    slow_s=st.floats(0.05, 1.0),
    fast_s=st.floats(0.001, 0.01),
    number=st.integers(2, 5),
    seed=st.integers(0, 99),
)
def test_the_fastest_gets_most_and_the_others_are_asked_now_and_then(
    slow_s: float, fast_s: float, number: int, seed: int
) -> None:
    upstreams, now = upstreams_of([f"u{n}" for n in range(number)], Fastest(), seed), 0.0
    counts: Counter[str] = Counter()
    for _ in range(1000):
        chosen = upstreams.choose(b"", now)
        counts[chosen.name] += 1
        upstreams.succeeded(chosen, now, fast_s if chosen.name == "u0" else slow_s)
        now += 0.05
    usual = 2 / number  # how often it is one of the two drawn
    assert counts["u0"] >= 1000 * usual * 0.8
    assert all(counts[one.name] for one in upstreams.all)


@settings(max_examples=40)
@given(
    names=st.lists(st.text("abcdef.:0123", min_size=1), min_size=2, max_size=8, unique=True),
    keys=st.lists(st.binary(max_size=8), min_size=1, max_size=20),
    data=st.data(),
)
def test_rendezvous_moves_only_the_keys_of_the_one_that_leaves(
    names: list[str], keys: list[bytes], data: st.DataObject
) -> None:
    upstreams = upstreams_of(names, Rendezvous())
    shuffled = upstreams_of(data.draw(st.permutations(names)), Rendezvous(), seed=1)
    leaving = upstreams.all[data.draw(st.integers(0, len(names) - 1))]
    before = {key: upstreams.choose(key, 0.0).name for key in keys}
    assert before == {key: shuffled.choose(key, 0.0).name for key in keys}
    leaving.failed(0.0, 0.1, is_certain=True)
    after = {key: upstreams.choose(key, 0.0).name for key in keys}
    for key in keys:
        assert after[key] != leaving.name
        if before[key] != leaving.name:
            assert after[key] == before[key]
    # Its keys return one after another, and none leaves again.
    returned: set[bytes] = set()
    for tenth in range(10, 60, 5):
        there = {key for key in keys if upstreams.choose(key, tenth / 10).name == leaving.name}
        assert returned <= there
        returned = there
    assert returned == {key for key in keys if before[key] == leaving.name}


def test_rendezvous_spreads_keys_evenly() -> None:
    upstreams = upstreams_of([f"tcp:192.0.2.{n}:53" for n in range(5)], Rendezvous())
    counts = Counter(upstreams.choose(str(n).encode(), 0.0).name for n in range(5000))
    assert all(850 < count < 1150 for count in counts.values())
    assert len(counts) == 5


@given(failures=st.lists(st.floats(0.0, 3.0), min_size=1, max_size=12))
def test_each_ejection_is_longer_up_to_the_longest_unless_it_was_well(
    failures: list[float],
) -> None:
    upstream, now, last = Upstream("u", None, OPTIONS), 0.0, 0.0
    for pause in failures:
        assert upstream.failed(now, 0.1, is_certain=True)
        seconds = next(n / 8 for n in range(100) if upstream.share(now + n / 8))
        assert seconds == min(8.0, max(1.0, 2 * last))
        last = seconds
        now += seconds + pause  # less than slow_return: it is returning still
    assert upstream.failed(now + 100, 0.1, is_certain=True)
    assert upstream.share(now + 100 + 1.0) > 0
