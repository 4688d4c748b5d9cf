"""Listening addresses on command lines, for click, argparse and typer.

A module for each: `pierhead.arguments.click`, `pierhead.arguments.argparse` and
`pierhead.arguments.typer` (extra ``typer``). Each offers an option ``-l/--listen``, a positional
argument, and the flags of `pierhead.address.flags`, filled into the addresses.
"""

from __future__ import annotations

__all__: list[str] = []
