"""Signed zones are served as NSD and Knot DNS serve them, and three validators believe us.

The zone `zones/signed.test.zone` has a name for each kind of proof. It is signed in six ways when
the tests run (`signing`); who asks sets DO.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import dns.flags
import dns.message
import dns.query
import pytest
from tests.interop.answers import Answer, normalised
from tests.interop.peers import Peer, knot_server, nsd_server, pierhead_server
from tests.interop.signing import SIGNINGS, SOURCE, Signed, sign
from tests.processes import PATIENCE_S

from pierhead.protocols.dns.wire import iana, name
from pierhead.protocols.dns.zone.master_file import parse_zone

ORIGINS = [signing.origin for signing in SIGNINGS]

#: A type that names have, one that few have, the types of cuts, of aliases, and of the proofs.
TYPES = ("A", "TXT", "DS", "NS", "CNAME", "NSEC", "RRSIG", "ANY")

#: Queries for a validator, beside what it must find: names and types of every kind of answer.
VALIDATED = (
    ("@", "SOA"),
    ("@", "DNSKEY"),
    ("www", "TXT"),
    ("www", "MX"),
    ("nobody", "A"),
    ("a.b.c.nope", "A"),
    ("x.wild", "TXT"),
    ("x.wild", "A"),
    ("*.wild", "TXT"),
    ("*.wild", "A"),
    ("b.wild", "TXT"),
    ("er.ent", "A"),
    ("x.alias", "A"),
    ("x.lost", "A"),
    ("x.empty", "A"),
    ("tonodata", "TXT"),
    ("toalias", "A"),
    ("host.moved", "A"),
    ("below.moved", "TXT"),
    ("below.moved", "A"),
    ("gone.and.moved", "A"),
    ("secure", "DS"),
    ("insecure", "DS"),
    ("child.of.nobody", "DS"),
    ("of.nobody", "A"),
    ("x.of.nobody", "A"),
    ("sec.of.some", "A"),
    ("x.cutwild", "A"),
    ("a\\001", "TXT"),
    ("x.a", "A"),
)


@dataclass(frozen=True)
class Servers:
    """Three servers with the same signed zones, and a connection to each."""

    peers: dict[str, Peer]
    connections: dict[str, socket.socket]

    def ask(self, server: str, qname: str, rtype: str) -> Answer:
        """Ask with DO, by TCP, so that nothing is truncated."""
        query = dns.message.make_query(qname, rtype, use_edns=0, want_dnssec=True, flags=0)
        reply = dns.query.tcp(
            query,
            self.peers[server].host,
            timeout=PATIENCE_S,
            one_rr_per_rrset=True,
            sock=self.connections[server],
        )
        return normalised(reply)


@pytest.fixture(scope="module")
def signed(
    program: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Signed]:
    """Return the signed zones by origin."""
    folder = tmp_path_factory.mktemp("signed")
    return {one.origin: sign(one, folder / one.origin, program) for one in SIGNINGS}


@pytest.fixture(scope="module")
def server(signed: dict[str, Signed]) -> Iterator[Peer]:
    with pierhead_server(*_arguments(signed)) as peer:
        yield peer


@pytest.fixture(scope="module")
def servers(
    program: Callable[[str], str],
    signed: dict[str, Signed],
    server: Peer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Servers]:
    program("nsd")
    program("knotd")
    files = {origin: one.file for origin, one in signed.items()}
    folder = tmp_path_factory.mktemp
    with contextlib.ExitStack() as stack:
        peers = {
            "nsd": stack.enter_context(nsd_server(files, folder("nsd"))),
            "knot": stack.enter_context(knot_server(files, folder("knot"))),
            "ours": server,
        }
        connections = {
            key: stack.enter_context(socket.create_connection((peer.host, peer.port), PATIENCE_S))
            for key, peer in peers.items()
        }
        yield Servers(peers, connections)


def _arguments(signed: dict[str, Signed]) -> list[str]:
    return [part for key, one in signed.items() for part in ("--zone", f"{key}={one.file}")]


def names() -> list[str]:
    """Return every owner of the zone, and names beside, above and below each."""
    found: dict[str, None] = {"@": None, "*": None, "nobody": None, "a.b.nobody": None, "0": None}
    for line in SOURCE.read_text().splitlines():
        if line and line[0] not in " ;$@":
            owner = line.split()[0]
            found |= dict.fromkeys((owner, f"below.{owner}", f"a.b.{owner}", f"{owner}0"))
            _, dot, above = owner.partition(".")
            if dot:
                found |= dict.fromkeys((above, f"x.{above}"))
    return list(found)


def absolute(relative: str, origin: str) -> str:
    return origin if relative == "@" else f"{relative}.{origin}"


def in_common(rtype: str, answer: Answer) -> Answer:
    """Return what of an answer the standards leave no choice about."""
    nothing: frozenset[tuple[str, int, str, str]] = frozenset()
    if rtype in ("ANY", "RRSIG") and answer.answer:
        # RFC 8482 §4.1: a subset of what there is. Which one, is the server's choice.
        return replace(answer, answer=nothing, additional=nothing)
    return answer


#: Where NSD and Knot DNS give different answers, as names relative to the zone, and why.
DISAGREEMENTS = {
    # NSD denies the next closer name of a wildcard that was itself asked for; RFC 5155 §7.2.3
    # wants the NSEC3 record that matches, and no other.
    **dict.fromkeys(("*.wild", "*.empty", "*.cutwild"), "nsd"),
    # NSD takes an NSEC record before the wildcard, which does not cover the name that a DNAME
    # made (RFC 4035 §3.1.3.4).
    "below.moved": "nsd",
    # NSD takes names for provable closest enclosers that opt-out leaves without NSEC3 record
    # (RFC 5155 §7.2.1).
    **dict.fromkeys(("nobody", "a.b.nobody", "x.of.nobody", "x.*.cutwild"), "nsd"),
    # Knot DNS adds a record that covers nothing of interest, for the octet 0 in its owner.
    "x.a": "knot",
}


def is_known(relative: str, rtype: str) -> bool:
    # Knot DNS does not follow an alias for NSEC, as if it owned such a record (RFC 1034 §3.6.2).
    return rtype == "NSEC" or relative in DISAGREEMENTS


@pytest.mark.rfc("4035", "3.1")
@pytest.mark.rfc("5155", "7.2")
@pytest.mark.parametrize("origin", ORIGINS)
def test_the_answer_is_that_of_nsd_or_knot(origin: str, servers: Servers) -> None:
    unknown = []
    for number, relative in enumerate(names(), ORIGINS.index(origin)):
        # One type of eight; in the next zone the name is asked for another.
        rtype = TYPES[number % len(TYPES)]
        qname = absolute(relative, origin)
        nsd, knot, ours = (
            in_common(rtype, servers.ask(server, qname, rtype))
            for server in ("nsd", "knot", "ours")
        )
        if nsd != knot and not is_known(relative, rtype):
            unknown.append((relative, rtype))
        # One comparison that prints well.
        if ours != nsd:
            assert ours == knot, f"{qname} {rtype}"

    # Otherwise the comparison above would prove little.
    assert not unknown


@pytest.mark.rfc("5702", "3")
@pytest.mark.rfc("6605", "4")
@pytest.mark.rfc("8080", "4")
@pytest.mark.rfc("6840", "2.1")
@pytest.mark.parametrize("origin", ORIGINS)
def test_delv_validates_every_kind_of_answer(
    origin: str, program: Callable[[str], str], server: Peer, signed: dict[str, Signed]
) -> None:
    anchor = signed[origin].file.parent / "anchor"
    anchor.write_text(signed[origin].anchor)
    at = [f"@{server.host}", "-p", str(server.port), "-a", str(anchor), f"+root={origin}"]

    failed = {}
    for relative, rtype in VALIDATED:
        said = _output([program("delv"), *at, absolute(relative, origin), rtype])
        if "fully validated" not in said:
            failed[relative, rtype] = said

    # RFC 5155 §9.2: what opt-out covers might exist without signature, so the wildcard's answer
    # is not proven to be the right one.
    opted_out = {("x.wild", "TXT"): "; unsigned answer"} if origin.startswith("optout") else {}
    assert {asked: said.splitlines()[0] for asked, said in failed.items()} == opted_out


# Not with opt-out, whose proofs show less than that nothing is there.
@pytest.mark.parametrize("origin", [origin for origin in ORIGINS if "optout" not in origin])
@pytest.mark.parametrize("asked", [("@", "SOA"), ("x.wild", "TXT"), ("nobody.x", "A")], ids=str)
def test_drill_chases_signatures_to_the_key(
    asked: tuple[str, str],
    origin: str,
    program: Callable[[str], str],
    server: Peer,
    signed: dict[str, Signed],
) -> None:
    key = signed[origin].file.parent / "trusted.key"
    key.write_text(signed[origin].key + "\n")
    at = ["-t", "-S", "-k", str(key), "-p", str(server.port), f"@{server.host}"]

    said = _output([program("drill"), *at, absolute(asked[0], origin), asked[1]])

    assert ";; Chase successful" in said, said


@pytest.mark.parametrize("origin", ORIGINS)
def test_a_signed_zone_comes_through_our_parser_unchanged(
    origin: str, program: Callable[[str], str], signed: dict[str, Signed], tmp_path: Path
) -> None:
    zone = parse_zone(signed[origin].file.read_bytes(), origin=origin)
    printed = tmp_path / "printed"
    printed.write_text(
        "".join(
            f"{name.to_text(rrset.owner)} {rrset.ttl} IN {iana.type_text(rrset.rtype)} "
            f"\\# {len(rdata)} {rdata.hex()}\n"
            for rrset in zone.rrsets()
            for rdata in rrset.rdatas
        )
    )

    assert "verified and complete" in _output([program("ldns-verify-zone"), str(printed)])


@pytest.mark.rfc("4035", "3.1.1")
@pytest.mark.parametrize("origin", ORIGINS)
def test_a_datagram_holds_the_whole_answer_or_says_that_it_does_not(
    origin: str, server: Peer
) -> None:
    truncated = 0
    for relative, rtype in VALIDATED:
        query = dns.message.make_query(
            absolute(relative, origin), rtype, use_edns=0, payload=512, want_dnssec=True
        )
        udp = dns.query.udp(query, server.host, PATIENCE_S, server.port, one_rr_per_rrset=True)
        tcp = dns.query.tcp(query, server.host, PATIENCE_S, server.port, one_rr_per_rrset=True)
        assert len(udp.wire) <= 512
        if udp.flags & dns.flags.TC:
            truncated += 1
            assert (udp.answer, udp.authority, udp.additional) == ([], [], [])
        else:
            assert normalised(udp) == normalised(tcp)
    assert 0 < truncated < len(VALIDATED)


@pytest.mark.rfc("4035", "3.1.6")
def test_an_authoritative_answer_neither_claims_authenticity_nor_repeats_cd(server: Peer) -> None:
    query = dns.message.make_query("www.nsec.bind.", "TXT", want_dnssec=True)
    query.flags = dns.flags.AD | dns.flags.CD

    reply = dns.query.udp(query, server.host, PATIENCE_S, server.port)

    assert reply.answer
    assert not reply.flags & (dns.flags.AD | dns.flags.CD)


def _output(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout
