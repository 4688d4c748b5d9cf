"""Messages in the spelling of scenario files: one text per meaning, so that texts can be compared.

Records of one set stand sorted, sets of the answer in the order they came, the other sections
sorted. Names inside RDATA are in lower case, where compression takes the case of another name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import dns.tokenizer
from tests.interop.answers import NAMES_ONLY

__all__ = ["Record", "arranged", "hexadecimal", "octets", "read_record", "spell"]

#: Owner (letter case as it came), TTL, class, type, RDATA.
Record = tuple[str, int, str, str, str]

FLAGS = ("AA", "TC", "RD", "RA", "AD", "CD")
SECTIONS = ("answer", "authority", "additional")


def read_record(line: str) -> Record:
    """Return the record of one line: ``owner TTL [class] type RDATA``.

    Raises:
        ValueError: it is invalid; says why.
    """
    owner, *words = line.split(None, 4)
    rclass = "IN"
    if len(words) > 2 and words[1] in ("IN", "CH", "HS", "ANY"):
        rclass = words.pop(1)
    elif len(words) == 4:
        words[2:] = [f"{words[2]} {words[3]}"]
    if len(words) < 3 or not words[0].isdigit():
        raise ValueError(f"expected 'owner TTL type RDATA', found {line!r}")
    try:
        rtype = dns.rdatatype.from_text(words[1])
        rdata = dns.rdata.from_text(rclass, rtype, words[2])
        name = dns.name.from_text(owner)
    except (dns.exception.DNSException, ValueError) as error:
        raise ValueError(f"no record: {line!r}: {error!r}") from error
    return name.to_text(), int(words[0]), rclass, dns.rdatatype.to_text(rtype), _text(rdata)


def _text(rdata: dns.rdata.Rdata) -> str:
    text = rdata.to_text()
    return text.lower() if rdata.rdtype in NAMES_ONLY else text


def records(section: Iterable[dns.rrset.RRset]) -> list[Record]:
    """Return the records of a section of a message, in their order."""
    return [
        (
            rrset.name.to_text(),
            rrset.ttl,
            dns.rdataclass.to_text(rrset.rdclass),
            dns.rdatatype.to_text(rrset.rdtype),
            _text(rdata),
        )
        for rrset in section
        for rdata in rrset
    ]


def arranged(section: str, found: Sequence[Record]) -> list[Record]:
    """Return the records in the order in which they are compared."""
    if section != "answer":
        return sorted(found)
    sets: dict[tuple[str, str], list[Record]] = {}
    for record in found:
        sets.setdefault((record[0].lower(), record[3]), []).append(record)
    return [record for one in sets.values() for record in sorted(one)]


def line(record: Record) -> str:
    """Return the record as a line of a scenario file."""
    owner, ttl, rclass, rtype, rdata = record
    return " ".join([owner, str(ttl), *([rclass] if rclass != "IN" else []), rtype, rdata])


def spell(
    status: str,
    flags: Iterable[str],
    sections: Sequence[Sequence[Record]],
    *,
    question: str | None = None,
    opt: str | None = None,
) -> list[str]:
    """Return an answer as lines of a scenario file; sections without records are left out."""
    words = {flag.upper() for flag in flags}
    lines = ["status: " + " ".join([status, *(f.lower() for f in FLAGS if f in words)])]
    if question is not None:
        lines.append(f"question: {question}")
    if opt is not None:
        lines.append(f"opt: {opt}")
    for name, found in zip(SECTIONS, sections, strict=True):
        if found:
            lines += [f"{name}:", *("    " + line(record) for record in arranged(name, found))]
    return lines


def spell_message(
    reply: dns.message.Message, *, question: bool = False, opt: bool = False, ede: bool = False
) -> list[str]:
    """Return a reply as lines of a scenario file, with question and OPT record if asked for.

    ``ede`` says whether the OPT record is shown with its extended errors.
    """
    return spell(
        dns.rcode.to_text(reply.rcode()),
        dns.flags.to_text(reply.flags & ~dns.flags.QR).split(),
        [records(section) for section in (reply.answer, reply.authority, reply.additional)],
        question=spell_question(reply) if question else None,
        opt=spell_opt(reply, ede=ede) if opt else None,
    )


def spell_question(message: dns.message.Message) -> str:
    """Return the question: name, type and a class other than IN; ``none`` without one."""
    shown = []
    for one in message.question:
        rclass = [dns.rdataclass.to_text(one.rdclass)] if one.rdclass != 1 else []
        shown.append(" ".join([one.name.to_text(), dns.rdatatype.to_text(one.rdtype), *rclass]))
    return ", ".join(shown) or "none"


def spell_opt(message: dns.message.Message, *, ede: bool) -> str:
    """Return what the OPT record says: version, size, DO, options by number; or ``none``.

    Of an extended error (RFC 8914) the code is shown, as ``ede=20``: its text is for people.
    """
    if message.edns < 0:
        return "none"
    words = [f"version={message.edns}", f"size={message.payload}"]
    if message.ednsflags & dns.flags.DO:
        words.append("do")
    for option in message.options:
        if option.otype != dns.edns.OptionType.EDE:
            words.append(f"{option.otype:d}={option.to_wire().hex()}")
        elif ede:
            words.append(f"ede={option.code:d}")
    return " ".join(words)


_PIECE = re.compile(r'\s*(?:"(?P<text>[^"]*)"|(?P<hex>(?:[0-9a-fA-F]{2})+))')


def octets(text: str) -> bytes:
    """Return the octets of a notation of hexadecimal digits and ``"text"``.

    Raises:
        ValueError: something else is in it.
    """
    data, position, text = b"", 0, text.rstrip()
    while position < len(text):
        piece = _PIECE.match(text, position)
        if piece is None:
            raise ValueError(
                f'expected pairs of hexadecimal digits or "text" at {text[position:]!r}'
            )
        data += bytes.fromhex(piece["hex"]) if piece["hex"] else piece["text"].encode("ascii")
        position = piece.end()
    return data


def hexadecimal(data: bytes) -> str:
    """Return octets as pairs of digits in groups of two octets."""
    return data.hex(" ", -2)
