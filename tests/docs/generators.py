"""Loads a program that writes a page, so that a test can ask it for the text or hand it another."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

from tests.processes import ROOT


def load_generator(name: str) -> ModuleType:
    """Return a fresh module of docs/, with the modules beside it importable meanwhile."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(ROOT / "docs"))
    return module
