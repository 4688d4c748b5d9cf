"""The type of options that name several users or groups."""

from __future__ import annotations

from dataclasses import dataclass

from pierhead.address.option_types import Account, Value
from pierhead.address.text import Span

__all__ = ["Accounts"]

_ONE = Account()


@dataclass(frozen=True, slots=True)
class Accounts:
    """Users or groups, separated by commas; each is a name, or a number in digits."""

    expected: str = "names or numbers from 0 to 4294967294, separated by commas"
    unit: str = ""
    bare: Value | None = None

    def read(self, span: Span) -> Value:
        """Return the names and the digits."""
        return tuple(str(_ONE.read(part)) for part in span.split(","))

    def show(self, value: Value) -> str:
        """Return them, separated by commas."""
        assert isinstance(value, tuple)
        return ",".join(_ONE.show(str(one)) for one in value)

    def accepts(self, value: Value) -> bool:
        """Return whether the value is a tuple of such names, numbers in canonical spelling."""
        return isinstance(value, tuple) and bool(value) and all(map(_is_account, value))


def _is_account(one: object) -> bool:
    if not isinstance(one, str):
        return False
    if one.isascii() and one.isdigit():
        return str(int(one[:11])) == one and _ONE.accepts(int(one))
    return _ONE.accepts(one)
