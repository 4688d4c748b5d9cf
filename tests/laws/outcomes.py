"""Counter-checks for laws: each outcome that a law allows occurs in a share of its examples.

"Any octets are a message or a `DecodeError`" also holds for a parser that refuses everything.
A law with several outcomes records each with `met`, and states the least share of each with
`shares`, above ``@given``::

    @shares(read=0.2, refused=0.1)
    @given(st.binary())
    def test_any_octets_are_a_message_or_an_error(octets): ...
        met("refused")

`tests/architecture/test_laws_are_counted.py` requires this of every law that may end early.
"""

from __future__ import annotations

import functools
import inspect
from collections import Counter
from collections.abc import Callable
from typing import Any

from hypothesis import currently_in_test_context, event

__all__ = ["met", "shares"]

_tally: Counter[str] = Counter()


def met(outcome: str) -> None:
    """Record an outcome of this example; ``--hypothesis-show-statistics`` shows it as well."""
    _tally[outcome] += 1
    if currently_in_test_context():  # a helper of laws may be used by other tests too
        event(outcome)


def shares(**least: float) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Fail a law in which an outcome has less than this share of all outcomes."""

    def decorate(law: Callable[..., Any]) -> Callable[..., Any]:
        assert not inspect.iscoroutinefunction(law)

        @functools.wraps(law)
        def counted(*args: Any, **kwargs: Any) -> None:
            _tally.clear()
            law(*args, **kwargs)
            _check(_tally, least)

        return counted

    return decorate


def _check(tally: Counter[str], least: dict[str, float]) -> None:
    unknown = tally.keys() - least.keys()
    assert not unknown, f"met {sorted(unknown)}, which `shares` does not name"
    for outcome, share in least.items():
        # Three standard deviations below: of a few hundred draws, chance alone takes no more.
        drawn = tally.total()
        expected = share * drawn - 3 * (share * (1 - share) * drawn) ** 0.5
        enough = bool(tally) and tally[outcome] >= max(expected, share > 0)
        assert enough, (
            f"{outcome!r} was met {tally[outcome]} times of {tally.total()}, "
            f"expected at least {share:.0%}: draw more examples that lead to it"
        )
