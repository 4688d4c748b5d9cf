"""Ready answers: what was answered before is sent again, without parsing or looking it up.

The answer to a query without EDNS options depends on the octets after its ID, on the zones, and
on nothing else, as long as every layer around the service says so (`Layer.is_constant`). Then
the octets of the answer are kept until the zones are replaced:

    key    flags, counts │ name in lower case │ type, class, OPT (size, DO)
    kept   flags, counts │ (the question as asked) │ records, OPT

The ID and the question, with its letter case, come from each query; names in the answer that are
the question's point to it, so their letter case is the query's as well.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from pierhead.context import Peer, Via
from pierhead.limits import Limit
from pierhead.protocols.dns.middleware.rate_limit import Kind, RateLimit, kind_of
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.message import Query, Reply

__all__ = ["LIMITS", "MAX_READY_ANSWERS", "ReadyAnswers"]

MAX_READY_ANSWERS = Limit(
    name="max_ready_answers",
    default=20_000,
    minimum=0,
    maximum=10_000_000,
    unit="answers",
    meaning="How many answers of one transport are kept ready; 0 keeps none.",
    source="about 10 MB of ordinary answers",
    metric="ready_answers_total",
    effect="at start",
)

LIMITS = (MAX_READY_ANSWERS,)

#: Larger answers are rare, and their encoding is not what they cost.
_MAX_ANSWER_BYTES = 1232

#: Octets of the header behind the ID, octets of the question, what stands behind the question,
#: and what response rate limiting needs to know.
_Entry: TypeAlias = tuple[bytes, int, bytes, Kind]


class ReadyAnswers:
    """The ready answers of one transport; call it as `FrameHandler.answer_now`.

    Two generations: when the young one has half of the answers allowed, it becomes the old one,
    and what was not asked for since is forgotten with the one before.

    Args:
        snapshot: gives the object that answers are made from; another one makes all of them
            stale.
        rate_limit: the layer that counts answers, if there is one.
        max_answers: how many are kept; see `LIMITS`.
    """

    def __init__(
        self,
        snapshot: Callable[[], object],
        rate_limit: RateLimit | None,
        max_answers: int = int(MAX_READY_ANSWERS.default),
    ) -> None:
        self.snapshot = snapshot
        self._rate_limit = rate_limit
        self._half = int(MAX_READY_ANSWERS.check(max_answers)) // 2
        self._made_from = snapshot()
        self._young: dict[bytes, _Entry] = {}
        self._old: dict[bytes, _Entry] = {}

    def __call__(self, frame: bytes, peer: Peer, via: Via) -> bytes | None:
        """Return the answer to this frame, if it is ready and may be sent."""
        if self.snapshot() is not self._made_from:
            self._forget()
            return None
        key = _key(frame)
        entry = self._young.get(key)
        if entry is None:
            entry = self._old.pop(key, None)
            if entry is None:
                return None
            self._put(key, entry)
        head, question_octets, rest, kind = entry
        if self._rate_limit is not None and not self._rate_limit.admits(peer, via, kind):
            return None  # it takes the long way, where it is cut or kept back
        return frame[:2] + head + frame[12 : 12 + question_octets] + rest

    def keep(self, made_from: object, frame: bytes, reply: Reply, answer: bytes) -> None:
        """Keep an answer ready, if it is one that everybody gets.

        Args:
            made_from: the snapshot before the service was asked.
            frame: the query as it came.
            reply: the answer as a value.
            answer: the answer as it was sent.
        """
        if self.snapshot() is not self._made_from:
            self._forget()
        if made_from is not self._made_from or not self._half or not _is_for_all(reply, answer):
            return
        octets = len(reply.query._question)
        entry = answer[2:12], octets, answer[12 + octets :], kind_of(reply.query, reply)
        self._put(_key(frame), entry)

    def __len__(self) -> int:
        """How many answers are ready."""
        return len(self._young) + len(self._old)

    def _put(self, key: bytes, entry: _Entry) -> None:
        if len(self._young) >= self._half:
            self._old, self._young = self._young, {}
        self._young[key] = entry

    def _forget(self) -> None:
        self._made_from = self.snapshot()
        self._young, self._old = {}, {}


def _key(frame: bytes) -> bytes:
    """Return what the answer depends on.

    The first zero octet is the end of the name, or a NUL inside a label: then less of the name
    is in lower case and the key is merely more particular. Octets before it that are no letters
    are lengths, below 64 in every query that gets an answer, so lower case does not touch them;
    a frame with other lengths never has the key of a good one.
    """
    end = frame.find(0, 12)
    return frame[2:12] + frame[12:end].lower() + frame[end:]


def _is_for_all(reply: Reply, answer: bytes) -> bool:
    query: Query = reply.query
    if query._options or reply.truncated or len(answer) > _MAX_ANSWER_BYTES:
        return False
    # Names that do not exist, or exist by a wildcard alone, are without number and asked once:
    # they would push out what is asked often.
    if reply.rcode != iana.NOERROR:
        return False
    # A CNAME made from a DNAME spells out part of the question in its letter case.
    return all(
        rrset.rtype != iana.DNAME and shown.lower() == rrset.owner.lower()
        for shown, rrset in reply.answer
    )
