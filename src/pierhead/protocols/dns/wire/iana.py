"""The numbers of DNS and their names, from IANA's registry of DNS parameters.

Plain integers: these are compared once per packet, where an enum member costs too much.
RR types carry their bare mnemonic; the other registries carry a prefix.
"""

from __future__ import annotations

import difflib
from typing import Final

from pierhead.errors import UsageError

__all__ = [
    "class_number",
    "class_text",
    "is_meta_type",
    "opcode_text",
    "option_text",
    "rcode_number",
    "rcode_text",
    "type_number",
    "type_text",
]

# RR types used by name in the code; all others are in the table below.
A: Final = 1
NS: Final = 2
MD: Final = 3
MF: Final = 4
CNAME: Final = 5
SOA: Final = 6
MB: Final = 7
MG: Final = 8
MR: Final = 9
NULL: Final = 10
WKS: Final = 11
PTR: Final = 12
HINFO: Final = 13
MINFO: Final = 14
MX: Final = 15
TXT: Final = 16
NSAP: Final = 22
AAAA: Final = 28
EID: Final = 31
NIMLOC: Final = 32
SRV: Final = 33
ATMA: Final = 34
NAPTR: Final = 35
A6: Final = 38
DNAME: Final = 39
OPT: Final = 41
APL: Final = 42
DS: Final = 43
IPSECKEY: Final = 45
RRSIG: Final = 46
NSEC: Final = 47
DNSKEY: Final = 48
NSEC3: Final = 50
NSEC3PARAM: Final = 51
CDS: Final = 59
CDNSKEY: Final = 60
SVCB: Final = 64
HTTPS: Final = 65
TKEY: Final = 249
TSIG: Final = 250
IXFR: Final = 251
AXFR: Final = 252
MAILB: Final = 253
MAILA: Final = 254
ANY: Final = 255
CAA: Final = 257

CLASS_IN: Final = 1
CLASS_CH: Final = 3
CLASS_ANY: Final = 255

OPCODE_QUERY: Final = 0
OPCODE_IQUERY: Final = 1
OPCODE_STATUS: Final = 2
OPCODE_NOTIFY: Final = 4
OPCODE_UPDATE: Final = 5
OPCODE_DSO: Final = 6

# Response codes; those above 15 need EDNS (RFC 6891 §6.1.3).
NOERROR: Final = 0
FORMERR: Final = 1
SERVFAIL: Final = 2
NXDOMAIN: Final = 3
NOTIMP: Final = 4
REFUSED: Final = 5
YXDOMAIN: Final = 6
YXRRSET: Final = 7
NXRRSET: Final = 8
NOTAUTH: Final = 9
NOTZONE: Final = 10
BADVERS: Final = 16
BADCOOKIE: Final = 23
#: Errors in a TSIG record (RFC 8945 §3); 16 is BADVERS in a message.
BADSIG: Final = 16
BADKEY: Final = 17
BADTIME: Final = 18
BADTRUNC: Final = 22

OPTION_NSID: Final = 3
OPTION_CLIENT_SUBNET: Final = 8
OPTION_EXPIRE: Final = 9
OPTION_COOKIE: Final = 10
OPTION_KEEPALIVE: Final = 11
OPTION_PADDING: Final = 12
OPTION_EXTENDED_ERROR: Final = 15

# Extended DNS errors (RFC 8914 §4).
EDE_OTHER: Final = 0
EDE_PROHIBITED: Final = 18
EDE_NOT_AUTHORITATIVE: Final = 20
EDE_NOT_SUPPORTED: Final = 21


def _numbered(start: int, texts: str) -> dict[int, str]:
    return dict(enumerate(texts.split(), start))


