"""Each EDNS option and each header bit: where NSD, Knot DNS and BIND agree, our answer is theirs.

The messages, and what the RFCs want for each, are those of the unit tests' table.
"""

from __future__ import annotations

import itertools
import struct
from dataclasses import replace

import pytest
from tests.interop.peers import Peer
from tests.interop.test_unusual_messages import exchange
from tests.processes import wait_until
from tests.unit.protocols.dns.message_table import IDENT, ROWS, Row, Told, told

#: BIND is silent about a second format error with the same identifier in one second.
_IDENTS = itertools.cycle(range(1, 0xFFFF))

_WITH_OPT = (
    "a request with an OPT record gets a response with one (RFC 6891 §6.1.1); they send none"
)
_NOT_IMPLEMENTED = "they implement this opcode; we do not, and say so"
_UNREADABLE = "NOTIMP before FORMERR: nobody knows what sections an unknown opcode has"
#: Where our answer is that of none of them: part of a row's name, and why.
ALONE = {
    "two OPT records": _WITH_OPT,
    "questions, EDNS": _WITH_OPT,
    "OPT with ": _WITH_OPT,
    "option 8: 00011808c00002": _WITH_OPT,
    "NOTIFY, ": _NOT_IMPLEMENTED,
    "UPDATE, ": _NOT_IMPLEMENTED,
    "EDNS behind other records": _UNREADABLE,
}


def from_nsd(nsd: Peer, row: Row) -> Told | str | None:
    """Return what NSD says, which sends about a hundred errors a second: later, it says more."""
    if row.answer is None:
        return in_common(nsd, row)
    said = in_common(nsd, row)

    def is_said() -> bool:
        nonlocal said
        said = said or in_common(nsd, row)
        return said is not None

    wait_until(is_said, nsd.running)
    return said


def in_common(peer: Peer, row: Row) -> Told | str | None:
    """Return what a server says that is no matter of configuration: which options are known is."""
    ident = next(_IDENTS).to_bytes(2, "big")
    reply = exchange(peer, ident + row.frame[2:])
    if reply is not None:
        reply = IDENT.to_bytes(2, "big") + reply[2:]
    try:
        said = told(reply)
    except (AssertionError, IndexError, struct.error) as fault:
        return f"broken: {fault}"
    return said and replace(said, options=())


@pytest.mark.rfc("8906", "8")
def test_where_three_servers_agree_our_answer_is_theirs(
    nsd: Peer, knot: Peer, bind: Peer, pierhead: Peer
) -> None:
    agreed, alone = 0, {}
    for row in ROWS:
        ours = in_common(pierhead, row)
        theirs = [from_nsd(nsd, row), in_common(knot, row), in_common(bind, row)]
        agreed += len(set(theirs)) == 1
        if ours not in theirs:
            alone[row.name] = f"ours {ours}, theirs {theirs}"

    unexplained = {
        name: said for name, said in alone.items() if not any(part in name for part in ALONE)
    }
    assert unexplained == {}
    assert all(any(part in name for name in alone) for part in ALONE), "each reason is needed"
    assert agreed >= 300


def test_the_server_says_what_the_rules_say(pierhead: Peer) -> None:
    """The same over a socket, and again with answers that are ready."""
    for _ in range(2):
        wrong = {
            row.name: f"{row.rule}: {said}, expected {row.answer}"
            for row in ROWS
            for said in [in_common(pierhead, row)]
            if said != (row.answer and replace(row.answer, options=()))
        }
        assert wrong == {}
