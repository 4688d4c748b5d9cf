"""Lets every test import what tests share: ``from tests.processes import …``.

The repository's root is not on the path when pytest is started as a bare command with
``--import-mode=importlib``; it is with ``python -m pytest``. Both work this way.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = str(Path(__file__).resolve().parent.parent)
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)
