"""The declaration of every tunable number: a named limit with its range, unit and source.

Only that, and their check by name, is here. The limits themselves are beside the code that enforces
them, in tables from which the reference documentation is generated.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pierhead.errors import UsageError
from pierhead.printable import digits

__all__ = ["Limit", "check_all"]


@dataclass(frozen=True, slots=True)
class Limit:
    """One tunable number.

    Args:
        name: the keyword that the caller writes, in snake_case.
        default: used unless the caller gives a value.
        minimum, maximum: the range, inclusive.
        unit: ``s``, ``bytes``, ``connections`` …, as shown in help.
        meaning: one sentence.
        source: the RFC and section, or the daemon or measurement the default comes from.
        metric: the counter that increases when the limit is reached; or ``none:`` and why.
        effect: when a change at run time takes effect.
        may_be_off: whether ``"off"`` (no limit) is allowed.
    """

    name: str
    default: float
    minimum: float
    maximum: float
    unit: str
    meaning: str
    source: str
    metric: str
    effect: str
    may_be_off: bool = False

    def check(self, value: object) -> float:
        """Return the value if it is in the range; infinity for ``"off"`` where that is allowed.

        Raises:
            UsageError: it is out of range, or not a number.
        """
        if value == "off" and self.may_be_off:
            return math.inf
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            unit = "seconds" if self.unit == "s" else self.unit
            expected = f"a number of {unit}" + (" or 'off'" if self.may_be_off else "")
            raise UsageError(f"{self.name} is {value!r}, expected {expected}")
        if not self.minimum <= value <= self.maximum:  # also refuses NaN
            raise UsageError(
                f"{self.name} is {digits(value)} {self.unit}, "
                f"expected {digits(self.minimum)} to {digits(self.maximum)} {self.unit}"
            )
        if isinstance(self.default, int) and value != int(value):
            raise UsageError(f"{self.name} is {value!r}, expected a whole number of {self.unit}")
        return int(value) if isinstance(self.default, int) else float(value)


def check_all(limits: Iterable[Limit], given: Mapping[str, object], whose: str) -> dict[str, float]:
    """Return these values, each checked by the limit of its name.

    Args:
        whose: what the limits are of, for messages: ``a client``.

    Raises:
        UsageError: an unknown name, or a value out of its range.
    """
    by_name = {limit.name: limit for limit in limits}
    for name in given.keys() - by_name.keys():
        near = difflib.get_close_matches(name, by_name, 1)
        hint = f"; did you mean {near[0]}?" if near else f"; known are {', '.join(by_name)}"
        raise UsageError(f"there is no limit {name!r} of {whose}{hint}")
    return {name: by_name[name].check(value) for name, value in given.items()}
