"""``pierhead query`` gets from other servers what dig gets from them."""

from __future__ import annotations

import json
import subprocess

import pytest
from tests.interop.peers import Peer
from tests.processes import PATIENCE_S, pierhead_command

QUESTIONS = [
    ("example.", "SOA"),
    ("example.", "ANY"),
    ("example.", "HTTPS"),
    ("logbook.example.", "TXT"),
    ("shop.example.", "A"),
    ("crane.oldport.example.", "A"),
    ("pier.north.example.", "A"),
    ("nobody.example.", "AAAA"),
]


@pytest.fixture(params=["nsd", "knot"])
def server(request: pytest.FixtureRequest) -> Peer:
    peer: Peer = request.getfixturevalue(request.param)
    return peer


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def query(server: Peer, *words: str) -> str:
    return run(*pierhead_command(), "query", f"@{server.host}:{server.port}", *words)


@pytest.mark.parametrize(("name", "rtype"), QUESTIONS)
def test_records_are_those_that_dig_prints(server: Peer, name: str, rtype: str, program) -> None:
    words = ("+noall", "+answer", "+authority", "+norecurse", "+nocookie")
    dig = run(program("dig"), f"@{server.host}", "-p", str(server.port), name, rtype, *words)

    ours = query(server, name, rtype, *words)

    assert normal(ours) == normal(dig)


def normal(text: str) -> list[str]:
    """Return records without column widths; quotes are optional around a word."""
    lines = [" ".join(line.replace('"', "").split()) for line in text.splitlines()]
    return sorted(line for line in lines if line and not line.startswith(";"))


def test_a_truncated_answer_is_fetched_by_tcp(server: Peer) -> None:
    shown = json.loads(query(server, "logbook.example.", "TXT", "+bufsize=512", "--json"))

    assert shown["server"] == f"tcp:{server.host}:{server.port}"
    assert "tc" not in shown["flags"]


def test_a_delegation_is_explained(server: Peer) -> None:
    text = query(server, "pier.north.example.", "--explain")

    assert "north.example. is delegated" in text
