"""A client's question that is signed, and the check of its answer (RFC 8945 §5.4)."""

from __future__ import annotations

from collections.abc import Callable

from pierhead.errors import PeerError
from pierhead.protocols.dns.question import Question
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.tsig.key import Key
from pierhead.protocols.dns.wire.tsig.record import TsigRecord, find_tsig
from pierhead.protocols.dns.wire.tsig.signature import BadTsig, sign
from pierhead.protocols.dns.wire.tsig.stream import StreamVerifier

__all__ = ["SignatureRefused", "SignedQuestion"]


class SignatureRefused(PeerError):
    """The server refuses the signature of a question.

    Attributes:
        error: BADKEY, BADSIG, BADTIME or BADTRUNC, as a number.
    """

    def __init__(self, reason: str, error: int) -> None:
        super().__init__(reason, error)
        self.error = error

    def __str__(self) -> str:
        return str(self.args[0])


class SignedQuestion(Question):
    """A question that is signed when it is sent.

    Args:
        question: what is asked.
        key: signs it.
        now: returns seconds since 1970.
    """

    __slots__ = ("_key", "_mac", "_now")

    def __init__(self, question: Question, key: Key, now: Callable[[], float]) -> None:
        self.id = question.id
        self.qname, self.qtype, self.qclass = question.qname, question.qtype, question.qclass
        self.edns, self.flags = question.edns, question.flags
        self._key = key
        self._now = now
        self._mac = b""

    def frame(self) -> bytes:
        """Return the signed query; its answer is verified by the signature of the last one."""
        signed = sign(super().frame(), self._key, int(self._now()))
        self._mac = signed.mac
        return signed.frame

    def opened(self, frame: bytes) -> bytes:
        """Return the answer in a frame, without its signature.

        Raises:
            BadTsig: it is not signed, or not as it should be: it may be forged.
            SignatureRefused: the server refuses the question's signature.
        """
        now = int(self._now())
        try:
            message = StreamVerifier(self._key, self._mac).verify(frame, now)
        except BadTsig as bad:
            if bad.record is not None and self._is_refusal(bad.record):
                raise self._refused(bad.record) from None
            raise
        record = find_tsig(frame)
        assert record is not None  # it has been verified
        if record.error:
            raise self._refused(record)
        return message

    def _is_refusal(self, record: TsigRecord) -> bool:
        """Tell whether a server says that it cannot verify our signature.

        It does not sign that (RFC 8945 §5.3.2): a forger who sees the question can say so too, and
        gains no more than by forging any other refusal of an unsigned question.
        """
        names = record.name.lower(), record.algorithm.lower()
        is_ours = names == (self._key.name, self._key.algorithm.name)
        return is_ours and not record.mac and record.error in (iana.BADKEY, iana.BADSIG)

    def _refused(self, record: TsigRecord) -> SignatureRefused:
        key = self._key
        reason = {
            iana.BADKEY: f"BADKEY: it does not know a key {key.text} of {key.algorithm.text}",
            iana.BADSIG: f"BADSIG: its key {key.text} has another secret",
            iana.BADTRUNC: f"BADTRUNC: it demands longer MACs than {8 * key.mac_octets} bits",
        }.get(record.error)
        if record.error == iana.BADTIME:
            ahead = int.from_bytes(record.other, "big") - record.time
            where = "ahead of" if ahead > 0 else "behind"
            reason = f"BADTIME: its clock is {abs(ahead)} s {where} this one; set the clocks"
        text = f"the server refuses the signature: {reason or iana.rcode_text(record.error)}"
        return SignatureRefused(text, record.error)
