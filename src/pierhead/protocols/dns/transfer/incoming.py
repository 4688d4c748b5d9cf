"""Receiving a transfer: the records in their order, and where it ends.

    connection ─▶ messages ─▶ Incoming: is it ours, is it whole ─▶ records

An end that comes too early is an error, as is anything after the last record: a copy that is not
whole is worse than an old one.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator

from pierhead.client.client import connect
from pierhead.codec import LengthPrefixed, Octets, WireFormat
from pierhead.errors import DecodeError, PeerError, TimedOut, UsageError
from pierhead.printable import digits
from pierhead.protocols.dns.response import ResourceRecord, Response, parse_response
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.message import HEADER, QUESTION
from pierhead.protocols.dns.wire.name import ROOT, from_text, is_subdomain, key, to_text
from pierhead.protocols.dns.wire.rrset import Name
from pierhead.protocols.dns.wire.serial import MAX_SERIAL, is_newer
from pierhead.protocols.dns.wire.tsig import Key, StreamVerifier, sign

__all__ = ["Incoming", "receive", "transfer_query"]

_SOA = iana.SOA
#: Two names of at least one octet, and five numbers (RFC 1035 §3.3.13).
_SOA_OCTETS = 22


def transfer_query(ident: int, qname: Name, serial: int | None) -> bytes:
    """Return the query for a whole zone, or for what has changed since a serial number."""
    qtype = iana.AXFR if serial is None else iana.IXFR
    question = qname + QUESTION.pack(qtype, iana.CLASS_IN)
    if serial is None:
        return HEADER.pack(ident, 0, 1, 0, 0, 0) + question
    # RFC 1995 §3: the client's SOA record; of its data only the serial number is looked at.
    rdata = b"\0\0" + serial.to_bytes(4, "big") + bytes(16)
    record = b"\xc0\x0c" + QUESTION.pack(_SOA, iana.CLASS_IN) + bytes(4)
    record += len(rdata).to_bytes(2, "big") + rdata
    return HEADER.pack(ident, 0, 1, 0, 1, 0) + question + record


class Incoming:
    """The state of one transfer that is being received.

    Attributes:
        is_over: whether the last record was there.
        is_incremental: whether it has differences; None before that is known.

    Args:
        ident: the identifier of the query.
        origin: the zone.
        serial: the version that differences are asked from; None for the whole zone.
    """

    def __init__(self, ident: int, origin: Name, serial: int | None) -> None:
        self.is_over = False
        self.is_incremental: bool | None = None if serial is not None else False
        self._ident = ident
        self._key = key(origin)
        self._since = serial
        self._newest: int | None = None
        self._records = 0
        self._deletes = False
        self._reached: int | None = None

    def feed(self, response: Response) -> tuple[ResourceRecord, ...]:
        """Return the records of the next message.

        Raises:
            DecodeError: it is no part of this transfer.
        """
        if response.id != self._ident:
            raise DecodeError(f"a message with identifier {response.id}, expected {self._ident}")
        if response.rcode != iana.NOERROR or response.truncated:
            said = "TC" if response.truncated else iana.rcode_text(response.rcode)
            raise DecodeError(f"the transfer was answered {said}")
        if response.question is not None and key(response.question[0]) != self._key:
            raise DecodeError(f"a message about {to_text(response.question[0])}")
        if not response.answer:
            raise DecodeError("a message without records")
        for record in response.answer:
            if self.is_over:
                raise DecodeError("records after the end of the transfer", record.offset)
            self._take(record)
        if self._is_alone(response):
            self.is_over = True
        return response.answer

    def _is_alone(self, response: Response) -> bool:
        """Tell whether the only record says that nothing has changed (RFC 1995 §2)."""
        if self._since is None or self._records != 1 or self._newest is None:
            return False
        return not is_newer(self._newest, self._since)

    def _take(self, record: ResourceRecord) -> None:
        owner = key(record.owner)
        if not is_subdomain(owner, self._key):
            raise DecodeError(f"{record.name} is outside the zone", record.offset)
        serial = self._serial(record) if record.rtype == _SOA and owner == self._key else None
        self._records += 1
        if self._newest is None:
            if serial is None:
                raise DecodeError("a transfer does not begin with the SOA record", record.offset)
            self._newest = serial
            return
        if self._records == 2 and self.is_incremental is None:
            # RFC 1995 §4: a second SOA record of another version begins the differences.
            self.is_incremental = serial is not None and serial != self._newest
        if serial is None:
            return
        if not self.is_incremental:
            self._end(serial, record)
        elif self._deletes:
            self._deletes, self._reached = False, serial
        elif serial == self._newest and self._reached == serial:
            self.is_over = True
        else:
            self._begin_deletes(serial, record)

    def _begin_deletes(self, serial: int, record: ResourceRecord) -> None:
        expected = self._since if self._reached is None else self._reached
        if serial != expected:
            raise DecodeError(f"a difference from {serial}, expected {expected}", record.offset)
        self._deletes = True

    def _end(self, serial: int, record: ResourceRecord) -> None:
        if serial != self._newest:
            raise DecodeError(
                f"the transfer ends with serial {serial}, and began with {self._newest}",
                record.offset,
            )
        self.is_over = True

    def _serial(self, record: ResourceRecord) -> int:
        if record.length < _SOA_OCTETS:
            raise DecodeError("an SOA record is too short", record.offset)
        return int.from_bytes(record.octets[-20:-16], "big")


async def receive(
    address: str,
    name: str,
    *,
    serial: int | None = None,
    source: str | None = None,
    tsig_key: Key | None = None,
    patience: float = 30.0,
) -> AsyncGenerator[tuple[ResourceRecord, ...], None]:
    """Yield the records of a zone, message by message; or what has changed in it.

    Args:
        address: the primary's: a stream, ``tcp:192.0.2.53:53`` or ``tls+tcp:…``.
        name: the zone.
        serial: the version that is there already; None for the whole zone.
        source: the address to connect from; None to let the system choose.
        tsig_key: signs the question, and then everything must be signed with it (RFC 8945).
        patience: how long each message may take, in seconds.

    Raises:
        PeerError: what came is no transfer of this zone, or not a whole one.
        TimedOut: a message took too long.
        ConnectError: the address cannot be reached.
        UsageError: an argument is invalid.
    """
    if serial is not None and not 0 <= serial <= MAX_SERIAL:
        raise UsageError(f"serial is {serial}, expected 0 to {MAX_SERIAL}")
    try:
        origin = from_text(name, ROOT)
    except DecodeError as error:
        raise UsageError(f"{name!r} is not a domain name: {error}") from None
    ident = secrets.randbelow(1 << 16)
    incoming = Incoming(ident, origin, serial)
    travels = WireFormat(LengthPrefixed(2), Octets())
    question = transfer_query(ident, origin, serial)
    verifier = None
    if tsig_key is not None:
        question, mac = sign(question, tsig_key, int(time.time()))
        verifier = StreamVerifier(tsig_key, mac)
    try:
        async with (
            connect(address, travels, source=source) as client,
            client.conversation() as conversation,
        ):
            await conversation.send(question)
            while True:
                async with asyncio.timeout(patience):
                    frame = await anext(conversation, None)
                if frame is None:
                    raise PeerError("the connection ended before the transfer did")
                if verifier is not None:
                    frame = verifier.verify(frame, int(time.time()))
                records = incoming.feed(parse_response(frame))
                is_over = incoming.is_over
                if is_over and verifier is not None:
                    verifier.finish()
                yield records
                if is_over:
                    return
    except TimeoutError:
        raise TimedOut(f"no message from {address} in {digits(patience)} s") from None
