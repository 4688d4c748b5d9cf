"""Random zones and questions: where NSD and Knot agree, our answer is theirs.

The same seed each time, so that it fails for a change of ours and for nothing else; by hand,
`python -m tests.interop.differential --seed N --zones N` goes on to other seeds.
"""

from __future__ import annotations

from random import Random

import pytest
from tests.interop.answers import Answer, Ask
from tests.interop.differential import ACCEPTED, Tally, differences, in_common
from tests.interop.random_zones import random_questions, random_world

SEED = 20260101
ZONES = 160
QUESTIONS = 40


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_random_questions_are_answered_as_by_nsd_and_knot(program, tmp_path) -> None:
    program("nsd")
    program("knotd")
    tally = Tally()

    found = next(differences(SEED, ZONES, QUESTIONS, tmp_path, tally), None)

    assert found is None, str(found)
    assert tally.asked == ZONES * QUESTIONS
    # Otherwise the comparison would prove little.
    assert tally.agreed > 0.85 * tally.asked


def test_a_seed_stands_for_one_world_and_its_questions() -> None:
    first, second = (random_world(Random("7/3")) for _ in range(2))

    assert first == second
    assert random_questions(first, Random(1), 20) == random_questions(second, Random(1), 20)


def test_the_worlds_have_every_corner_in_them() -> None:
    worlds = [random_world(Random(f"{SEED}/{number}")) for number in range(ZONES)]
    entries = [entry for world in worlds for zone in world.zones.values() for entry in zone]

    rtypes = {entry.rtype for entry in entries}
    assert rtypes >= {"A", "MX", "SRV", "CNAME", "DNAME", "NS", "DS", "TYPE65280"}
    assert any(entry.owner.startswith("*.") for entry in entries)
    assert any(".*." in entry.owner for entry in entries)
    assert any(len(world.zones) > 1 for world in worlds)


@pytest.mark.parametrize("accepted", ACCEPTED, ids=lambda accepted: accepted.reason)
def test_what_is_accepted_leaves_the_flags_and_the_question(accepted) -> None:
    one = ("www.example.", 60, "A", "192.0.2.1")
    answer = Answer(
        rcode="NOERROR",
        flags=frozenset({"AA", "TC"}),
        question=("www.example. IN ANY",),
        answer=frozenset({one}),
        authority=frozenset(),
        additional=frozenset({("ns.example.", 60, "A", "192.0.2.2")}),
        edns=None,
    )

    assert accepted.applies(Ask("www.example.", "ANY"), answer)
    left = accepted.remains(answer)
    assert (left.flags, left.question) == (answer.flags, answer.question)
    assert not left.additional


def test_a_referral_keeps_its_glue() -> None:
    referral = Answer(
        rcode="NOERROR",
        flags=frozenset(),
        question=("www.example. IN A",),
        answer=frozenset(),
        authority=frozenset({("example.", 60, "NS", "ns.example.")}),
        additional=frozenset({("ns.example.", 60, "A", "192.0.2.2")}),
        edns=None,
    )

    assert in_common(Ask("www.example.", "A"), referral, {"ns.example."}) == referral
