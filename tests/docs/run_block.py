"""Runs a Python block of a page; ``await`` may stand outside a function, as in a notebook.

A block of ">>> " lines is run as a doctest.
"""

from __future__ import annotations

import ast
import asyncio
import doctest
import inspect
import sys
from pathlib import Path


def main(path: str) -> int:
    text = Path(path).read_text()
    if text.lstrip().startswith(">>> "):
        return doctest.testfile(path, module_relative=False).failed
    # Not with the __future__ of this file: a reader's program has none.
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    code = compile(text, path, "exec", flags=flags, dont_inherit=True)
    outcome = eval(code, {"__name__": "__main__"})
    if inspect.iscoroutine(outcome):
        asyncio.run(outcome)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
