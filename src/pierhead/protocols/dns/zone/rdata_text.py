"""RDATA from presentation format to wire form, for every RR type.

    known layout    a table of field kinds, read by `Fields`
    others          dnspython's parsers, imported when first needed
    any type        \\# length hexadecimal (RFC 3597 §5)

A new type whose RDATA is a plain sequence of fields is one line in the table.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from pierhead.protocols.dns.wire import iana, name
from pierhead.protocols.dns.zone.fields import Fields
from pierhead.protocols.dns.zone.rare_text import (
    read_eui48,
    read_eui64,
    read_geographical_position,
    read_host_identity,
    read_ipsec_key,
    read_location,
    read_prefixes,
)
from pierhead.protocols.dns.zone.svcb_text import read_service_binding

__all__ = ["RdataReader", "rdata_reader", "read_unknown"]

#: Takes all fields of one RDATA and returns its wire form, names uncompressed.
RdataReader: TypeAlias = Callable[[Fields], bytes]

_MAX_RDATA = 0xFFFF
#: What Python turns into a number without being asked twice, and no field needs.
_MAX_DIGITS = 4300
_DIGITS = re.compile(rb"[0-9]+")
#: How ``int`` and ``float`` put it.
_NO_NUMBER = re.compile(r"invalid literal for int|could not convert string|cannot convert float")

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
#: Octets of a digest by its type, for DS and its kin (RFC 4034, 4509, 6605) and for ZONEMD
#: (RFC 8976 §2.2.3).
_DS_DIGESTS = {1: 20, 2: 32, 3: 32, 4: 48}
_ZONE_DIGESTS = {1: 48, 2: 64}
_SHORTEST_ZONE_DIGEST = 12
#: Serial, scheme and algorithm.
_BEFORE_ZONE_DIGEST = 6
#: The one scheme that is no private one: what it hashes, and how, is known (RFC 8976 §3).
_SIMPLE = 1
_ZONEMD = iana.type_number("ZONEMD")
#: Octets of a hashed owner name by the algorithm (RFC 5155 §11).
_OWNER_HASHES = {1: 20}
#: Types that dnspython does not know, but that messages compress (RFC 1035 §3.3): how many names.
_NAMES_ALONE = {
    iana.MD: 1,
    iana.MF: 1,
    iana.MB: 1,
    iana.MG: 1,
    iana.MR: 1,
    iana.MINFO: 2,
}
#: A CDS record that asks for the removal of the DS set holds just this (RFC 8078 §4).
_DELETE_DS = bytes(5)


def rdata_reader(rtype: int, rclass: int = 1) -> RdataReader:
    """Return the function that reads the RDATA of this type."""
    if rtype in _READERS and (rclass == iana.CLASS_IN or rtype not in _INTERNET_ONLY):
        return _READERS[rtype]
    return partial(_by_dnspython, rtype=rtype, rclass=rclass)


def read_unknown(fields: Fields, rtype: int, rclass: int = 1) -> bytes:
    r"""Take ``\# length hexadecimal`` (RFC 3597 §5), the form that suits every type.

    The RDATA of a type whose layout is known must follow it: answers rely on the names in it.
    """
    fields.take(r"\#")
    length = fields.number(_MAX_RDATA, "the length of the RDATA")
    rdata = fields.hex() if length or not fields.at_end() else b""
    if len(rdata) != length:
        raise fields.wrong(f"RDATA of {len(rdata)} octets, announced as {length}")
    problem = _layout_problem(rdata, rtype, rclass)
    if problem:
        raise fields.wrong(f"not RDATA of type {iana.type_text(rtype)}: {problem}")
    return rdata


def _layout_problem(rdata: bytes, rtype: int, rclass: int) -> str:
    """Say what is wrong with wire-form RDATA of a known type; nothing for an unknown one."""
    if rtype in _NAMES_ALONE:
        return _names_problem(rdata, _NAMES_ALONE[rtype])
    if rtype == _ZONEMD:
        return _zone_digest_problem(rdata)
    import dns.exception
    import dns.rdata
    from dns.rdataclass import RdataClass
    from dns.rdatatype import RdataType

    try:
        record = dns.rdata.from_wire(
            RdataClass.make(rclass), RdataType.make(rtype), rdata, 0, len(rdata)
        )
        same = record.to_wire() == rdata
    except (dns.exception.DNSException, ValueError, struct.error) as error:
        return str(error) or type(error).__name__
    return "" if same else "it is not in its plain form (a compressed name?)"


def _names_problem(rdata: bytes, count: int) -> str:
    """Say why RDATA is not this number of uncompressed names."""
    position = 0
    for _ in range(count):
        start = position
        length = 1
        while length:
            if position >= len(rdata):
                return "a name is cut off"
            length = rdata[position]
            if length > name.MAX_LABEL:
                return f"a label of {length} octets"
            position += 1 + length
        if position - start > name.MAX_NAME:
            return f"a name of {position - start} octets"
    return "" if position == len(rdata) else "something follows the names"


def _by_dnspython(fields: Fields, *, rtype: int, rclass: int) -> bytes:
    import dns.exception
    import dns.name
    import dns.rdata
    from dns.rdataclass import RdataClass
    from dns.rdatatype import RdataType

    text = iana.type_text(rtype)
    known = dns.rdata.get_rdata_class(rclass, rtype)  # type: ignore[no-untyped-call]  # as it is
    if known is dns.rdata.GenericRdata:
        fields.take(r"\# and the length")
        raise fields.wrong(
            f"RDATA of type {text} has no text form of its own here",
            r"write it as \# length hexadecimal (RFC 3597 §5)",
        )
    written = b" ".join(fields.rest(f"the fields of {text}"))
    origin = None if fields.origin is None else dns.name.from_wire(fields.origin, 0)[0]
    # Octets above ASCII would be taken for IDNA.
    shown = "".join(chr(octet) if octet < 128 else f"\\{octet:03d}" for octet in written)
    try:
        record = dns.rdata.from_text(
            RdataClass.make(rclass), RdataType.make(rtype), shown, origin, relativize=False
        )
        rdata = record.to_wire() or b""
    except (dns.exception.DNSException, ValueError, ArithmeticError, struct.error) as error:
        raise fields.wrong(f"bad {text} RDATA: {_reason(error, written)}") from None
    return rdata


def _reason(error: Exception, written: bytes) -> str:
    """Say why RDATA was refused, in our own words where dnspython passes Python's on."""
    cause = error.__cause__ or error
    digits = max(map(len, _DIGITS.findall(written)), default=0)
    if digits > _MAX_DIGITS:
        return f"a number of {digits} digits, expected at most {_MAX_DIGITS}"
    if isinstance(cause, ArithmeticError | struct.error):
        return "a number is too large"
    if _NO_NUMBER.match(str(cause)):
        return "a field is no number where one is expected"
    return str(error) or type(error).__name__


