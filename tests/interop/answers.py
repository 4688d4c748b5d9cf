"""What two servers must have in common when they are asked the same: a normalised answer.

Order of records and letter case of owners carry no meaning (RFC 2181 §5.1, RFC 4343 §4) and
are taken out; everything else that a client can see stays in.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.query
import dns.rcode
import dns.rdataclass
import dns.rdatatype
from tests.processes import PATIENCE_S

__all__ = ["Answer", "Ask", "Record", "ask", "normalised"]

#: Owner in lower case, TTL, type, RDATA as text.
Record = tuple[str, int, str, str]


#: Types whose text is names and numbers.
NAMES_ONLY = {
    dns.rdatatype.from_text(name)
    for name in ["NS", "CNAME", "SOA", "PTR", "MX", "SRV", "DNAME", "SVCB", "HTTPS"]
}


@dataclass(frozen=True)
class Ask:
    """One question as a client puts it.

    Attributes:
        size: the EDNS payload size, None for a client that knows no EDNS.
        tcp: whether to ask by TCP from the start.
        authentic_data, checking_disabled: the AD and CD bits of the query.
    """

    name: str
    rtype: str
    size: int | None = 1232
    dnssec_ok: bool = False
    recursion: bool = False
    tcp: bool = False
    rclass: str = "IN"
    edns_version: int = 0
    authentic_data: bool = False
    checking_disabled: bool = False

    def query(self) -> dns.message.Message:
        """Return the query, with its own ID."""
        query = dns.message.make_query(
            self.name,
            self.rtype,
            rdclass=self.rclass,
            use_edns=False if self.size is None else self.edns_version,
            payload=self.size,
            want_dnssec=self.dnssec_ok,
            flags=0,
        )
        bits = {
            dns.flags.RD: self.recursion,
            dns.flags.AD: self.authentic_data,
            dns.flags.CD: self.checking_disabled,
        }
        query.flags |= sum(bit for bit, is_set in bits.items() if is_set)
        return query

    def __str__(self) -> str:
        marks = [
            "tcp" if self.tcp else "udp",
            "no edns" if self.size is None else f"edns {self.size}",
            *(["do"] if self.dnssec_ok else []),
            *(["rd"] if self.recursion else []),
            *(["ad"] if self.authentic_data else []),
            *(["cd"] if self.checking_disabled else []),
            *([self.rclass] if self.rclass != "IN" else []),
            *([f"version {self.edns_version}"] if self.edns_version else []),
        ]
        return f"{self.name} {self.rtype} ({', '.join(marks)})"


@dataclass(frozen=True)
class Answer:
    """An answer without what carries no meaning."""

    rcode: str
    flags: frozenset[str]
    question: tuple[str, ...]
    answer: frozenset[Record]
    authority: frozenset[Record]
    additional: frozenset[Record]
    #: EDNS version and DO bit; None without OPT record. The payload size is a server's own.
    edns: tuple[int, bool] | None

    def without_sections(self) -> Answer:
        """Leave out the records, as a client does that sees TC (RFC 2181 §9)."""
        empty: frozenset[Record] = frozenset()
        return replace(self, answer=empty, authority=empty, additional=empty)


def ask(asked: Ask, host: str, port: int) -> Answer:
    """Ask once, without asking again by TCP, and return the normalised answer."""
    query = asked.query()
    send = dns.query.tcp if asked.tcp else dns.query.udp
    # Checks that ID, opcode and question (0x20 letter case aside) are those of the query.
    reply = send(query, host, port=port, timeout=PATIENCE_S, one_rr_per_rrset=True)
    if not asked.tcp and not reply.flags & dns.flags.TC:
        limit = max(asked.size or 512, 512)
        assert len(reply.wire) <= limit, f"{len(reply.wire)} octets where {limit} were allowed"
    return normalised(reply)


def normalised(reply: dns.message.Message) -> Answer:
    """Return the message without what carries no meaning."""
    assert reply.opcode() == dns.opcode.QUERY
    return Answer(
        rcode=dns.rcode.to_text(reply.rcode()),
        flags=frozenset(dns.flags.to_text(reply.flags & ~dns.flags.QR).split()),
        # The question comes back letter by letter.
        question=tuple(str(one) for one in reply.question),
        answer=_records(reply.answer),
        authority=_records(reply.authority),
        additional=_records(reply.additional),
        edns=(reply.edns, bool(reply.ednsflags & dns.flags.DO)) if reply.edns >= 0 else None,
    )


def _text(rdata) -> str:
    text = rdata.to_text()
    # A compressed name has the letter case of the name that it points to.
    return text.lower() if rdata.rdtype in NAMES_ONLY else text


def _records(section) -> frozenset[Record]:
    records = [
        (
            rrset.name.to_text().lower(),
            rrset.ttl,
            dns.rdatatype.to_text(rrset.rdtype),
            _text(rdata),
        )
        for rrset in section
        for rdata in rrset
    ]
    assert len(set(records)) == len(records), f"a record twice in one section: {records}"
    return frozenset(records)
