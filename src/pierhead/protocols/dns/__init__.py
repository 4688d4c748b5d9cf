"""DNS: servers, services and clients.

    from pierhead import run
    from pierhead.protocols import dns

    site = dns.Router()
    site.mount("example.", dns.zones("zones/example.zone"))

    @site.answer("*.dyn.example.", "A")
    async def address(query: dns.Query, context) -> dns.Reply:
        return query.reply(dns.A("192.0.2.1"), ttl=60)

    run(dns.serve(site), "127.0.0.1:5300")

    wire/      messages as bytes; pure              zone/      zones as data; pure
    codec.py   size limits, refusals                services/  zones from files, the router …
    stacking.py  layers in their order              middleware/  the layers
    endpoint.py the endpoint
    journal/   changes, on disk                     client.py  `query`, `Client`
    transfer/  copies for secondaries               explanation.py  where answers come from

Every name here is resolved on first use (PEP 562): a client loads no server code.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pierhead.protocols.dns.client import Client, query
    from pierhead.protocols.dns.codec import wire_format
    from pierhead.protocols.dns.endpoint import serve
    from pierhead.protocols.dns.explanation import Explanation, explain
    from pierhead.protocols.dns.journal.store import JournalError
    from pierhead.protocols.dns.key_file import read_keys
    from pierhead.protocols.dns.middleware import (
        Layer,
        SignedBy,
        ValidCookie,
        cookies,
        edns,
        expire,
        extended_errors,
        identity,
        keepalive,
        mandatory,
        minimal_responses,
        nsid,
        padding,
        query_log,
        rate_limit,
        tsig,
    )
    from pierhead.protocols.dns.question import Question
    from pierhead.protocols.dns.records import (
        AAAA,
        CAA,
        CNAME,
        MX,
        NS,
        PTR,
        SOA,
        SRV,
        TXT,
        A,
        Record,
    )
    from pierhead.protocols.dns.response import ResourceRecord, Response
    from pierhead.protocols.dns.services.chaos import chaos
    from pierhead.protocols.dns.services.forward import forward
    from pierhead.protocols.dns.services.live_zone import Edit, LiveZone
    from pierhead.protocols.dns.services.refuse import refuse
    from pierhead.protocols.dns.services.router import Router
    from pierhead.protocols.dns.services.static import static
    from pierhead.protocols.dns.services.zones import zones
    from pierhead.protocols.dns.stacking import Stack, stack, standard
    from pierhead.protocols.dns.trace import Step, Trace
    from pierhead.protocols.dns.transfer.outgoing import Transfers, TransferSource, transfers
    from pierhead.protocols.dns.wire.batch import batch
    from pierhead.protocols.dns.wire.edns import Edns
    from pierhead.protocols.dns.wire.iana import (
        FORMERR,
        NOERROR,
        NOTAUTH,
        NOTIMP,
        NXDOMAIN,
        OPCODE_NOTIFY,
        OPCODE_UPDATE,
        REFUSED,
        SERVFAIL,
        rcode_text,
        type_number,
        type_text,
    )
    from pierhead.protocols.dns.wire.max_age import max_age
    from pierhead.protocols.dns.wire.message import Query, Reply
    from pierhead.protocols.dns.wire.rcode_error import (
        FormErr,
        NotAuth,
        NotImp,
        NXDomain,
        RcodeError,
        Refused,
        ServFail,
    )
    from pierhead.protocols.dns.wire.record import Placement
    from pierhead.protocols.dns.wire.tsig.key import Key
    from pierhead.protocols.dns.zone.difference import Difference
    from pierhead.protocols.dns.zone.master_file import parse_zone
    from pierhead.protocols.dns.zone.transaction import Transaction
    from pierhead.protocols.dns.zone.zone import Zone, Zones

__all__ = [
    "AAAA",
    "CAA",
    "CNAME",
    "FORMERR",
    "MX",
    "NOERROR",
    "NOTAUTH",
    "NOTIMP",
    "NS",
    "NXDOMAIN",
    "OPCODE_NOTIFY",
    "OPCODE_UPDATE",
    "PTR",
    "REFUSED",
    "SERVFAIL",
    "SOA",
    "SRV",
    "TXT",
    "A",
    "Client",
    "Difference",
    "Edit",
    "Edns",
    "Explanation",
    "FormErr",
    "JournalError",
    "Key",
    "Layer",
    "LiveZone",
    "NXDomain",
    "NotAuth",
    "NotImp",
    "Placement",
    "Query",
    "Question",
    "RcodeError",
    "Record",
    "Refused",
    "Reply",
    "ResourceRecord",
    "Response",
    "Router",
    "ServFail",
    "SignedBy",
    "Stack",
    "Step",
    "Trace",
    "Transaction",
    "TransferSource",
    "Transfers",
    "ValidCookie",
    "Zone",
    "Zones",
    "batch",
    "chaos",
    "cookies",
    "edns",
    "expire",
    "explain",
    "extended_errors",
    "forward",
    "identity",
    "keepalive",
    "mandatory",
    "max_age",
    "minimal_responses",
    "nsid",
    "padding",
    "parse_zone",
    "query",
    "query_log",
    "rate_limit",
    "rcode_text",
    "read_keys",
    "refuse",
    "serve",
    "stack",
    "standard",
    "static",
    "transfers",
    "tsig",
    "type_number",
    "type_text",
    "wire_format",
    "zones",
]

_RECORDS = ("A", "AAAA", "CAA", "CNAME", "MX", "NS", "PTR", "Record", "SOA", "SRV", "TXT")
_LAYERS = (
    "Layer",
    "SignedBy",
    "ValidCookie",
    "cookies",
    "edns",
    "expire",
    "extended_errors",
    "identity",
    "keepalive",
    "mandatory",
    "minimal_responses",
    "nsid",
    "padding",
    "query_log",
    "rate_limit",
    "tsig",
)
_NUMBERS = ("FORMERR", "NOERROR", "NOTAUTH", "NOTIMP", "NXDOMAIN", "REFUSED", "SERVFAIL")
_OPCODES = ("OPCODE_NOTIFY", "OPCODE_UPDATE")
_RCODE_ERRORS = ("FormErr", "NXDomain", "NotAuth", "NotImp", "RcodeError", "Refused", "ServFail")
_HOMES = {
    **dict.fromkeys(_RECORDS, "records"),
    **dict.fromkeys((*_NUMBERS, *_OPCODES, "rcode_text", "type_number", "type_text"), "wire.iana"),
    **dict.fromkeys(("ResourceRecord", "Response"), "response"),
    **dict.fromkeys(("Query", "Reply"), "wire.message"),
    **dict.fromkeys(_RCODE_ERRORS, "wire.rcode_error"),
    "Key": "wire.tsig.key",
    "Placement": "wire.record",
    **dict.fromkeys(("TransferSource", "Transfers", "transfers"), "transfer.outgoing"),
    "batch": "wire.batch",
    "Difference": "zone.difference",
    "parse_zone": "zone.master_file",
    "Transaction": "zone.transaction",
    **dict.fromkeys(("Zone", "Zones"), "zone.zone"),
    **dict.fromkeys(("Explanation", "explain"), "explanation"),
    **dict.fromkeys(("Step", "Trace"), "trace"),
    "Client": "client",
    **dict.fromkeys(_LAYERS, "middleware"),
    **dict.fromkeys(("Stack", "stack", "standard"), "stacking"),
    **dict.fromkeys(("Edit", "LiveZone"), "services.live_zone"),
    "JournalError": "journal.store",
    "chaos": "services.chaos",
    "forward": "services.forward",
    "refuse": "services.refuse",
    "static": "services.static",
    "Edns": "wire.edns",
    "Router": "services.router",
    "Question": "question",
    "query": "client",
    "read_keys": "key_file",
    "serve": "endpoint",
    "wire_format": "codec",
    "max_age": "wire.max_age",
    "zones": "services.zones",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
