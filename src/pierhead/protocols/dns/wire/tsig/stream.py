"""Signs and verifies the messages of one reply, such as a transfer's (RFC 8945 §5.3.1).

first    request's MAC  message                variables
others   previous MAC   message …  message     timers
                        └ those since the previous signature, the signed one last
"""

from __future__ import annotations

from pierhead.errors import UsageError
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.tsig.key import Key, Keyring
from pierhead.protocols.dns.wire.tsig.record import TsigRecord, without_tsig
from pierhead.protocols.dns.wire.tsig.signature import (
    FUDGE_S,
    BadTsig,
    check_mac,
    check_time,
    check_truncation,
    prefixed,
    read,
    seal,
    sign,
    verify,
)

__all__ = ["MAX_UNSIGNED", "StreamSigner", "StreamVerifier"]

#: RFC 8945 §5.3.1: how many messages between two signed ones a receiver must accept.
MAX_UNSIGNED = 99


class StreamSigner:
    """Signs the messages of one reply, one or many; one object for each reply.

    Args:
        key: the key of the request.
        request_mac: the MAC of the request.
        every: sign the first message, every n-th after it and the last; 1 signs all, as RFC 8945
            §5.3.1 wants it.

    Raises:
        UsageError: ``every`` is out of range.

    Example:
        >>> key = Key("north.", b"secret")
        >>> signer = StreamSigner(key, bytes(32))
        >>> frame = signer.sign(bytes(12), 1_000_000)
    """

    __slots__ = ("_count", "_every", "_mac", "_pending", "key")

    def __init__(self, key: Key, request_mac: bytes, *, every: int = 1) -> None:
        if not 1 <= every <= MAX_UNSIGNED + 1:
            raise UsageError(f"every is {every}, expected 1 to {MAX_UNSIGNED + 1} messages")
        self.key = key
        self._mac = request_mac
        self._every = every
        self._count = 0
        self._pending: list[bytes] = []

    @property
    def octets(self) -> int:
        """The most that `sign` adds to a message."""
        from_key = TsigRecord(self.key.name, self.key.algorithm.name, 0, 0)
        return len(from_key.octets) + self.key.mac_octets

    def sign(self, message: bytes, now: int, *, is_last: bool = False) -> bytes:
        """Return the next message as it is sent, signed if it is its turn.

        Args:
            message: unsigned, with the identifier that it is sent with.
            now: seconds since 1970.
            is_last: whether no other follows; it is always signed.
        """
        turn = self._count % self._every == 0
        self._count += 1
        if self._count == 1:
            frame, self._mac = sign(message, self.key, now, request_mac=self._mac)
            return frame
        self._pending.append(message)
        if not (turn or is_last):
            return message
        ident = int.from_bytes(message[:2], "big")
        bare = TsigRecord(self.key.name, self.key.algorithm.name, now, FUDGE_S, original_id=ident)
        digested = b"".join((prefixed(self._mac), *self._pending, bare.timers))
        self._pending.clear()
        frame, self._mac = seal(message, self.key, bare, digested)
        return frame


class StreamVerifier:
    """Verifies the messages of one reply, one or many; one object for each reply.

    Whoever has received all of them calls `finish`: what comes after the last signature is not
    verified by anything.

    Args:
        key: the key of the request.
        request_mac: the MAC of the request.

    Example:
        >>> key = Key("north.", b"secret")
        >>> frame = StreamSigner(key, bytes(32)).sign(bytes(12), 1_000_000)
        >>> verifier = StreamVerifier(key, bytes(32))
        >>> verifier.verify(frame, 1_000_000) == bytes(12)
        True
        >>> verifier.finish()
    """

    __slots__ = ("_is_first", "_keys", "_mac", "_pending", "key")

    def __init__(self, key: Key, request_mac: bytes) -> None:
        self.key = key
        self._keys = Keyring([key])
        self._mac = request_mac
        self._is_first = True
        self._pending: list[bytes] = []

    def verify(self, frame: bytes, now: int) -> bytes:
        """Return the next message without its signature, if it has one.

        Raises:
            BadTsig: the signature is wrong, or one is missing: the first message must have one, and
                99 may follow without.
        """
        if self._is_first:
            found = verify(frame, self._keys, now, request_mac=self._mac)
            if found is None:
                raise BadTsig("the reply to a signed request is not signed", iana.BADSIG)
            self._is_first = False
            self._mac = found.record.mac
            return without_tsig(frame, found.record)
        record = read(frame)
        if record is None:
            self._pending.append(frame)
            if len(self._pending) > MAX_UNSIGNED:
                raise BadTsig(f"more than {MAX_UNSIGNED} messages without signature", iana.BADSIG)
            return frame
        key = self._keys.get(record.name, record.algorithm)
        if key is None:
            raise BadTsig("signed by another key than the message before", iana.BADKEY, record)
        signed = without_tsig(frame, record, record.original_id)
        digested = b"".join((prefixed(self._mac), *self._pending, signed, record.timers))
        check_mac(key, record, digested)
        check_time(key, record, now)
        check_truncation(key, record)
        self._pending.clear()
        self._mac = record.mac
        return without_tsig(frame, record)

    def finish(self) -> None:
        """Check that nothing is left without a signature.

        Raises:
            BadTsig: the last message was not signed, or there was none.
        """
        if self._is_first or self._pending:
            raise BadTsig("the last message is not signed", iana.BADSIG)
