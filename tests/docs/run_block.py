"""Runs a Python block of a page as a reader would: as a program.

A block of ">>> " lines is run as a doctest.
"""

from __future__ import annotations

import doctest
import sys
from pathlib import Path


def main(path: str) -> int:
    text = Path(path).read_text()
    if text.lstrip().startswith(">>> "):
        return doctest.testfile(path, module_relative=False).failed
    # Not with the __future__ of this file: a reader's program has none.
    code = compile(text, path, "exec", dont_inherit=True)
    exec(code, {"__name__": "__main__"})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
