"""How the time of each parser grows with its input, for the most expensive shapes known.

    python benchmarks/attacks/parser_time.py [WORD…]

Each shape is read at a size and at four times that size, in CPU time. A parser whose time grows
with the square of its input shows a growth near 16 here, a linear one a growth near 4; growth above
7 is marked. WORD restricts the table to shapes with it in their name.
`tests/laws/test_parser_time_laws.py` counts steps of the same shapes without a clock; what a single
interpreter call does inside, such as moving a buffer, shows only here.
"""

from __future__ import annotations

import gc
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.laws.expensive_shapes import SHAPES, Shape

#: Shapes whose growth is above this are marked: 4 is linear, 16 is the square.
MOST = 7.0
#: Each size is read repeatedly until it has taken this long; the best of three counts.
LEAST_S = 0.005
#: If a size takes less, a larger one is measured: a small quadratic share shows late.
WANTED_S = 0.002


def seconds(shape: Shape, size: int) -> tuple[float, int]:
    """Return the time that a shape of this size takes, and its octets."""
    run, octets = shape.prepared(size)
    best = float("inf")
    for _ in range(3):
        rounds, began = 0, time.process_time()
        while rounds == 0 or time.process_time() - began < LEAST_S:
            run()
            rounds += 1
        best = min(best, (time.process_time() - began) / rounds)
    return best, octets


def growth(shape: Shape) -> tuple[float, float, int]:
    """Return how the time grows from a size to four times it, ns for each octet, and octets."""
    size = shape.size
    taken, _ = seconds(shape, size)
    while taken < WANTED_S and 8 * size <= shape.largest:
        size *= 2
        taken, _ = seconds(shape, size)
    larger, octets = seconds(shape, 4 * size)
    return larger / taken, larger / octets * 1e9, octets


def main(words: list[str]) -> None:
    """Print a line for each shape."""
    gc.disable()  # it would walk through everything else in this process
    worst = 0.0
    for shape in SHAPES:
        if words and not any(word in shape.name for word in words):
            continue
        times, each, octets = growth(shape)
        for _ in range(3):
            if times > MOST:  # other programs may be using the core
                times, each, octets = min((times, each, octets), growth(shape))
        worst = max(worst, times)
        mark = "  <- more than linear" if times > MOST else ""
        print(
            f"{times:5.1f} times for 4 times  {each:8.0f} ns/octet  {octets:9,}  {shape.name}{mark}"
        )
    print(f"at most {worst:.1f} times the time for 4 times the octets")


if __name__ == "__main__":
    main(sys.argv[1:])