def _sequence(*kinds: RdataReader) -> RdataReader:
    if len(kinds) == 1:
        return kinds[0]

    def read(fields: Fields) -> bytes:
        return b"".join([kind(fields) for kind in kinds])

    return read


def _mnemonic(known: dict[bytes, int], width: int, what: str) -> RdataReader:
    """Return a reader of a number that may also be written as a word."""

    def read(fields: Fields) -> bytes:
        number = known.get(fields.take(what).upper())
        if number is None:
            fields.position -= 1
            number = fields.number((1 << 8 * width) - 1, what)
        return number.to_bytes(width, "big")

    return read


_algorithm = _mnemonic(_ALGORITHMS, 1, "an algorithm")
_certificate_type = _mnemonic(_CERTIFICATE_TYPES, 2, "a certificate type")


def _delegation_signer(fields: Fields) -> bytes:
    head = fields.u16() + _algorithm(fields)
    digest_type = fields.u8()
    rdata = head + digest_type + fields.hex()
    expected = _DS_DIGESTS.get(digest_type[0])
    if expected and len(rdata) - 4 != expected:
        raise fields.wrong(
            f"digest of {len(rdata) - 4} octets, expected {expected} for type {digest_type[0]}"
        )
    if digest_type == b"\x00" and rdata != _DELETE_DS:
        raise fields.wrong("digest type 0 is reserved", "write 0 0 0 00 to ask for removal")
    return rdata


