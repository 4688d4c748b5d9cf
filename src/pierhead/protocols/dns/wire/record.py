"""A record as a program writes it, and grouping of such records into sets."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypedDict, Unpack

from pierhead.errors import DecodeError, UsageError
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.canonical import names_problem, unique_rdatas
from pierhead.protocols.dns.wire.name import ROOT, from_text, to_text
from pierhead.protocols.dns.wire.rrset import Name, RRset, Section

__all__ = ["MAX_TTL", "Placement", "Record", "check_records", "check_ttl", "not_a_record", "rrsets"]

#: RFC 2181 §8: the most significant bit of a TTL is zero.
MAX_TTL = 2**31 - 1
#: RDLENGTH has two octets (RFC 1035 §3.2.1).
_MAX_RDATA = 0xFFFF
#: Types that are never records in a message (RFC 6895 §3.1), and what to do instead.
_NO_RECORDS = {
    iana.OPT: "; give the reply its options",
    **dict.fromkeys((iana.IXFR, iana.AXFR, iana.MAILB, iana.MAILA, iana.ANY), ", but of questions"),
}


class Placement(TypedDict, total=False):
    """Owner, TTL and class of a record, as keywords of `Record` and its subclasses.

    What is omitted is decided by the user of the record: `Query.reply` uses the queried name, a
    zone transaction the name that it is given.
    """

    name: str
    ttl: int
    rclass: str | int


class Record:
    """Type and data of one record, and its owner, TTL and class if given; immutable.

    Attributes:
        rtype: type number.
        rdata: RDATA in wire form, names inside it uncompressed.
        owner: the owner's name in wire form; empty if not given.
        ttl: how many seconds it may be cached; None if not given.
        rclass: class number; None if not given.

    Args:
        rtype: number or mnemonic: ``TLSA``, ``TYPE65280``.
        rdata: the data as written in a zone file, with names absolute even without a final dot; or
            its octets on the wire.
        where: ``name``, ``ttl`` and ``rclass``; see `Placement`.

    Raises:
        UsageError: one of them is invalid.

    Example:
        >>> from pierhead.protocols import dns
        >>> pinned = dns.Record("TLSA", "3 1 1 " + "ab" * 32, name="_443._tcp.www.example.", ttl=60)
    """

    # Slots, and `Final` for type checkers: services create records for each packet
    # (docs/decisions/0009-objects-on-the-packet-path.md).
    __slots__ = ("owner", "rclass", "rdata", "rtype", "ttl")

    rtype: Final[int]
    rdata: Final[bytes]
    owner: Final[Name]
    ttl: Final[int | None]
    rclass: Final[int | None]

    def __init__(self, rtype: int | str, rdata: str | bytes, **where: Unpack[Placement]) -> None:
        self.owner, self.ttl, self.rclass = _place(where) if where else (b"", None, None)
        self.rtype = rtype if type(rtype) is int else _type_number(rtype)
        rclass = iana.CLASS_IN if self.rclass is None else self.rclass
        self.rdata = rdata if type(rdata) is bytes else _octets(self.rtype, rdata, rclass)
        # The classes for single types encode their data themselves.
        problem = _problem(self.rtype, self.rdata, rclass if type(self) is Record else None)
        if problem:
            raise UsageError(problem)

    @classmethod
    def trusted(cls, owner: Name, rtype: int, rclass: int, ttl: int, rdata: bytes) -> Record:
        """Return a record with parts from a zone or a message, which are not checked again."""
        record = object.__new__(cls)
        parts = {"owner": owner, "rtype": rtype, "rclass": rclass, "ttl": ttl, "rdata": rdata}
        for part, value in parts.items():
            object.__setattr__(record, part, value)
        return record

    @property
    def name(self) -> str:
        """The owner's name as text; empty if not given."""
        return to_text(self.owner) if self.owner else ""

    @property
    def type(self) -> str:
        """The type as text."""
        return iana.type_text(self.rtype)

    def _parts(self) -> tuple[int, bytes, Name, int | None, int | None]:
        return self.rtype, self.rdata, self.owner, self.ttl, self.rclass

    def __eq__(self, other: object) -> bool:
        return self._parts() == other._parts() if isinstance(other, Record) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._parts())

    def __repr__(self) -> str:
        where = [
            "" if not self.owner else f" name={self.name}",
            "" if self.ttl is None else f" ttl={self.ttl}",
            "" if self.rclass is None else f" rclass={iana.class_text(self.rclass)}",
        ]
        return f"<Record {self.type} {self.rdata.hex()}{''.join(where)}>"


def check_ttl(ttl: object) -> int:
    """Return the TTL.

    Raises:
        UsageError: it is out of range (RFC 2181 §8).
    """
    if isinstance(ttl, int) and 0 <= ttl <= MAX_TTL:
        return ttl
    raise UsageError(f"ttl is {ttl!r}, expected 0 to {MAX_TTL} seconds")


