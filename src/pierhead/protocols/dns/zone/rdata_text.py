"""RDATA from presentation format to wire form, for every RR type.

    known layout    a table of field kinds, read by `Fields`
    any type        \\# length hexadecimal (RFC 3597 §5)

A new type whose RDATA is a plain sequence of fields is one line in the table.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from pierhead.errors import DecodeError
from pierhead.protocols.dns.wire import iana, name
from pierhead.protocols.dns.wire.rrset import Name
from pierhead.protocols.dns.zone import rare_text
from pierhead.protocols.dns.zone.fields import FieldError, Fields
from pierhead.protocols.dns.zone.known_values import value_problem
from pierhead.protocols.dns.zone.rdata_format import layout_problem
from pierhead.protocols.dns.zone.svcb_text import read_service_binding
from pierhead.protocols.dns.zone.tokenizer import EntryError, read_entry

__all__ = ["RdataReader", "parse_rdata", "rdata_reader", "read_unknown"]

#: Takes all fields of one RDATA and returns its wire form, names uncompressed.
RdataReader: TypeAlias = Callable[[Fields], bytes]

_MAX_RDATA = 0xFFFF

_ALGORITHMS = {
    b"RSAMD5": 1,
    b"DH": 2,
    b"DSA": 3,
    b"RSASHA1": 5,
    b"DSA-NSEC3-SHA1": 6,
    b"RSASHA1-NSEC3-SHA1": 7,
    b"RSASHA256": 8,
    b"RSASHA512": 10,
    b"ECC-GOST": 12,
    b"ECDSAP256SHA256": 13,
    b"ECDSAP384SHA384": 14,
    b"ED25519": 15,
    b"ED448": 16,
    b"INDIRECT": 252,
    b"PRIVATEDNS": 253,
    b"PRIVATEOID": 254,
}
_CERTIFICATE_TYPES = {
    b"PKIX": 1,
    b"SPKI": 2,
    b"PGP": 3,
    b"IPKIX": 4,
    b"ISPKI": 5,
    b"IPGP": 6,
    b"ACPKIX": 7,
    b"IACPKIX": 8,
    b"URI": 253,
    b"OID": 254,
}
_OCTAL = re.compile(rb"[0-7]{1,6}")


def rdata_reader(rtype: int, rclass: int = 1) -> RdataReader:
    """Return the function that reads the RDATA of this type."""
    if rclass == iana.CLASS_IN or rtype not in iana.INTERNET_ONLY:
        reader = _READERS.get(rtype)
        if reader is not None:
            return reader
    elif (rtype, rclass) == (iana.A, iana.CLASS_CH):
        return _chaos_address
    return partial(_refuse, rtype=rtype)


def read_unknown(fields: Fields, rtype: int, rclass: int = 1) -> bytes:
    r"""Take ``\# length hexadecimal`` (RFC 3597 §5), the form for every type.

    RDATA of a type with a known layout must follow it: answers rely on the names in it.
    """
    fields.take(r"\#")
    length = fields.number(_MAX_RDATA, "the length of the RDATA")
    rdata = fields.hex() if length or not fields.at_end() else b""
    if len(rdata) != length:
        raise fields.wrong(f"RDATA of {len(rdata)} octets, announced as {length}")
    problem = layout_problem(rtype, rdata, rclass)
    if not problem and (rclass == iana.CLASS_IN or rtype not in iana.INTERNET_ONLY):
        problem = value_problem(rtype, rdata)
    if problem:
        raise fields.wrong(f"not RDATA of type {iana.type_text(rtype)}: {problem}")
    return rdata


def parse_rdata(text: str, rtype: int, rclass: int = 1) -> bytes:
    r"""Return the RDATA that a text stands for; names are absolute even without a final dot.

    Raises:
        DecodeError: it is invalid, or a name is one label without a dot; ``offset`` counts octets
            of the text.
    """
    raw = text.encode()
    try:
        entry = read_entry(raw, 0)
    except EntryError as error:
        raise DecodeError(_with_remedy(error.message, error.remedy), error.offset) from None
    if raw[entry.end :].strip():
        raise DecodeError("a second line, expected one record", entry.end)
    fields = _AbsoluteNames(entry.tokens, origin=name.ROOT)
    fields.offsets = entry.offsets
    try:
        is_unknown = entry.tokens[:1] == [b"\\#"]
        rdata = (
            read_unknown(fields, rtype, rclass)
            if is_unknown
            else rdata_reader(rtype, rclass)(fields)
        )
    except FieldError as error:
        is_there = error.index < len(entry.offsets)
        offset = entry.offsets[error.index] + error.offset if is_there else len(raw)
        raise DecodeError(_with_remedy(error.message, error.remedy), offset) from None
    if not fields.at_end():
        raise DecodeError(
            "the record is complete, this is an extra field", entry.offsets[fields.position]
        )
    return rdata


class _AbsoluteNames(Fields):
    """The fields of a record outside any zone file: ``mail`` was hardly meant to be ``mail.``."""

    __slots__ = ()

    def to_name(self, token: bytes) -> Name:
        """Return the name spelled by a field just taken."""
        if token == b"@":
            raise self.wrong("'@' stands for a zone's name, which is not known here; write it out")
        if b"." not in token:
            label = token.decode(errors="replace")
            raise self.wrong(
                f"{label!r} is one label, and names in records are absolute",
                f"write {label}. if it is a top-level domain, otherwise the whole name",
            )
        return super().to_name(token)


def _with_remedy(message: str, remedy: str) -> str:
    return f"{message}; {remedy}" if remedy else message


def _refuse(fields: Fields, *, rtype: int) -> bytes:
    fields.take(r"\# and the length")
    raise fields.wrong(
        f"RDATA of type {iana.type_text(rtype)} has no text form of its own here",
        r"write it as \# length hexadecimal (RFC 3597 §5)",
    )


def _chaos_address(fields: Fields) -> bytes:
    """Take name and address of a Chaosnet host, the address in octal."""
    host = fields.name()
    token = fields.take("an address in octal")
    if not _OCTAL.fullmatch(token) or int(token, 8) > 0xFFFF:
        raise fields.wrong("not an address in octal, expected 0 to 177777")
    return host + int(token, 8).to_bytes(2, "big")


def _checked(rtype: int, reader: RdataReader) -> RdataReader:
    """Return a reader that also checks the values together."""

    def read(fields: Fields) -> bytes:
        rdata = reader(fields)
        problem = value_problem(rtype, rdata)
        if problem:
            raise fields.wrong(problem)
        return rdata

    return read


def _sequence(*kinds: RdataReader) -> RdataReader:
    if len(kinds) == 1:
        return kinds[0]

    def read(fields: Fields) -> bytes:
        return b"".join([kind(fields) for kind in kinds])

    return read


def _mnemonic(known: dict[bytes, int], width: int, what: str) -> RdataReader:
    """Return a reader of a number that may also be written as a mnemonic."""

    def read(fields: Fields) -> bytes:
        number = known.get(fields.take(what).upper())
        if number is None:
            fields.position -= 1
            number = fields.number((1 << 8 * width) - 1, what)
        return number.to_bytes(width, "big")

    return read


_algorithm = _mnemonic(_ALGORITHMS, 1, "an algorithm")
_certificate_type = _mnemonic(_CERTIFICATE_TYPES, 2, "a certificate type")


def _hashed_denial(fields: Fields) -> bytes:
    head = fields.u8() + fields.u8() + fields.u16() + fields.salt() + fields.hashed()
    problem = value_problem(iana.NSEC3, head)
    if problem:  # checked here, where the hash is the field taken last
        raise fields.wrong(problem)
    return head + fields.rtypes()


def _certification_authority(fields: Fields) -> bytes:
    flags = fields.u8()
    tag = fields.octets("a property tag")
    # RFC 8659 §4.1: "Tags MAY contain ASCII characters a through z, A through Z, 0 through 9".
    if not (tag.isalnum() and len(tag) < 256):
        raise fields.wrong("bad property tag, expected letters and digits, as in issue")
    return flags + bytes((len(tag),)) + tag + fields.text()


def _hardware(fields: Fields) -> bytes:
    # One quoted "CPU OS" is an old spelling that servers accept; two strings is the rule.
    return fields.string() + fields.string()


def _isdn(fields: Fields) -> bytes:
    number = fields.string()
    return number if fields.at_end() else number + fields.string()


def _public_key(fields: Fields) -> bytes:
    head = fields.u16() + fields.u8() + _algorithm(fields)
    # RFC 2535 §3.1.2: a KEY with both first bits set has no key material.
    return head if fields.at_end() and head[0] & 0xC0 == 0xC0 else head + fields.base64()


_F = Fields
_DNSKEY = _sequence(_F.u16, _F.u8, _algorithm, _F.base64)
_SIGNATURE = _sequence(
    _F.rtype, _algorithm, _F.u8, _F.period, _F.moment, _F.moment, _F.u16, _F.name, _F.base64
)
_PREFERENCE_NAME = _sequence(_F.u16, _F.name)

_READERS: dict[int, RdataReader] = {
    iana.type_number(text): reader
    for texts, reader in {
        "A": _F.ipv4,
        "AAAA": _F.ipv6,
        "NS MD MF CNAME MB MG MR PTR NSAP-PTR DNAME": _F.name,
        "SOA": _sequence(_F.name, _F.name, _F.u32, _F.period, _F.period, _F.period, _F.period),
        "MX AFSDB RT KX LP": _PREFERENCE_NAME,
        "MINFO RP TALINK": _sequence(_F.name, _F.name),
        "TXT SPF AVC RESINFO WALLET NINFO CLA": _F.strings,
        "X25": _F.string,
        "ISDN": _isdn,
        "HINFO": _hardware,
        "PX": _sequence(_F.u16, _F.name, _F.name),
        "SRV": _sequence(_F.u16, _F.u16, _F.u16, _F.name),
        "NAPTR": _sequence(_F.u16, _F.u16, _F.string, _F.string, _F.string, _F.name),
        "CERT": _sequence(_certificate_type, _F.u16, _algorithm, _F.base64),
        "DNSKEY CDNSKEY RKEY": _DNSKEY,
        "KEY": _public_key,
        "RRSIG SIG": _SIGNATURE,
        "NSEC": _sequence(_F.name, _F.rtypes),
        "NSEC3": _hashed_denial,
        "NSEC3PARAM": _sequence(_F.u8, _F.u8, _F.u16, _F.salt),
        "OPENPGPKEY DHCID BRID HHIT": _F.base64,
        "LOC": rare_text.read_location,
        "GPOS": rare_text.read_geographical_position,
        "APL": rare_text.read_prefixes,
        "IPSECKEY": rare_text.read_ipsec_key,
        "HIP": rare_text.read_host_identity,
        "AMTRELAY": rare_text.read_relay,
        "WKS": rare_text.read_well_known_services,
        "NSAP": rare_text.read_network_access_point,
        "NXT": rare_text.read_next,
        "EID NIMLOC": _F.hex,
        "A6": rare_text.read_chained_address,
        "ATMA": rare_text.read_atm_address,
        "SINK": rare_text.read_sink,
        "DOA": rare_text.read_digital_object,
        "EUI48": rare_text.read_eui48,
        "EUI64": rare_text.read_eui64,
        "CSYNC": _sequence(_F.u32, _F.u16, _F.rtypes),
        "SVCB HTTPS": read_service_binding,
        "L32": _sequence(_F.u16, _F.ipv4),
        "URI": _sequence(_F.u16, _F.u16, _F.text),
        "CAA": _certification_authority,
        "NID L64": _sequence(_F.u16, _F.groups),
        "DSYNC": _sequence(_F.rtype, _mnemonic({b"NOTIFY": 1}, 1, "a scheme"), _F.u16, _F.name),
    }.items()
    for text in texts.split()
}
_READERS |= {
    iana.type_number(text): _checked(iana.type_number(text), reader)
    for texts, reader in {
        "DS CDS DLV TA": _sequence(_F.u16, _algorithm, _F.u8, _F.hex),
        "SSHFP": _sequence(_F.u8, _F.u8, _F.hex),
        "TLSA SMIMEA": _sequence(_F.u8, _F.u8, _F.u8, _F.hex),
        "ZONEMD": _sequence(_F.u32, _F.u8, _F.u8, _F.hex),
    }.items()
    for text in texts.split()
}
