"""How every tunable number is declared: a named limit with its range, unit and source.

Nothing else lives here. The limits themselves stand beside the code that obeys them, in tables
that the reference documentation is generated from.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from pierhead.errors import UsageError

__all__ = ["Limit"]


@dataclass(frozen=True, slots=True)
class Limit:
    """One tunable number.

    Args:
        name: what the caller writes, in snake_case.
        default: used where the caller says nothing.
        minimum, maximum: the range, both ends allowed.
        unit: ``s``, ``bytes``, ``connections`` …, as shown in help.
        meaning: one sentence.
        source: the RFC and section, or the daemon or measurement the default comes from.
        metric: the counter that moves when the limit is reached; or ``none:`` and why.
        effect: when a change made while running takes effect.
        may_be_off: whether ``"off"`` is a value too, for no limit.
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
        """Return the value if it lies in the range; infinity for ``"off"`` where that may be.

        Raises:
            UsageError: it does not, or is no number.
        """
        if value == "off" and self.may_be_off:
            return math.inf
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            expected = f"a number of {self.unit}" + (" or 'off'" if self.may_be_off else "")
            raise UsageError(f"{self.name} is {value!r}, expected {expected}")
        if not self.minimum <= value <= self.maximum:  # also refuses NaN
            raise UsageError(
                f"{self.name} is {value:g} {self.unit}, "
                f"expected {self.minimum:g} to {self.maximum:g} {self.unit}"
            )
        if isinstance(self.default, int) and value != int(value):
            raise UsageError(f"{self.name} is {value!r}, expected a whole number of {self.unit}")
        return int(value) if isinstance(self.default, int) else float(value)
