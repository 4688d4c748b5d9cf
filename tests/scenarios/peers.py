"""What other servers say to the questions of the scenarios: every zone, one start per server.

Many files have a zone called ``example.``, and a server can hold one of a name. So the names of
a file are moved below a label of its own (``www.example.`` is asked for as ``www.example.s7.``)
and moved back in the answers; the root becomes ``s7.``. A file that says ``as written:`` is
about names that cannot be moved; its zones are served under their own names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import dns.flags
import dns.name
import dns.query
import dns.rcode
import dns.rdata
import dns.rdatatype
import dns.rrset
import dns.zone
from tests.interop.peers import Peer, bind_server, knot_server, nsd_server
from tests.processes import PATIENCE_S
from tests.scenarios.scenario import Expected, Question, Scenario, Sending
from tests.scenarios.spelling import SECTIONS, Record, records, spell

__all__ = ["SERVERS", "Lookup", "answers", "complaints", "lookups"]

SERVERS: Mapping[str, Callable[..., AbstractContextManager[Peer]]] = {
    "bind": bind_server,
    "nsd": nsd_server,
    "knot": knot_server,
}


@dataclass(frozen=True)
class Place:
    """Where the names of a file are while other servers serve them: below ``suffix``."""

    suffix: dns.name.Name

    def there(self, name: dns.name.Name) -> dns.name.Name:
        """Return a name of the file as the server knows it."""
        return name.relativize(dns.name.root).concatenate(self.suffix)

    def back(self, name: dns.name.Name) -> dns.name.Name:
        """Return a name of an answer as the file knows it."""
        if not name.is_subdomain(self.suffix):
            return name
        return name.relativize(self.suffix).concatenate(dns.name.root)


@dataclass(frozen=True)
class Lookup:
    """One question of a file that any server can be asked, and the answer in the file."""

    scenario: Scenario
    step: Sending
    question: Question
    expected: Expected
    place: Place

    @property
    def where(self) -> str:
        """File and line."""
        return f"{self.scenario.name}.txt:{self.step.line}"

    def lines(self) -> list[str]:
        """Return the answer in the file, as far as servers must have it in common."""
        sections = [self.expected.sections.get(name, []) for name in SECTIONS]
        return _comparable(self.expected.status, self.expected.flags, sections)

    def asked_of(self, peer: Peer) -> list[str]:
        """Ask a server and return its answer as lines, its names moved back."""
        query = self.question.message()
        for question in query.question:
            question.name = self.place.there(question.name)
        send = dns.query.tcp if self.question.tcp else dns.query.udp
        reply = send(query, peer.host, PATIENCE_S, peer.port, one_rr_per_rrset=True)
        sections = [self._moved(getattr(reply, name)) for name in SECTIONS]
        flags = dns.flags.to_text(reply.flags & ~dns.flags.QR).split()
        return _comparable(dns.rcode.to_text(reply.rcode()), flags, sections)

    def _moved(self, section: Sequence[dns.rrset.RRset]) -> list[Record]:
        for rrset in section:
            rrset.name = self.place.back(rrset.name)
            for rdata in list(rrset):
                rrset.items = {_moved(rdata, self.place.back): None}
        return records(section)


def _comparable(
    status: str, flags: Sequence[str], sections: Sequence[Sequence[Record]]
) -> list[str]:
    """Return an answer without what servers need not have in common.

    That is the letter case of owners (RFC 4343 §4) and what a truncated answer still holds
    (RFC 2181 §9).
    """
    if "TC" in (flag.upper() for flag in flags):
        sections = [[], [], []]
    lower = [[(owner.lower(), *rest) for owner, *rest in section] for section in sections]
    return spell(status, flags, [sorted(section) for section in lower])


def _moved(
    rdata: dns.rdata.Rdata, move: Callable[[dns.name.Name], dns.name.Name]
) -> dns.rdata.Rdata:
    """Return RDATA with every name in it moved."""
    slots = [slot for kind in type(rdata).__mro__ for slot in getattr(kind, "__slots__", ())]
    names = {slot: getattr(rdata, slot) for slot in slots if hasattr(rdata, slot)}
    moved = {slot: move(name) for slot, name in names.items() if isinstance(name, dns.name.Name)}
    return rdata.replace(**moved) if moved else rdata


def lookups(scenarios: Sequence[Scenario]) -> list[Lookup]:
    """Return the questions that any server can be asked: not those of a special configuration."""
    found = []
    for number, scenario in enumerate(scenarios):
        place = Place(dns.name.from_text("." if scenario.as_written else f"s{number}."))
        if scenario.options:
            continue
        for step in (step for case in scenario.cases for step in case.steps):
            if not isinstance(step, Sending) or not isinstance(step.reply, Expected):
                continue
            if isinstance(step.query, Question) and not step.query.opcode:
                found.append(Lookup(scenario, step, step.query, step.reply, place))
    return found


def answers(server: str, asked: Sequence[Lookup], directory: Path) -> dict[str, list[str]]:
    """Return what a server says to each question, by file and line.

    Files that contradict each other (one serves what the other says is not served) are put
    before the server one after the other.
    """
    said: dict[str, list[str]] = {}
    mine = [lookup for lookup in asked if server not in lookup.scenario.absent]
    for number, batch in enumerate(_batches(mine)):
        folder = directory / f"{server}{number}"
        folder.mkdir()
        with SERVERS[server](_write_zones(batch, folder), folder) as peer:
            said.update((lookup.where, lookup.asked_of(peer)) for lookup in batch)
    return said


def complaints(asked: Sequence[Lookup], said: Mapping[str, Mapping[str, list[str]]]) -> list[str]:
    """Return what is not as the files say, given what each server said.

    Two servers at least must agree with a file, or the reason why they differ must be an RFC's;
    and those that differ must be named in the file.
    """
    found = []
    for lookup in asked:
        theirs = {
            server: answers[lookup.where]
            for server, answers in said.items()
            if lookup.where in answers
        }
        ours = lookup.lines()
        named = lookup.expected.differs
        for server, answer in theirs.items():
            if answer != ours and server not in named:
                found.append("\n".join([f"{lookup.where}: {server} says otherwise", *answer]))
            elif answer == ours and server in named:
                found.append(f"{lookup.where}: {server} does not differ")
        agreeing = [server for server, answer in theirs.items() if answer == ours]
        if len(agreeing) < 2 and not any("RFC" in reason for reason in named.values()):
            found.append(f"{lookup.where}: only {agreeing} agree, and no RFC decides")
    return found


def _batches(asked: Sequence[Lookup]) -> list[list[Lookup]]:
    batches: list[tuple[set[dns.name.Name], list[Lookup]]] = []
    by_scenario: dict[str, list[Lookup]] = {}
    for lookup in asked:
        by_scenario.setdefault(lookup.scenario.name, []).append(lookup)
    for group in by_scenario.values():
        names = {group[0].place.there(_name(origin)) for origin in group[0].scenario.zones}
        for served, batch in batches:
            if not any(a.is_subdomain(b) or b.is_subdomain(a) for a in names for b in served):
                served |= names
                batch += group
                break
        else:
            batches.append((names, list(group)))
    return [batch for _, batch in batches]


def _write_zones(batch: Sequence[Lookup], folder: Path) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for lookup in {lookup.scenario.name: lookup for lookup in batch}.values():
        for origin, text in lookup.scenario.zones.items():
            there = lookup.place.there(_name(origin)).to_text()
            if there not in files:
                files[there] = folder / f"{len(files)}.zone"
                files[there].write_text(_moved_zone(text, origin, lookup.place))
    return files


def _moved_zone(text: str, origin: str, place: Place) -> str:
    zone = dns.zone.from_text(text, origin=origin, relativize=False, check_origin=False)
    lines = [
        f"{place.there(name)} {rdataset.ttl} {dns.rdatatype.to_text(rdata.rdtype)} "
        f"{_moved(rdata, place.there).to_text()}\n"
        for name, rdatasets in zone.items()
        for rdataset in rdatasets
        for rdata in rdataset
    ]
    # The SOA record first: that is where BIND wants it.
    return "".join(sorted(lines, key=lambda line: " SOA " not in line))


def _name(text: str) -> dns.name.Name:
    return dns.name.from_text(text)
