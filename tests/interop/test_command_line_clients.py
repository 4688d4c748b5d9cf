"""dig, kdig and drill are served: what they print of our answers is what they print of Knot's.

The comparison on the wire asks with dnspython; here independent clients do, with their own
defaults (cookies, their own EDNS sizes) and their own judgement of what is malformed.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass

import pytest
from tests.interop.peers import Peer
from tests.interop.questions import DISAGREEMENTS, QUESTIONS, TOO_LONG
from tests.processes import PATIENCE_S

#: Each question once per client, in the two ways a client may choose between.
PLAIN = [
    (asked.name, asked.rtype)
    for asked in QUESTIONS
    if asked.size == 1232 and not asked.tcp and not asked.dnssec_ok and asked.rclass == "IN"
    if (asked.name, asked.rtype, "IN") not in DISAGREEMENTS and asked.rtype != "ANY"
    if asked.edns_version == 0
]


@dataclass(frozen=True)
class Printed:
    """What a client printed of one message: the same text means the same answer."""

    status: str
    flags: frozenset[str]
    records: frozenset[str]


def printed(text: str) -> list[Printed]:
    """Return the messages in the output of dig or kdig."""
    return [_message(part) for part in text.split("->>HEADER<<-")[1:]]


def _message(text: str) -> Printed:
    status = re.search(r"status: (\w+)", text)
    flags = re.search(r"flags: ([a-z ]*);", text, re.IGNORECASE)
    assert status, text
    assert flags, text
    section, records = "", []
    for line in text.splitlines()[1:]:  # the first is the rest of the header line
        title = re.match(r";; (\w+) SECTION:", line)
        if title:
            section = title[1]
        elif section and line and not line.startswith(";"):
            # Letter case means nothing but in texts: compression decides about that of names.
            record = " ".join(line.split())
            records.append(f"{section}: {record if ' TXT ' in record else record.lower()}")
    return Printed(status[1], frozenset(flags[1].split()), frozenset(records))


def run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 0, f"{done.args}\n{done.stdout}{done.stderr}"
    # Such a warning is the client's judgement of a message, not of the network.
    for word in ("malformed", "Warning: ID mismatch", "BADCOOKIE", "WARNING: Message parser"):
        assert word not in done.stdout, done.stdout
    return done.stdout


def asked_by(client: str, peer: Peer, names: list[tuple[str, str]], *options: str) -> list[Printed]:
    """Ask all of this in one run of the client."""
    queries = [part for name, rtype in names for part in (name, rtype)]
    found = printed(run([client, f"@{peer.host}", "-p", str(peer.port), *options, *queries]))
    assert len(found) == len(names)
    return found


WAYS = [
    pytest.param(("+norecurse",), id="udp"),
    pytest.param(("+norecurse", "+tcp"), id="tcp"),
    pytest.param(("+norecurse", "+ignore"), id="truncated"),
    pytest.param(("+norecurse", "+noedns", "+ignore"), id="no-edns"),
    pytest.param(("+dnssec", "+cdflag", "+adflag"), id="all-flags"),
]


@pytest.mark.parametrize("options", WAYS)
@pytest.mark.parametrize("client", ["dig", "kdig"])
def test_a_client_prints_of_our_answers_what_it_prints_of_theirs(
    client: str, options: tuple[str, ...], program, knot: Peer, pierhead: Peer
) -> None:
    path = program(client)

    theirs = asked_by(path, knot, PLAIN, *options)
    ours = asked_by(path, pierhead, PLAIN, *options)

    for asked, our, their in zip(PLAIN, ours, theirs, strict=True):
        if "tc" in their.flags:  # RFC 2181 §9: the records in it are ignored
            assert (asked, our.status, our.flags) == (asked, their.status, their.flags)
        else:
            assert (asked, our) == (asked, their)


@pytest.mark.rfc("7766", "5")
@pytest.mark.parametrize("client", ["dig", "kdig"])
def test_a_client_asks_again_by_tcp_when_an_answer_is_truncated(
    client: str, program, pierhead: Peer
) -> None:
    large = [("logbook.example.", "TXT")]
    path = program(client)

    (ignored,) = asked_by(path, pierhead, large, "+ignore", "+bufsize=1232")
    (whole,) = asked_by(path, pierhead, large, "+bufsize=1232")

    assert "tc" in ignored.flags
    assert "tc" not in whole.flags
    assert len(whole.records) == 6


@pytest.mark.rfc("6672", "2.2")
def test_dig_understands_what_we_say_of_a_name_too_long(program, pierhead: Peer) -> None:
    (answer,) = asked_by(program("dig"), pierhead, [(TOO_LONG, "TXT")])

    assert answer.status == "YXDOMAIN"


def test_drill_prints_the_answer(program, pierhead: Peer) -> None:
    text = run([program("drill"), "-p", str(pierhead.port), f"@{pierhead.host}", "shop.example."])

    assert "rcode: NOERROR" in text
    assert len(re.findall(r"\sCNAME\s", text)) == 3
    assert len(re.findall(r"\sA\s192\.0\.2\.80$", text, re.MULTILINE)) == 1
