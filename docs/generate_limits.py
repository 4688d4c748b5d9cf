"""Writes docs/reference/limits.md from the servers' table of limits.

Run it after a change: ``.venv/bin/python docs/generate_limits.py``. A test compares the page.
"""

from __future__ import annotations

from pathlib import Path

from pierhead.server.options import LIMITS

PAGE = Path(__file__).parent / "reference" / "limits.md"


def page() -> str:
    """Return the page as text."""
    lines = [
        "# Limits of the servers",
        "",
        "Generated from `pierhead.server.options`. Give any of them to `Server`, `run` or, while",
        "running, to `Server.reconfigure`.",
        "",
    ]
    for limit in LIMITS:
        lines += [
            f"## `{limit.name}`",
            "",
            limit.meaning,
            "",
            f"- default {limit.default:,g} {limit.unit}, from {limit.minimum:,g} to "
            f"{limit.maximum:,g}",
            f"- source of the default: {limit.source}",
            f"- metric: `{limit.metric}`",
            f"- a change while running takes effect {limit.effect}",
            "",
        ]
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page())
