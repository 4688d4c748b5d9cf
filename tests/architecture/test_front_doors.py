"""Every name that a package promises can be had: front doors import what they name when asked."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

import pierhead

ROOT = Path(pierhead.__file__).parent
#: Packages whose names are resolved when they are used (PEP 562).
FRONT_DOORS = [
    ".".join(["pierhead", *path.parent.relative_to(ROOT).parts])
    for path in sorted(ROOT.rglob("__init__.py"))
    if "def __getattr__(" in path.read_text()
]


def test_there_are_front_doors() -> None:
    assert {"pierhead", "pierhead.protocols.dns"} <= {*FRONT_DOORS}


@pytest.mark.parametrize("package", FRONT_DOORS)
def test_every_name_of_a_front_door_can_be_had(package: str) -> None:
    module = importlib.import_module(package)
    missing = []
    for name in module.__all__:
        try:
            getattr(module, name)
        except (ImportError, AttributeError) as error:
            missing.append(f"{name}: {error}")
    assert missing == []
