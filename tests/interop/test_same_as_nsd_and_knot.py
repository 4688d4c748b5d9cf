"""Our server answers as NSD and Knot DNS do, question by question, where those two agree.

Where they do not, RFCs leave a choice; ours must then be the choice of one of them, or one that
`ACCEPTED` names with its reason.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from tests.interop.answers import Answer, Ask, ask
from tests.interop.peers import Peer
from tests.interop.questions import DISAGREEMENTS, QUESTIONS, TOO_LONG


@dataclass(frozen=True)
class Accepted:
    """A difference that a standard allows: to which questions it applies, why, what remains."""

    applies: Callable[[Ask, Answer], bool]
    reason: str
    remains: Callable[[Answer], Answer]


ACCEPTED = (
    Accepted(
        lambda asked, answer: "TC" in answer.flags,
        "RFC 2181 §9: what a truncated answer still holds is to be ignored",
        Answer.without_sections,
    ),
    Accepted(
        lambda asked, answer: asked.rtype == "ANY" and len({r[2] for r in answer.answer}) == 1,
        "RFC 8482 §4.1: ANY may be answered with one RRset of the name, whichever it is",
        Answer.without_sections,
    ),
)


def in_common(asked: Ask, answer: Answer) -> Answer:
    """Return what of an answer the standards leave no choice about."""
    for accepted in ACCEPTED:
        if accepted.applies(asked, answer):
            return accepted.remains(answer)
    return answer


@pytest.mark.parametrize("asked", QUESTIONS, ids=str)
def test_the_answer_is_that_of_nsd_or_knot(
    asked: Ask, nsd: Peer, knot: Peer, pierhead: Peer
) -> None:
    theirs = {peer.name: in_common(asked, ask(asked, peer.host, peer.port)) for peer in (nsd, knot)}
    ours = in_common(asked, ask(asked, pierhead.host, pierhead.port))

    # One comparison that prints well where they agree, which is nearly everywhere.
    if theirs["nsd"] == theirs["knot"] or ours != theirs["nsd"]:
        assert ours == theirs["knot"]


def test_nsd_and_knot_disagree_only_where_it_is_known(nsd: Peer, knot: Peer) -> None:
    """Otherwise the comparison above would prove little."""
    differing = {
        (asked.name, asked.rtype, asked.rclass)
        for asked in QUESTIONS
        if in_common(asked, ask(asked, nsd.host, nsd.port))
        != in_common(asked, ask(asked, knot.host, knot.port))
    }

    assert differing == set(DISAGREEMENTS)


@pytest.mark.rfc("6672", "2.2")
def test_a_name_that_a_dname_makes_too_long_is_yxdomain(pierhead: Peer) -> None:
    """Here Knot differs, so its answer does not count."""
    answer = ask(Ask(TOO_LONG, "TXT"), pierhead.host, pierhead.port)

    assert answer.rcode == "YXDOMAIN"
    assert {record[2] for record in answer.answer} == {"DNAME"}


def test_an_answer_of_one_rrset_to_any_holds_the_whole_set(pierhead: Peer) -> None:
    """The accepted difference for ANY drops the records; here they are looked at."""
    any_answer = ask(Ask("www.example.", "ANY"), pierhead.host, pierhead.port).answer
    rtypes = {record[2] for record in any_answer}
    assert len(rtypes) == 1
    rtype = rtypes.pop()

    if rtype != "HINFO":  # RFC 8482 §4.2: made up for the occasion
        same = ask(Ask("www.example.", rtype), pierhead.host, pierhead.port)
        assert any_answer == same.answer