def _zone_digest(fields: Fields) -> bytes:
    rdata = fields.u32() + fields.u8() + fields.u8() + fields.hex()
    problem = _zone_digest_problem(rdata)
    if problem:
        raise fields.wrong(problem)
    return rdata


def _zone_digest_problem(rdata: bytes) -> str:
    """Say what is wrong with a ZONEMD record; schemes and algorithms may be private ones."""
    if len(rdata) < _BEFORE_ZONE_DIGEST:
        return f"{len(rdata)} octets, expected {_BEFORE_ZONE_DIGEST} and a digest"
    scheme, algorithm = rdata[4:_BEFORE_ZONE_DIGEST]
    size = len(rdata) - _BEFORE_ZONE_DIGEST
    known = _ZONE_DIGESTS.get(algorithm) if scheme == _SIMPLE else None
    if known is not None and size != known:
        return f"digest of {size} octets, expected {known}"
    if size < _SHORTEST_ZONE_DIGEST:
        return f"digest of {size} octets, expected {_SHORTEST_ZONE_DIGEST} or more"
    return ""


def _hashed_denial(fields: Fields) -> bytes:
    algorithm = fields.u8()
    head = algorithm + fields.u8() + fields.u16() + fields.salt()
    hashed = fields.hashed()
    expected = _OWNER_HASHES.get(algorithm[0])
    if expected and hashed[0] != expected:
        raise fields.wrong(
            f"hash of {hashed[0]} octets, expected {expected} for algorithm {algorithm[0]}"
        )
    return head + hashed + fields.rtypes()


def _certification_authority(fields: Fields) -> bytes:
    flags = fields.u8()
    tag = fields.octets("a property tag")
    # RFC 8659 §4.1: "Tags MAY contain ASCII characters a through z, A through Z, 0 through 9".
    if not (tag.isalnum() and len(tag) < 256):
        raise fields.wrong("bad property tag, expected letters and digits, as in issue")
    return flags + bytes((len(tag),)) + tag + fields.text()


def _hardware(fields: Fields) -> bytes:
    # One quoted "CPU OS" is an old spelling that daemons read; two strings is the rule.
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
_TLSA = _sequence(_F.u8, _F.u8, _F.u8, _F.hex)

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
        "DS CDS DLV TA": _delegation_signer,
        "DNSKEY CDNSKEY RKEY": _DNSKEY,
        "KEY": _public_key,
        "RRSIG SIG": _SIGNATURE,
        "NSEC": _sequence(_F.name, _F.rtypes),
        "NSEC3": _hashed_denial,
        "NSEC3PARAM": _sequence(_F.u8, _F.u8, _F.u16, _F.salt),
        "SSHFP": _sequence(_F.u8, _F.u8, _F.hex),
        "TLSA SMIMEA": _TLSA,
        "OPENPGPKEY DHCID BRID HHIT": _F.base64,
        "LOC": read_location,
        "GPOS": read_geographical_position,
        "APL": read_prefixes,
        "IPSECKEY": read_ipsec_key,
        "HIP": read_host_identity,
        "EUI48": read_eui48,
        "EUI64": read_eui64,
        "CSYNC": _sequence(_F.u32, _F.u16, _F.rtypes),
        "ZONEMD": _zone_digest,
        "SVCB HTTPS": read_service_binding,
        "L32": _sequence(_F.u16, _F.ipv4),
        "URI": _sequence(_F.u16, _F.u16, _F.text),
        "CAA": _certification_authority,
        "NID L64": _sequence(_F.u16, _F.groups),
        "DSYNC": _sequence(_F.rtype, _mnemonic({b"NOTIFY": 1}, 1, "a scheme"), _F.u16, _F.name),
    }.items()
    for text in texts.split()
}
#: Types that are defined for class IN alone; other classes may lay them out differently.
_INTERNET_ONLY = frozenset(
    {
        *(iana.A, iana.AAAA, iana.SRV, iana.NAPTR, iana.SVCB, iana.HTTPS),
        *(iana.type_number("APL"), iana.type_number("IPSECKEY")),
    }
)