_TYPES = {
    **_numbered(
        1,
        "A NS MD MF CNAME SOA MB MG MR NULL WKS PTR HINFO MINFO MX TXT RP AFSDB X25 ISDN RT "
        "NSAP NSAP-PTR SIG KEY PX GPOS AAAA LOC NXT EID NIMLOC SRV ATMA NAPTR KX CERT A6 "
        "DNAME SINK OPT APL DS SSHFP IPSECKEY RRSIG NSEC DNSKEY DHCID NSEC3 NSEC3PARAM "
        "TLSA SMIMEA",
    ),
    **_numbered(
        55,
        "HIP NINFO RKEY TALINK CDS CDNSKEY OPENPGPKEY CSYNC ZONEMD SVCB HTTPS DSYNC HHIT BRID",
    ),
    **_numbered(99, "SPF UINFO UID GID UNSPEC NID L32 L64 LP EUI48 EUI64"),
    128: "NXNAME",
    **_numbered(249, "TKEY TSIG IXFR AXFR MAILB MAILA ANY"),
    **_numbered(256, "URI CAA AVC DOA AMTRELAY RESINFO WALLET CLA IPN"),
    32768: "TA",
    32769: "DLV",
}
#: Types that are defined only for class IN; other classes may lay them out differently.
INTERNET_ONLY: Final = frozenset(
    (A, WKS, NSAP, AAAA, EID, NIMLOC, SRV, ATMA, NAPTR, A6, APL, IPSECKEY, SVCB, HTTPS)
)
_TYPE_NUMBERS = {text: number for number, text in _TYPES.items()} | {"*": ANY}
_CLASSES = {1: "IN", 3: "CH", 4: "HS", 254: "NONE", 255: "ANY"}
_CLASS_NUMBERS = {text: number for number, text in _CLASSES.items()}
_OPCODES = {**_numbered(0, "QUERY IQUERY STATUS"), **_numbered(4, "NOTIFY UPDATE DSO")}
_RCODES = {
    **_numbered(
        0,
        "NOERROR FORMERR SERVFAIL NXDOMAIN NOTIMP REFUSED YXDOMAIN YXRRSET NXRRSET NOTAUTH "
        "NOTZONE DSOTYPENI",
    ),
    **_numbered(16, "BADVERS BADKEY BADTIME BADMODE BADNAME BADALG BADTRUNC BADCOOKIE"),
}
_OPTIONS = {
    **_numbered(1, "LLQ UPDATE-LEASE NSID"),
    **_numbered(
        5,
        "DAU DHU N3U ECS EXPIRE COOKIE KEEPALIVE PADDING CHAIN KEY-TAG EDE CLIENT-TAG "
        "SERVER-TAG REPORT-CHANNEL ZONEVERSION",
    ),
}


def type_number(text: str) -> int:
    """Return the number of an RR type: ``A``, ``aaaa``, ``TYPE65280`` (RFC 3597 §5).

    Raises:
        UsageError: the text is not a type.
    """
    return _number(text, _TYPE_NUMBERS, "TYPE", "an RR type", "A, AAAA, MX")


def type_text(number: int) -> str:
    """Return the mnemonic of an RR type, or ``TYPE123`` if it has none."""
    return _TYPES.get(number) or f"TYPE{number}"


def class_number(text: str) -> int:
    """Return the number of a class: ``IN``, ``ch``, ``CLASS32`` (RFC 3597 §5).

    Raises:
        UsageError: the text is not a class.
    """
    return _number(text, _CLASS_NUMBERS, "CLASS", "a class", "IN, CH")


def class_text(number: int) -> str:
    """Return the mnemonic of a class, or ``CLASS123`` if it has none."""
    return _CLASSES.get(number) or f"CLASS{number}"


def rcode_text(number: int) -> str:
    """Return the mnemonic of a response code, or ``RCODE123`` if it has none."""
    return _RCODES.get(number) or f"RCODE{number}"


def rcode_number(text: str) -> int | None:
    """Return the response code that a mnemonic stands for, in either letter case."""
    return next((number for number, name in _RCODES.items() if name == text.upper()), None)


def opcode_text(number: int) -> str:
    """Return the mnemonic of an opcode, or ``OPCODE12`` if it has none."""
    return _OPCODES.get(number) or f"OPCODE{number}"


def option_text(number: int) -> str:
    """Return the mnemonic of an EDNS option, or ``OPT123`` if it has none."""
    return _OPTIONS.get(number) or f"OPT{number}"


def is_meta_type(number: int) -> bool:
    """Tell whether a type is only ever queried or carried, never data in a zone.

    RFC 6895 §3.1: 0, OPT, and 128 to 255.
    """
    return 128 <= number <= 255 or number == OPT or number == 0


def _number(text: object, known: dict[str, int], prefix: str, what: str, samples: str) -> int:
    if not isinstance(text, str):
        raise UsageError(f"{text!r} is not {what}; expected a mnemonic ({samples} …)")
    upper = text.upper()
    number = known.get(upper)
    if number is not None:
        return number
    digits = upper.removeprefix(prefix)
    if digits != upper and digits.isascii() and digits.isdigit() and len(digits) <= 5:
        number = int(digits)
        if number <= 0xFFFF:
            return number
    near = difflib.get_close_matches(upper, known, 2)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    raise UsageError(
        f"{text!r} is not {what}{hint or ';'} expected a mnemonic ({samples} …) or "
        f"{prefix}0 to {prefix}65535"
    )
