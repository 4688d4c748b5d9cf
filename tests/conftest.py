"""Lets every test import what tests share: ``from tests.processes import …``.

The repository's root is not on the path when pytest is started as a bare command with
``--import-mode=importlib``; it is with ``python -m pytest``. Both work this way.
"""

from __future__ import annotations

import gc
import itertools
import re
import sys
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = str(Path(__file__).resolve().parent.parent)
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)

# A law is about every example, not about how busy the machine is while one of them runs.
settings.register_profile("pierhead", deadline=None)
settings.load_profile("pierhead")


_started = itertools.count(1)


def pytest_collection_finish() -> None:
    """Keep the garbage collector from going through ten thousand collected tests each time."""
    _freeze()


def pytest_runtest_logstart() -> None:
    """Keep it from the reports of the tests, too, and from what is imported late."""
    if next(_started) % 250 == 0:
        _freeze()


def _freeze() -> None:
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse a name with the address of an object: in another process it would be another name."""
    wrong = [item.nodeid for item in items if re.search(r" at 0x[0-9a-f]+", item.nodeid)]
    if wrong:
        raise pytest.UsageError(f"give what these tests are named after a repr: {wrong[:3]}")
