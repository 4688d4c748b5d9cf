"""What there is to know of one option of an address."""

from __future__ import annotations

from dataclasses import dataclass

from pierhead.address.values import Value, ValueType

__all__ = ["Option"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option.

    Attributes:
        key: what stands before ``=``.
        meaning: one sentence without full stop.
        type: how the value is read, checked and written.
        default: the value where the option is not given; None where the system, the server or
            ``default_note`` decides.
        default_note: what holds where the option is not given, if no value says it.
        schemes, wrappers: what the option is for; one of them has to be there.
        abstract: True for abstract names only, False for paths only, None for either.
        platforms: beginnings of ``sys.platform``; empty for everywhere.
        example: the option as it may be written.
        flag: the flag of tokio-listener's command line that means the same.
        flag_value: what that flag stands for; None where it takes a value.
        repeats: whether it may be given more than once; its value is then a tuple.
        stands_for: another key that the value is kept under.
    """

    key: str
    meaning: str
    type: ValueType
    default: Value | None = None
    default_note: str = "the system's"
    schemes: frozenset[str] = frozenset()
    wrappers: frozenset[str] = frozenset()
    abstract: bool | None = None
    platforms: tuple[str, ...] = ()
    example: str
    flag: str = ""
    flag_value: Value | None = None
    repeats: bool = False
    stands_for: str = ""
