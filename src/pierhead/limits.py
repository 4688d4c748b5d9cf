"""How every tunable number is declared: a named limit with its range, unit and source.

Nothing else lives here. The limits themselves stand beside the code that obeys them, in tables
that the reference documentation is generated from.
"""

from __future__ import annotations

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

    def check(self, value: float) -> float:
        """Return the value if it lies in the range.

        Raises:
            UsageError: it does not, or is no number.
        """
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise UsageError(f"{self.name} is {value!r}, expected a number of {self.unit}")
        if not self.minimum <= value <= self.maximum:  # also refuses NaN
            raise UsageError(
                f"{self.name} is {value:g} {self.unit}, "
                f"expected {self.minimum:g} to {self.maximum:g} {self.unit}"
            )
        if isinstance(self.default, int) and value != int(value):
            raise UsageError(f"{self.name} is {value!r}, expected a whole number of {self.unit}")
        return int(value) if isinstance(self.default, int) else float(value)
