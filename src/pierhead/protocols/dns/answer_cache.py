"""Ready answers: a previous answer is sent again, without parsing or lookup.

The answer to a query without EDNS options depends on the octets after its ID and on the zones, and
on nothing else, as long as every layer around the service says so (`Layer.is_constant`). Then the
octets of the answer are kept until the zones are replaced:

    key    flags, counts │ name in lower case │ type, class, OPT (size, DO)
    kept   flags, counts │ (the question as asked) │ records, OPT

The ID and the question, with its letter case, are taken from each query; names in the answer that
equal the question's point to it, so they too have the query's letter case.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from pierhead.limits import Limit
from pierhead.protocols.dns.middleware.rate_limit import Kind, RateLimit, kind_of, tokens_for
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.message import OPCODE_MASK, Query, Reply
from pierhead.service.context import Peer, Via

__all__ = ["LIMITS", "MAX_READY_ANSWERS", "AnswerCache"]

MAX_READY_ANSWERS = Limit(
    name="max_ready_answers",
    default=20_000,
    minimum=0,
    maximum=10_000_000,
    unit="answers",
    meaning="How many ready answers each transport keeps; 0 keeps none.",
    source="about 10 MB of ordinary answers; never more than `max_ready_bytes`",
    metric="ready_answers_total",
    effect="at start",
)
MAX_READY_BYTES = Limit(
    name="max_ready_bytes",
    default=10_000_000,
    minimum=0,
    maximum=100_000_000_000,
    unit="bytes",
    meaning="How much memory each transport's ready answers may use, keys included; 0 keeps none.",
    source="20,000 ordinary answers of 500 octets, including Python's overhead",
    metric="ready_answers_total",
    effect="at start",
)

LIMITS = (MAX_READY_ANSWERS, MAX_READY_BYTES)

#: Larger answers are rare, and encoding is not their main cost.
_MAX_ANSWER_BYTES = 1232

#: A header, the longest name, type and class, and an OPT record without data. Anything beyond that
#: length can be varied by a client: such a frame has no ready answer.
_MAX_FRAME_BYTES = 12 + 255 + 4 + 11
_OPT_BYTES = 11

#: What an entry takes beside its key and records: its objects, and its share of a table that may be
#: three times as large as its contents while it grows.
_ENTRY_BYTES = 700

#: Octets of the header after the ID, octets of the question, what follows the question, and what
#: response rate limiting needs: what the answer is, and what it counts as.
_Entry: TypeAlias = tuple[bytes, int, bytes, Kind, int]


class AnswerCache:
    """The ready answers of one transport; used as `FrameHandler.answer_now`.

    There are two generations: when the young one holds half of what is allowed, it becomes the old
    one, and whatever was not asked for since is dropped with the previous old one.

    Args:
        snapshot: returns the object that answers are made from; another object makes all of them
            stale.
        rate_limit: the layer that counts answers, if there is one.
        max_answers, max_bytes: how many are kept, and in how much memory; see `LIMITS`.
    """

    def __init__(
        self,
        snapshot: Callable[[], object],
        rate_limit: RateLimit | None,
        max_answers: int = int(MAX_READY_ANSWERS.default),
        max_bytes: int = int(MAX_READY_BYTES.default),
    ) -> None:
        self.snapshot = snapshot
        self._rate_limit = rate_limit
        self._half = int(MAX_READY_ANSWERS.check(max_answers)) // 2
        self._half_bytes = int(MAX_READY_BYTES.check(max_bytes)) // 2
        self._young_bytes = 0
        self._made_from = snapshot()
        self._young: dict[bytes, _Entry] = {}
        self._old: dict[bytes, _Entry] = {}

    def __call__(self, frame: bytes, peer: Peer, via: Via) -> bytes | None:
        """Return the answer to this frame, if it is ready and may be sent."""
        if self.snapshot() is not self._made_from:
            self._forget()
            return None
        if len(frame) > _MAX_FRAME_BYTES:
            return None  # skip the lookup: making a key copies
        key = _key(frame)
        entry = self._young.get(key)
        if entry is None:
            entry = self._old.pop(key, None)
            if entry is None:
                return None
            self._put(key, entry)
        head, question_octets, rest, kind, tokens = entry
        if self._rate_limit is not None and not self._rate_limit.admits(peer, via, kind, tokens):
            return None  # the full path truncates it or holds it back
        return frame[:2] + head + frame[12 : 12 + question_octets] + rest

    def keep(self, made_from: object, frame: bytes, reply: Reply, answer: bytes) -> None:
        """Keep an answer ready, if every client gets the same.

        Args:
            made_from: the snapshot before the service was asked.
            frame: the query as received.
            reply: the answer as a value.
            answer: the answer as it was sent.
        """
        if self.snapshot() is not self._made_from:
            self._forget()
        if made_from is not self._made_from or not _is_for_all(reply, frame, answer):
            return
        octets = len(reply.query.question)
        rest, kind = answer[12 + octets :], kind_of(reply.query, reply)
        entry = answer[2:12], octets, rest, kind, tokens_for(len(answer))
        self._put(_key(frame), entry)

    def __len__(self) -> int:
        """How many answers are ready."""
        return len(self._young) + len(self._old)

    def _put(self, key: bytes, entry: _Entry) -> None:
        young = self._young
        octets = len(key) + len(entry[2]) + _ENTRY_BYTES
        if len(young) >= self._half or self._young_bytes + octets > self._half_bytes:
            if not self._half or octets > self._half_bytes:
                return
            self._old, self._young, self._young_bytes = young, {}, 0
            young = self._young
        if key not in young:
            self._young_bytes += octets
        young[key] = entry

    def _forget(self) -> None:
        self._made_from = self.snapshot()
        self._young, self._old, self._young_bytes = {}, {}, 0


def _key(frame: bytes) -> bytes:
    """Return what the answer depends on.

    The first zero octet is the end of the name, or a NUL inside a label: then less of the name is
    in lower case and the key is merely more specific. Other octets before it are letters or
    lengths, which are below 64 in every query that gets an answer, so lower case does not change
    them; a frame with other lengths never has the key of a good one.
    """
    end = frame.find(0, 12)
    return frame[2:12] + frame[12:end].lower() + frame[end:]


def _is_for_all(reply: Reply, frame: bytes, answer: bytes) -> bool:
    query: Query = reply.query
    if query.flags & OPCODE_MASK:
        return False  # every NOTIFY or UPDATE must be handled
    # Only the question, and at most an OPT record without data.
    opt_octets = _OPT_BYTES if query.udp_payload >= 0 else 0
    if len(frame) != 12 + len(query.question) + opt_octets:
        return False
    if query.options or reply.truncated or len(answer) > _MAX_ANSWER_BYTES:
        return False
    # Names that do not exist, or exist only by a wildcard, are unlimited in number and queried
    # once: they would evict what is queried often.
    if reply.rcode != iana.NOERROR:
        return False
    # A CNAME made from a DNAME spells out part of the question in its letter case.
    return all(
        rrset.rtype != iana.DNAME and shown.lower() == rrset.owner.lower()
        for shown, rrset in reply.answer
    )
