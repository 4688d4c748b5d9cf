"""Random zones and queries against NSD, Knot and Pierhead: where those two agree, so must we.

    python -m tests.interop.differential --zones 100000 --seed 1      for hours
    python -m tests.interop.differential --zones 50 --seed 7          what a test of seed 7 does

A difference is printed with the smallest zones that still show it.

Where NSD and Knot differ, we answer like one of them, except in a few cases (`Tally.alone`):

    an alias into another zone    with proofs of that zone as well   RFC 1034 §4.3.2 step 3a
    a wildcard that owns a DNAME  as it is named, proofs complete    RFC 4592 §4.4, 5155 §7.2.5
    an alias asked for NSEC       followed                           RFC 1034 §3.6.2

In signed zones they differ mostly in the proofs of a wildcard that was asked for by its own name
(RFC 5155 §7.2.3) and in the closest provable encloser under opt-out (§7.2.1); which of the two we
follow, and why, is in docs/decisions/0014-dnssec-serving.md.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import dns.exception
import dns.message
from tests.interop.answers import Answer, Ask, Record, ask, normalised
from tests.interop.peers import Peer, knot_server, nsd_server
from tests.interop.random_zones import (
    Question,
    World,
    absolute,
    random_questions,
    random_world,
    write,
)
from tests.interop.signing import new_key

from pierhead.errors import ConfigError
from pierhead.protocols.dns import zones as zone_service
from pierhead.protocols.dns.codec import DatagramReplyCodec, QueryCodec, ReplyCodec
from pierhead.service.coding import coded
from pierhead.service.context import Context, Transport, Via
from pierhead.service.context import Peer as Client

__all__ = ["ACCEPTED", "Difference", "differences", "smallest"]

#: Zones for one start of the servers.
BATCH = 40
_VIA = Via(transport=Transport.DATAGRAM, scheme="mem", local="here", listener="here")


@dataclass(frozen=True)
class Accepted:
    """What two answers need not have in common: when, why, and what of an answer remains."""

    applies: Callable[[Ask, Answer], bool]
    reason: str
    remains: Callable[[Answer], Answer]


_NOTHING: frozenset[Record] = frozenset()


def _aliases(answer: Answer) -> frozenset[Record]:
    """Return the aliases that led to the name whose sets are given."""
    return frozenset(record for record in answer.answer if record[2] == "CNAME")


def _is_referral(answer: Answer) -> bool:
    return any(rtype == "NS" for _, _, rtype, _ in answer.authority)


ACCEPTED = (
    Accepted(
        lambda asked, answer: "TC" in answer.flags,
        "RFC 2181 §9: a truncated answer is to be ignored, so its code may be that of a part",
        lambda answer: replace(answer.without_sections(), rcode=""),
    ),
    Accepted(
        lambda asked, answer: asked.rtype in ("ANY", "RRSIG") and bool(answer.answer),
        "RFC 8482 §4.1: ANY may be answered with any one set of the name, or with all; "
        "§7: not all RRSIG records need be returned",
        lambda answer: replace(answer, answer=_aliases(answer), additional=_NOTHING),
    ),
    Accepted(
        lambda asked, answer: bool(answer.answer) and not _is_referral(answer),
        "RFC 1034 §4.3.2 step 6: what may be useful beside an answer is the server's choice",
        lambda answer: replace(answer, additional=_NOTHING),
    ),
)


def in_common(asked: Ask, answer: Answer, owners: Collection[str]) -> Answer:
    """Return what of an answer the standards leave no choice about.

    ``owners`` are those of the zones' records. NSD and Knot add addresses of name servers that
    only a wildcard gives; BIND and we do not. RFC 1034 §4.3.2 step 3b speaks of addresses that
    are available, RFC 4592 §3.3 of wildcards for the name that was asked.
    """
    there = frozenset(record for record in answer.additional if record[0] in owners)
    answer = replace(answer, additional=there)
    for accepted in ACCEPTED:
        if accepted.applies(asked, answer):
            return accepted.remains(answer)
    return answer


@dataclass(frozen=True)
class Difference:
    """A question that NSD and Knot answer alike and we do not."""

    seed: str
    world: World
    question: Question
    theirs: Answer
    ours: Answer | str

    def __str__(self) -> str:
        zones = "\n".join(
            f"; {self.world.signed.get(apex, 'unsigned')}\n{self.world.text(apex, 'base.')}"
            for apex in self.world.zones
        )
        return "\n".join(
            [
                f"seed {self.seed}: {asked_of(self.question, self.world, 'base.')}",
                zones,
                f"NSD and Knot: {self.theirs}",
                f"ours:         {self.ours}",
            ]
        )


@dataclass
class Tally:
    """How many questions were asked, and to how many NSD and Knot gave one answer.

    Attributes:
        agreed_with_proofs: to how many of these they gave signatures, in an answer not truncated.
        alone: how many they answer in two ways, and we in a third.
    """

    asked: int = 0
    agreed: int = 0
    agreed_with_proofs: int = 0
    alone: int = 0


def asked_of(question: Question, world: World, base: str) -> Ask:
    """Return the question about a world below this base."""
    return Ask(
        question.qname(world, base),
        question.rtype,
        size=question.size,
        tcp=question.tcp,
        dnssec_ok=question.dnssec_ok,
        authentic_data=question.authentic_data,
        checking_disabled=question.checking_disabled,
    )


def differences(
    seed: int, zones: int, questions: int, folder: Path, tally: Tally
) -> Iterator[Difference]:
    """Give every difference that this seed leads to."""
    for start in range(0, zones, BATCH):
        drawn = []
        for number in range(start, min(start + BATCH, zones)):
            random = Random(f"{seed}/{number}")
            world = random_world(random)
            drawn.append((f"{seed}/{number}", world, random_questions(world, random, questions)))
        yield from compare(drawn, folder, tally)


def compare(
    drawn: Sequence[tuple[str, World, Sequence[Question]]], folder: Path, tally: Tally
) -> Iterator[Difference]:
    """Start the servers with all worlds, and ask about each."""
    with tempfile.TemporaryDirectory(dir=folder) as place, asyncio.Runner() as runner:
        here = Path(place)
        files = _write_all([world for _, world, _ in drawn], here)
        ours = _Ours(files, runner)
        with nsd_server(files, here) as nsd, knot_server(files, here) as knot:
            for number, (seed, world, questions) in enumerate(drawn):
                owners = {absolute(owner, f"z{number}.") for owner in world.owners()}
                for question in questions:
                    asked = asked_of(question, world, f"z{number}.")
                    tally.asked += 1
                    answers = _answers(asked, owners, (nsd, knot), ours)
                    if answers is None:
                        continue
                    first, second, answer = answers
                    if first != second and isinstance(answer, Answer):
                        tally.alone += answer not in (first, second)
                        continue
                    tally.agreed += 1
                    tally.agreed_with_proofs += _is_signed(first)
                    if answer != first:
                        yield Difference(seed, world, question, first, answer)


def _answers(
    asked: Ask, owners: Collection[str], peers: tuple[Peer, Peer], ours: _Ours
) -> tuple[Answer, Answer, Answer | str] | None:
    """Return NSD's answer, Knot's and ours; None where theirs cannot be compared.

    How well names are compressed is a server's choice (RFC 1035 §4.1.4), and so what still fits.
    Where ours does and theirs do not, the whole answers are compared.
    """
    try:
        theirs = [ask(asked, peer.host, peer.port) for peer in peers]
    except AssertionError:  # an answer that breaks a rule by itself, such as a record twice
        return None
    if any(_is_endless(answer) for answer in theirs):
        return None
    answer = ours.answer(asked, owners)
    if isinstance(answer, Answer) and all("TC" in one.flags - answer.flags for one in theirs):
        return _answers(replace(asked, tcp=True), owners, peers, ours)
    first, second = (in_common(asked, one, owners) for one in theirs)
    return first, second, answer


def _write_all(worlds: Sequence[World], folder: Path) -> dict[str, Path]:
    """Write all worlds, their zones signed with one key; return origin to file."""
    files: dict[str, Path] = {}
    key = new_key(folder)
    for number, world in enumerate(worlds):
        base = f"z{number}."
        files |= write(world, base, folder)
        for apex, denial in world.signed.items():
            origin = absolute(apex, base)
            files[origin] = key.sign(origin, files[origin], denial)
    return files


def _is_endless(answer: Answer) -> bool:
    """Tell whether a DNAME that leads below itself was followed up to a server's own limit.

    Each round makes a longer name, which the DNAME covers again. RFC 1034 §3.6.2 wants it to end,
    and does not say where.
    """
    aliases = {owner: rdata for owner, _, rtype, rdata in answer.answer if rtype == "CNAME"}
    redirected = tuple(f".{owner}" for owner, _, rtype, _ in answer.answer if rtype == "DNAME")
    return any(target.endswith(redirected) and target not in aliases for target in aliases.values())


def _is_signed(answer: Answer) -> bool:
    return any(rtype == "RRSIG" for _, _, rtype, _ in answer.answer | answer.authority)


class _Ours:
    """Our server, without sockets."""

    def __init__(self, files: dict[str, Path], runner: asyncio.Runner) -> None:
        service = zone_service(*(f"{origin}={path}" for origin, path in files.items()))
        self._handlers = {
            False: coded(service, QueryCodec(), DatagramReplyCodec()).service,
            True: coded(service, QueryCodec(), ReplyCodec()).service,
        }
        self._runner = runner

    def answer(self, asked: Ask, owners: Collection[str]) -> Answer | str:
        """Return the answer; what is wrong with it where it breaks a rule by itself."""
        context = Context(Client("client"), 0.0, _VIA)
        frame = asked.query().to_wire()
        reply = self._runner.run(_awaited(self._handlers[asked.tcp](frame, context)))
        try:
            if not asked.tcp:
                assert len(reply) <= max(asked.size or 512, 512), f"{len(reply)} octets"
            message = dns.message.from_wire(reply, one_rr_per_rrset=True)
            return in_common(asked, normalised(message), owners)
        except (AssertionError, dns.exception.DNSException) as error:
            return f"{error!r} in {reply.hex(' ', -2)}"


async def _awaited(reply):
    return await reply


def smallest(found: Difference, folder: Path) -> Difference:
    """Return the difference with as few records as still show it.

    All zones with one record less are served at once, so a round costs one start.
    """
    while True:
        candidates = [
            (found.seed, smaller, [found.question])
            for apex, entries in found.world.zones.items()
            for index, entry in enumerate(entries)
            if entry.rtype != "SOA" and (entry.owner, entry.rtype) != (apex, "NS")
            for smaller in [found.world.without(apex, index)]
        ]
        fewer = [found.world.without_zone(apex) for apex in list(found.world.zones)[1:]]
        if not found.question.hashed:
            fewer += [found.world.unsigned(apex) for apex in found.world.signed]
        candidates += [(found.seed, world, [found.question]) for world in fewer]
        try:
            smaller = next(compare(candidates, folder, Tally()), None) if candidates else None
        except ConfigError:  # not every zone with less is a zone
            return found
        if smaller is None:
            return found
        found = smaller


def main(arguments: list[str]) -> int:
    """Compare, report, return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--zones", type=int, default=200, help="default: %(default)s")
    parser.add_argument("--questions", type=int, default=50, help="for each zone: %(default)s")
    parser.add_argument("--seed", type=int, default=1, help="default: %(default)s")
    parser.add_argument("--most", type=int, default=10, help="stop after so many: %(default)s")
    options = parser.parse_args(arguments)
    tally, count = Tally(), 0
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for found in differences(options.seed, options.zones, options.questions, folder, tally):
            print(smallest(found, folder), end="\n\n", flush=True)
            count += 1
            if count == options.most:
                break
    print(
        f"{tally.asked} questions, NSD and Knot agree on {tally.agreed}, "
        f"{tally.agreed_with_proofs} of these with signatures; {count} differences; "
        f"{tally.alone} answers that are like neither where those differ"
    )
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
