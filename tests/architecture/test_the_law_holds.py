"""The house keeps its law."""

from __future__ import annotations

import pytest
from tests.architecture.law import CHECKS, House
from tests.processes import ROOT


@pytest.fixture(scope="module")
def house() -> House:
    return House(ROOT / "src" / "pierhead")


def test_the_house_has_modules(house: House) -> None:
    assert {"errors", "service", "codec.base"} <= house.modules.keys()
    assert any(one.target == "pierhead.errors" for one in house.imports)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_law_holds(check, house: House) -> None:
    breaches = list(check(house))

    assert not breaches, "\n".join(["", *breaches])
