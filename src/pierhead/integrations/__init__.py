"""Addresses in other people's programs: on command lines, and in configuration.

`pierhead.integrations.click`, `pierhead.integrations.argparse` and `pierhead.integrations.typer`
(extra ``typer``) each offer an option ``-l/--listen``, a positional argument, and the flags of
`pierhead.address.flags`, filled into the addresses. `pierhead.integrations.msgspec` has the hooks
that read and write addresses; pydantic needs nothing from here, it asks `ListenSpec` itself; and
without any library, `ListenSpec.from_table` reads what ``tomllib`` and ``json`` give.
"""

from __future__ import annotations

__all__: list[str] = []
