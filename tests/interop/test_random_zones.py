"""Random zones and questions: where NSD and Knot agree, our answer is theirs.

The same seed each time, so that it fails for a change of ours and for nothing else; by hand,
`python -m tests.interop.differential --seed N --zones N` goes on to other seeds.
"""

from __future__ import annotations

from random import Random

import pytest
from tests.interop.answers import Answer, Ask
from tests.interop.differential import ACCEPTED, Tally, differences, in_common
from tests.interop.random_zones import (
    DENIALS,
    Question,
    World,
    random_questions,
    random_world,
)
from tests.interop.signing import Denial

SEED = 20260101
#: Two starts of each server, with signed and unsigned zones; ten seconds.
ZONES = 80
QUESTIONS = 36


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_random_questions_are_answered_as_by_nsd_and_knot(program, tmp_path) -> None:
    program("nsd")
    program("knotd")
    program("dnssec-signzone")
    tally = Tally()

    found = next(differences(SEED, ZONES, QUESTIONS, tmp_path, tally), None)

    assert found is None, str(found)
    assert tally.asked == ZONES * QUESTIONS
    # Otherwise the comparison would prove little.
    assert tally.agreed > 0.85 * tally.asked
    assert tally.agreed_with_proofs > 0.2 * tally.asked
    # Where they differ, we are hardly ever the third.
    assert tally.alone < 0.01 * tally.asked


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


def test_half_of_the_worlds_are_signed_in_every_way() -> None:
    worlds = [random_world(Random(f"{SEED}/{number}")) for number in range(ZONES)]

    assert 0.4 * ZONES < sum(bool(world.signed) for world in worlds) < 0.6 * ZONES
    assert {denial for world in worlds for denial in world.signed.values()} == set(DENIALS)
    # A signed zone delegates to signed and to unsigned ones of the same server.
    assert {
        apex in world.signed for world in worlds if world.signed for apex in world.zones if apex
    } == {True, False}
    assert any(entry.rtype == "DS" for world in worlds if world.signed for entry in world.zones[""])


def test_signed_zones_are_asked_with_every_bit_and_for_the_owners_of_proofs() -> None:
    random = Random(1)
    world = World({"": (), "cut": ()}, {"": Denial(salt="abcd", iterations=3)})

    questions = random_questions(world, random, 400)

    for bit in ("dnssec_ok", "authentic_data", "checking_disabled", "hashed"):
        assert {getattr(question, bit) for question in questions} == {True, False}
    assert not any(question.hashed and ".cut" in f".{question.name}" for question in questions)
    assert {"RRSIG", "NSEC", "NSEC3", "DNSKEY"} <= {question.rtype for question in questions}


@pytest.mark.rfc("5155", "A")
def test_the_owner_of_a_proof_is_the_hash_of_the_name() -> None:
    world = World({"": ()}, {"": Denial(salt="aabbccdd", iterations=12)})
    question = Question("ns1", "A", None, tcp=False, hashed=True)

    assert question.qname(world, "example.").lower() == "2t7b4g4vsa5smi47k61mv5bv1a22bojr.example."


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


def test_what_is_beside_a_referral_with_its_alias_stays() -> None:
    answer = Answer(
        rcode="NOERROR",
        flags=frozenset({"AA"}),
        question=("www.example. IN A",),
        answer=frozenset({("www.example.", 60, "CNAME", "www.cut.example.")}),
        authority=frozenset({("cut.example.", 60, "NS", "ns.cut.example.")}),
        additional=frozenset({("ns.cut.example.", 60, "A", "192.0.2.2")}),
        edns=None,
    )

    assert in_common(Ask("www.example.", "A"), answer, {"ns.cut.example."}) == answer


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
