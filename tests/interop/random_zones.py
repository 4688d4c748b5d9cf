"""Small random zones that are full of corners, some to be signed, and questions that aim at them.

A `World` is one zone or a few that belong together, below a base name that is free until they are
written: the same world can be served many times by one server. Everything follows from the
random source, so a seed stands for a world. Keys and signatures do not: no answer depends on them.

    *.a        CNAME   b.{base}        owners are relative to the base, "" is the base itself;
    c.b        NS      x.c.b.{base}    names in RDATA say {base} where they are inside
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

import dns.dnssec
from tests.interop.signing import Denial

__all__ = [
    "DENIALS",
    "Entry",
    "Question",
    "World",
    "absolute",
    "random_questions",
    "random_world",
    "write",
]

#: Few labels, so that names meet; one is long, so that names grow too long.
LABELS = ("a", "b", "c", "w", "x")
LONG = "l" * 60
OUTSIDE = ("elsewhere.test.", "www.elsewhere.test.", ".")
DATA = {
    "A": "192.0.2.{}",
    "AAAA": "2001:db8::{}",
    "TXT": '"text {}"',
    "TYPE65280": "\\# 2 00{:02x}",
}
TYPES = ("A", "AAAA", "TXT", "MX", "SRV", "CNAME", "DNAME", "NS", "SOA", "DS", "ANY", "TYPE65280")
#: Those that a signed zone has besides.
SIGNED_TYPES = ("DNSKEY", "RRSIG", "NSEC", "NSEC3", "NSEC3PARAM")
#: RFC 9276 §3.1 wants neither salt nor iterations; who has them is to be served as well.
DENIALS = (
    Denial(),
    Denial(),
    Denial(salt=""),
    Denial(salt="abcd", iterations=3),
    Denial(salt="", opt_out=True),
    Denial(salt="0123456789", iterations=1, opt_out=True),
)


@dataclass(frozen=True)
class Entry:
    """One record."""

    owner: str
    ttl: int
    rtype: str
    rdata: str


@dataclass(frozen=True)
class World:
    """Zones by apex, relative to the base; the base itself is always one of them.

    Attributes:
        signed: the denial of those that are to be signed.
    """

    zones: Mapping[str, tuple[Entry, ...]]
    signed: Mapping[str, Denial] = field(default_factory=dict)

    def owners(self) -> list[str]:
        """Return every owner once, in order."""
        return list(dict.fromkeys(entry.owner for zone in self.zones.values() for entry in zone))

    def without(self, apex: str, index: int) -> World:
        """Return the world without one record."""
        zone = self.zones[apex]
        return replace(self, zones={**self.zones, apex: (*zone[:index], *zone[index + 1 :])})

    def without_zone(self, apex: str) -> World:
        """Return the world without one zone."""
        rest = {key: zone for key, zone in self.zones.items() if key != apex}
        return replace(self.unsigned(apex), zones=rest)

    def unsigned(self, apex: str) -> World:
        """Return the world with one zone that is not signed."""
        rest = {key: denial for key, denial in self.signed.items() if key != apex}
        return replace(self, signed=rest)

    def apex_of(self, name: str) -> str:
        """Return the apex of the innermost zone that a name is in."""
        above = [apex for apex in self.zones if not apex or f".{name}".endswith(f".{apex}")]
        return max(above, key=len)

    def text(self, apex: str, base: str) -> str:
        """Return one zone as a master file."""
        return "".join(
            f"{absolute(entry.owner, base)} {entry.ttl} {entry.rtype} "
            f"{entry.rdata.replace('{base}', base)}\n"
            for entry in self.zones[apex]
        )


@dataclass(frozen=True)
class Question:
    """What is asked, with its name relative to the base.

    Attributes:
        size: the EDNS payload size; None without EDNS.
        hashed: whether the NSEC3 record of the name is asked for by that record's own name.
    """

    name: str
    rtype: str
    size: int | None
    tcp: bool
    dnssec_ok: bool = False
    authentic_data: bool = False
    checking_disabled: bool = False
    hashed: bool = False

    def qname(self, world: World, base: str) -> str:
        """Return the name to ask for when the world is below this base."""
        name = absolute(self.name, base)
        if not self.hashed:
            return name
        apex = world.apex_of(self.name.lower())
        denial = world.signed[apex]
        label = dns.dnssec.nsec3_hash(name, denial.salt, denial.iterations, 1)
        return f"{label}.{absolute(apex, base)}"


def absolute(name: str, base: str) -> str:
    """Return a name below the base, or the base itself for ""."""
    return f"{name}.{base}" if name else base


def write(world: World, base: str, folder: Path) -> dict[str, Path]:
    """Write the zones of a world below a base name; return origin to file."""
    files = {}
    for apex in world.zones:
        origin = absolute(apex, base)
        files[origin] = folder / f"{origin}zone"
        files[origin].write_text(world.text(apex, base))
    return files


# Zones.


def random_world(random: Random) -> World:
    """Return a world: a zone, and now and then zones of some that it delegates.

    Half of them are signed; then most, but not all, of the delegated zones are.
    """
    growing = _Growing(random, "")
    zones = {"": growing.zone()}
    for cut in growing.cuts:
        if random.random() < 0.3:
            zones[cut] = _Growing(random, cut).zone()
    signed = {}
    if random.random() < 0.5:
        signed = {
            apex: random.choice(DENIALS) for apex in zones if not apex or random.random() < 0.7
        }
    return World(zones, signed)


@dataclass
class _Growing:
    """A zone while it comes into being."""

    random: Random
    apex: str
    entries: list[Entry] = field(default_factory=list)
    cuts: list[str] = field(default_factory=list)

    def zone(self) -> tuple[Entry, ...]:
        random = self.random
        minimum, serial = random.choice([0, 30, 3600]), random.randrange(1, 9)
        soa = f"ns.elsewhere.test. mail.elsewhere.test. {serial} 7200 900 86400 {minimum}"
        names = self._names()
        self._add(self.apex, "SOA", soa)
        self._add(self.apex, "NS", random.choice([self._target(names), "ns.elsewhere.test."]))
        if random.random() < 0.04:  # RFC 6672 §2.3: then nothing else is below
            self._add(self.apex, "DNAME", self._target(names))
            return tuple(self.entries)
        if random.random() < 0.4:
            self._data(self.apex, names)
        redirected: list[str] = []
        for name in sorted(names, key=lambda name: (name.count("."), name)):
            if not any(name.endswith(f".{above}") for above in redirected):
                self._fill(name, names, redirected)
        return tuple(self.entries)

    def _names(self) -> list[str]:
        """Return owners that share their ends; sometimes with an asterisk in front, or inside."""
        random, names = self.random, [self.apex]
        for _ in range(random.randrange(3, 14)):
            above = random.choice(names)
            below = [random.choice(LABELS) for _ in range(random.choice([1, 1, 1, 2, 3]))]
            if random.random() < 0.3:
                below[0] = "*"
            names.append(".".join([*below, above] if above else below))
        return list(dict.fromkeys(names[1:]))

    def _fill(self, name: str, names: list[str], redirected: list[str]) -> None:
        kind = self.random.random()
        if kind < 0.18:
            self._add(name, "CNAME", self._target(names))
        elif kind < 0.28:
            self._add(name, "DNAME", self._target(names))
            redirected.append(name)
            if self.random.random() < 0.3:
                self._data(name, names)
        elif kind < 0.42 and not name.startswith("*"):
            self._delegate(name, names)
        else:
            self._data(name, names)

    def _delegate(self, name: str, names: list[str]) -> None:
        random = self.random
        self.cuts.append(name)
        for _ in range(random.choice([1, 1, 2])):
            server = random.choice(
                [f"x.{name}.{{base}}", self._target(names), "ns.elsewhere.test."]
            )
            self._add(name, "NS", server)
        if random.random() < 0.6 and f"x.{name}" not in names:
            self._add(f"x.{name}", "A", f"192.0.2.{random.randrange(1, 255)}")
        if random.random() < 0.3:
            self._add(name, "DS", f"{random.randrange(1, 65535)} 13 2 {'0a' * 32}")

    def _data(self, name: str, names: list[str]) -> None:
        random = self.random
        for rtype in random.sample([*DATA, "MX", "SRV"], random.choice([1, 1, 2, 3])):
            if rtype == "MX":
                self._add(name, rtype, f"10 {self._target(names)}")
            elif rtype == "SRV":
                self._add(name, rtype, f"0 0 53 {self._target(names)}")
            else:
                for value in random.sample(range(1, 255), random.choice([1, 1, 2])):
                    self._add(name, rtype, DATA[rtype].format(value))

    def _target(self, names: list[str]) -> str:
        """Return a name to point to: one that exists, does not exist, or is in another zone."""
        random, chance = self.random, self.random.random()
        if chance < 0.1:
            return random.choice(OUTSIDE)
        name = random.choice([*names, self.apex, ""])
        if chance < 0.35:
            name = ".".join([random.choice(LABELS), name]) if name else random.choice(LABELS)
        if chance > 0.97:
            name = ".".join([LONG, LONG, LONG, *([name] if name else [])])
        return f"{name}.{{base}}" if name else "{base}"

    def _add(self, owner: str, rtype: str, rdata: str) -> None:
        # One TTL for each set (RFC 2181 §5.2).
        ttls = {(entry.owner, entry.rtype): entry.ttl for entry in self.entries}
        ttl = ttls.get((owner, rtype), self.random.choice([0, 60, 300, 3600]))
        entry = Entry(owner, ttl, rtype, rdata)
        if entry not in self.entries:
            self.entries.append(entry)


# Questions.


def random_questions(world: World, random: Random, count: int) -> list[Question]:
    """Return questions about names that exist, that nearly do, and that only might."""
    names = list(dict.fromkeys(_interesting(world)))
    return [_question(world, random, random.choice(names)) for _ in range(count)]


def _question(world: World, random: Random, name: str) -> Question:
    types = (*TYPES, *SIGNED_TYPES) if world.signed else TYPES
    size = random.choice([None, 1232, 1232, 512, 4096])
    question = Question(_cased(name, random), random.choice(types), size, tcp=random.random() < 0.1)
    if not world.signed:
        # Some ask every zone for what only signed ones have.
        return replace(question, dnssec_ok=size is not None and random.random() < 0.2)
    denial = world.signed.get(world.apex_of(name))
    return replace(
        question,
        dnssec_ok=size is not None and random.random() < 0.8,
        authentic_data=random.random() < 0.1,
        checking_disabled=random.random() < 0.1,
        hashed=denial is not None and denial.salt is not None and random.random() < 0.05,
    )


def _interesting(world: World) -> Iterator[str]:
    yield ""
    for owner in world.owners():
        labels = owner.split(".") if owner else []
        for start in range(len(labels)):
            yield ".".join(labels[start:])  # the name and those above it
        for below in (*LABELS[:2], "new", "*", "new.new", "a.*", LONG):
            yield ".".join([below, *labels])
        if labels[:1] == ["*"]:
            yield ".".join(["new", *labels[1:]])
            yield ".".join(["a", "new", *labels[1:]])


def _cased(name: str, random: Random) -> str:
    if random.random() < 0.8:
        return name
    return "".join(random.choice([letter.lower(), letter.upper()]) for letter in name)
