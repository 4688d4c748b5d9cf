"""Signs a message and verifies one (RFC 8945 §4.3 and §5)."""

from __future__ import annotations

import hmac
from struct import Struct
from typing import NamedTuple

from pierhead.errors import DecodeError
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.name import to_text
from pierhead.protocols.dns.wire.tsig.key import Key, Keyring
from pierhead.protocols.dns.wire.tsig.record import TsigRecord, add_tsig, find_tsig, without_tsig

__all__ = [
    "FUDGE_S",
    "BadTsig",
    "Signed",
    "Verified",
    "check_mac",
    "check_time",
    "check_truncation",
    "prefixed",
    "sign",
    "unsigned_error",
    "verify",
]

#: RFC 8945 §10: how far the clocks of both sides may differ, in seconds.
FUDGE_S = 300

_LENGTH = Struct("!H")


class Signed(NamedTuple):
    """A signed message, and its MAC, which the reply is signed with."""

    frame: bytes
    mac: bytes


class Verified(NamedTuple):
    """A message whose signature is valid.

    Attributes:
        key: the key that signed it.
        record: its TSIG record; ``record.mac`` is what the reply is signed with.
        frame: the message without that record, with the identifier it was signed with.
    """

    key: Key
    record: TsigRecord
    frame: bytes


class BadTsig(DecodeError):
    """A message is not signed as it should be.

    Attributes:
        error: what the TSIG record of a refusal says: BADSIG, BADKEY, BADTIME or BADTRUNC; 0 if
            the message is malformed (FORMERR).
        record: the TSIG record; None if the message has none that can be read.
        key: the key, if it is known.
    """

    def __init__(
        self,
        reason: str,
        error: int = iana.NOERROR,
        record: TsigRecord | None = None,
        key: Key | None = None,
    ) -> None:
        super().__init__(reason)
        self.args = (reason, error, record, key)
        self.error = error
        self.record = record
        self.key = key

    def __str__(self) -> str:
        return self.reason


def sign(
    message: bytes,
    key: Key,
    now: int,
    *,
    request_mac: bytes = b"",
    fudge: int = FUDGE_S,
    error: int = iana.NOERROR,
    other: bytes = b"",
) -> Signed:
    """Return a message with its signature.

    Args:
        message: unsigned, with the identifier that it is sent with.
        key: signs it.
        now: when, in seconds since 1970.
        request_mac: that of the request, if this is the reply to one.
        fudge: how far the receiver's clock may differ, in seconds.
        error, other: what a refusal says: BADTIME and the server's time in 6 octets, BADTRUNC.
    """
    ident = int.from_bytes(message[:2], "big")
    bare = TsigRecord(
        key.name, key.algorithm.name, now, fudge, original_id=ident, error=error, other=other
    )
    return seal(message, key, bare, prefixed(request_mac) + message + bare.variables)


def seal(message: bytes, key: Key, bare: TsigRecord, digested: bytes) -> Signed:
    """Return a message with a record that has the MAC of some octets."""
    mac = key.mac(digested)[: key.mac_octets]
    record = TsigRecord(
        bare.name,
        bare.algorithm,
        bare.time,
        bare.fudge,
        mac,
        bare.original_id,
        bare.error,
        bare.other,
    )
    return Signed(add_tsig(message, record), mac)


def unsigned_error(message: bytes, record: TsigRecord, error: int) -> bytes:
    """Return a refusal that is not signed: BADKEY or BADSIG (RFC 8945 §5.3.2).

    Args:
        message: the refusal.
        record: that of the request.
        error: what is wrong with it.
    """
    ident = int.from_bytes(message[:2], "big")
    told = TsigRecord(record.name, record.algorithm, record.time, record.fudge, b"", ident, error)
    return add_tsig(message, told)


def verify(frame: bytes, keys: Keyring, now: int, *, request_mac: bytes = b"") -> Verified | None:
    """Return what a message says if it is signed by one of these keys; None if it is not signed.

    The checks come in the order of RFC 8945 §5.2: key, MAC, time, truncation.

    Args:
        frame: the message.
        keys: any of them may have signed it.
        now: seconds since 1970.
        request_mac: that of the request, if this is the reply to one.

    Raises:
        BadTsig: the signature is wrong, for a time that is too far from now, or malformed.
    """
    record = read(frame)
    if record is None:
        return None
    key = keys.get(record.name, record.algorithm)
    if key is None:
        shown = to_text(record.name), to_text(record.algorithm).removesuffix(".")
        raise BadTsig("no key {} of {} is known".format(*shown), iana.BADKEY, record)
    message = without_tsig(frame, record, record.original_id)
    check_mac(key, record, prefixed(request_mac) + message + record.variables)
    check_time(key, record, now)
    check_truncation(key, record)
    return Verified(key, record, message)


def read(frame: bytes) -> TsigRecord | None:
    """Return the TSIG record of a message; None if it has none.

    Raises:
        BadTsig: the message or the record is malformed.
    """
    try:
        return find_tsig(frame)
    except DecodeError as error:
        raise BadTsig(str(error)) from None


def prefixed(mac: bytes) -> bytes:
    """Return what is digested of an earlier MAC: nothing if there is none."""
    return _LENGTH.pack(len(mac)) + mac if mac else b""


def check_mac(key: Key, record: TsigRecord, digested: bytes) -> None:
    """Refuse a MAC that is not of these octets (RFC 8945 §5.2.2).

    Raises:
        BadTsig: it is another, or has a length that none has.
    """
    algorithm, size = key.algorithm, len(record.mac)
    if not size and record.error in (iana.BADKEY, iana.BADSIG):
        raise BadTsig("the message is not signed", iana.BADSIG, record, key)
    if not algorithm.min_octets <= size <= algorithm.octets:
        raise BadTsig(
            f"a MAC of {size} octets, expected {algorithm.min_octets} to {algorithm.octets}",
            record=record,
            key=key,
        )
    if not hmac.compare_digest(key.mac(digested)[:size], record.mac):
        raise BadTsig(f"the MAC is wrong for key {key.text}", iana.BADSIG, record, key)


def check_time(key: Key, record: TsigRecord, now: int) -> None:
    """Refuse a message that was signed too long ago, or too far ahead (RFC 8945 §5.2.3).

    Raises:
        BadTsig: the clocks differ by more than the message allows.
    """
    ahead = record.time - now
    if abs(ahead) > record.fudge:
        raise BadTsig(
            f"signed {abs(ahead)} s {'ahead of' if ahead > 0 else 'before'} this clock, "
            f"{record.fudge} are allowed",
            iana.BADTIME,
            record,
            key,
        )


def check_truncation(key: Key, record: TsigRecord) -> None:
    """Refuse a MAC that is shorter than the key demands (RFC 8945 §5.2.4).

    Raises:
        BadTsig: it is.
    """
    if len(record.mac) < key.mac_octets:
        raise BadTsig(
            f"a MAC of {len(record.mac)} octets, key {key.text} demands {key.mac_octets}",
            iana.BADTRUNC,
            record,
            key,
        )
