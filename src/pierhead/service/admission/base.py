"""Admission: cheap checks on every frame before anything is parsed.

An admission check is synchronous and sees the bytes, the peer and how they arrived. It admits a
frame (None), drops it silently (`Drop`) or answers it at once (`Answer`); both carry the reason
that metrics count. Checks run in order and the first verdict wins. They also run for frames that a
ready answer would satisfy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

from pierhead.errors import UsageError
from pierhead.service.context import Peer, Via

__all__ = [
    "Admission",
    "Answer",
    "ConnectionAdmission",
    "Drop",
    "Verdict",
    "check_admission",
    "first_verdict",
]


@dataclass(frozen=True, slots=True)
class Drop:
    """Stay silent; the reason is counted."""

    reason: str


@dataclass(frozen=True, slots=True)
class Answer:
    """Send this frame and nothing else; the reason is counted."""

    reason: str
    frame: bytes


#: None admits the frame.
Verdict: TypeAlias = Drop | Answer | None


class Admission(Protocol):
    """A check on ``(frame, peer, via)``."""

    def __call__(self, frame: bytes, peer: Peer, via: Via, /) -> Verdict:
        """Return None to admit the frame, or what to do with it instead."""
        ...


@runtime_checkable
class ConnectionAdmission(Protocol):
    """A check that can also refuse a connection before its first byte is read."""

    def admit_connection(self, peer: Peer, via: Via, /) -> Drop | None:
        """Return None to accept the connection, or the reason for closing it at once."""
        ...


def check_admission(checks: Sequence[Admission]) -> tuple[Admission, ...]:
    """Return the checks.

    Raises:
        UsageError: they are not a list of functions.
    """
    given: object = checks  # as a caller without a type checker may pass
    if not isinstance(given, list | tuple):
        remedy = "; write admission=[check]" if callable(given) else ""
        raise UsageError(f"admission is {given!r}, expected a list of checks{remedy}")
    for check in given:
        if not callable(check):
            raise UsageError(f"admission has {check!r}, expected a function (frame, peer, via)")
    return tuple(checks)


def first_verdict(checks: Sequence[Admission]) -> Admission | None:
    """Return one check that applies all of them in turn; None if there are none."""
    if len(checks) <= 1:
        return checks[0] if checks else None
    asked = tuple(checks)

    def check(frame: bytes, peer: Peer, via: Via) -> Verdict:
        for one in asked:
            verdict = one(frame, peer, via)
            if verdict is not None:
                return verdict
        return None

    return check
