"""Addresses in other programs: on command lines, and in configuration.

`pierhead.integrations.click`, `pierhead.integrations.argparse` and `pierhead.integrations.typer`
(extra ``typer``) each provide an option ``-l/--listen``, a positional argument, and the flags of
`pierhead.address.flags`, which are merged into the addresses. `pierhead.integrations.msgspec` has
the hooks that read and write addresses; pydantic needs no integration, since it uses `ListenSpec`
directly; and without any library, `ListenSpec.from_table` reads the output of ``tomllib`` and
``json``.
"""

from __future__ import annotations

__all__: list[str] = []
