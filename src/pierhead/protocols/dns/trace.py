"""What each layer did with one request, for `explain` and for logs.

    trace = context.get(Trace)
    if trace is not None:
        trace.note("cookies", "the client's cookie is good", "RFC 7873 §5.2.4")

Nothing is recorded unless the caller has put a `Trace` into the context, so a layer pays only for
one lookup. A note says what was decided and by which rule, in words for an operator.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Step", "Trace"]


@dataclass(frozen=True, slots=True)
class Step:
    """One decision on the way to an answer.

    Attributes:
        layer: which layer took it: ``router``, ``zones``, ``cookies`` …
        text: what was decided and why, one clause.
        rule: the rule that requires it, as ``RFC 1034 §4.3.2 step 3a``; empty if there is none.
    """

    layer: str
    text: str
    rule: str = ""

    def __str__(self) -> str:
        return f"{self.layer}: {self.text}{f' ({self.rule})' if self.rule else ''}"


class Trace:
    """Records the steps of one request, in order.

    Example:
        >>> trace = Trace()
        >>> trace.note("router", "example. has its own service")
        >>> print(trace)
        router: example. has its own service
    """

    __slots__ = ("_steps",)

    def __init__(self) -> None:
        self._steps: list[Step] = []

    def note(self, layer: str, text: str, rule: str = "") -> None:
        """Add a step."""
        self._steps.append(Step(layer, text, rule))

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps recorded so far, in order."""
        return tuple(self._steps)

    def __str__(self) -> str:
        return "\n".join(str(step) for step in self._steps)