def check_records(what: str, records: Iterable[Record]) -> tuple[Record, ...]:
    """Return the records.

    Args:
        what: the parameter, for the error.
        records: as a caller without a type checker may pass them.

    Raises:
        UsageError: they are not a sequence of records.
    """
    given: object = records
    if isinstance(given, Record):
        raise UsageError(f"{what} is one record, expected a list; write {what}=[record]")
    if not isinstance(given, Iterable):
        raise UsageError(f"{what} is {given!r}, expected a list of records")
    taken = tuple(records)
    for record in taken:
        if not isinstance(record, Record):
            raise not_a_record(record)
    return taken


def not_a_record(found: object) -> UsageError:
    """Return the error for what was given in place of a record."""
    remedy = "; write reply(*records)" if isinstance(found, list | tuple) else ""
    return UsageError(
        f"a record is {type(found).__name__}, expected one such as dns.A('192.0.2.1'){remedy}"
    )


def rrsets(
    records: Iterable[Record], owner: Name, ttl: int, rclass: int = iana.CLASS_IN
) -> Section:
    """Return the records as sets, in the order in which the sets first appear.

    Args:
        records: the records.
        owner, ttl, rclass: used for records that do not have their own.

    Raises:
        UsageError: a TTL is out of range, or the records of one set differ in theirs (RFC 2181
            §5.2).
    """
    if type(ttl) is not int or not 0 <= ttl <= MAX_TTL:
        check_ttl(ttl)
    sets: dict[tuple[Name, int, int, int], tuple[Name, int, list[bytes]]] = {}
    for record in records:
        shown = record.owner or owner
        lower = shown.lower()
        if shown is not owner and lower == owner.lower():
            shown = owner  # so that it can point to the question and take its letter case
        its_ttl = ttl if record.ttl is None else record.ttl
        its_class = rclass if record.rclass is None else record.rclass
        covered = int.from_bytes(record.rdata[:2], "big") if record.rtype == iana.RRSIG else 0
        found = sets.setdefault((lower, record.rtype, its_class, covered), (shown, its_ttl, []))
        if found[1] != its_ttl:
            raise UsageError(
                f"the {record.type} records of {to_text(shown)} have TTLs of {found[1]} and "
                f"{its_ttl} seconds, expected one for all of a set (RFC 2181 §5.2)"
            )
        found[2].append(record.rdata)
    return tuple(
        (shown, RRset(shown, rtype, its_ttl, unique_rdatas(rtype, rdatas), its_class))
        for (_, rtype, its_class, _), (shown, its_ttl, rdatas) in sets.items()
    )


def _place(where: Placement) -> tuple[Name, int | None, int | None]:
    unknown = where.keys() - Placement.__annotations__.keys()
    if unknown:
        text = " and ".join(sorted(unknown))
        raise UsageError(f"a record has no {text}; expected name, ttl or rclass")
    owner = _owner(where["name"]) if "name" in where else b""
    ttl = check_ttl(where["ttl"]) if "ttl" in where else None
    return owner, ttl, _class_number(where["rclass"]) if "rclass" in where else None


def _owner(name: object) -> Name:
    if not isinstance(name, str):
        raise UsageError(f"name is {name!r}, expected text such as 'www.example.'")
    try:
        return from_text(name, ROOT)
    except DecodeError as error:
        raise UsageError(f"name {name!r} is not a domain name: {error}") from None


def _type_number(rtype: object) -> int:
    if isinstance(rtype, str):
        return iana.type_number(rtype)
    raise UsageError(f"rtype is {rtype!r}, expected a number or a mnemonic such as 'TLSA'")


def _class_number(rclass: object) -> int:
    if isinstance(rclass, str):
        return iana.class_number(rclass)
    if isinstance(rclass, int) and 0 <= rclass <= 0xFFFF:
        return rclass
    raise UsageError(f"rclass is {rclass!r}, expected 0 to 65535 or a mnemonic such as 'IN'")


def _octets(rtype: int, rdata: object, rclass: int) -> bytes:
    """Return RDATA that is not `bytes` yet as octets on the wire."""
    if isinstance(rdata, bytearray | memoryview):
        return bytes(rdata)
    if not isinstance(rdata, str):
        raise UsageError(f"rdata is {type(rdata).__name__}, expected text or bytes")
    from pierhead.protocols.dns.zone.rdata_text import parse_rdata

    try:
        return parse_rdata(rdata, rtype, rclass)
    except DecodeError as error:
        raise UsageError(
            f"rdata {rdata!r} is invalid for type {iana.type_text(rtype)}: {error}"
        ) from None


def _problem(rtype: int, rdata: bytes, rclass: int | None) -> str:
    """Describe why no message can carry such a record; if ``rclass`` is None, skip its layout."""
    if not 0 <= rtype <= 0xFFFF:
        return f"type number {rtype}, expected 0 to 65535"
    if rtype in _NO_RECORDS:
        return f"{iana.type_text(rtype)} is not a type of records{_NO_RECORDS[rtype]}"
    if len(rdata) > _MAX_RDATA:
        return f"RDATA of {len(rdata)} octets, expected at most {_MAX_RDATA}"
    problem = names_problem(rtype, rdata)
    if not problem and rclass is not None:
        from pierhead.protocols.dns.zone.rdata_format import layout_problem

        problem = layout_problem(rtype, rdata, rclass)
    return f"not RDATA of type {iana.type_text(rtype)}: {problem}" if problem else ""
