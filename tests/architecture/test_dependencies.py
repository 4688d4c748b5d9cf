"""What the package imports is what installing it brings: no less, and no more."""

from __future__ import annotations

import re
import sys
import tomllib
from importlib.metadata import packages_distributions

from tests.architecture.law import House
from tests.processes import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
#: What a declared dependency depends on itself; pytest loads the plugin, so it is there.
BROUGHT_ALONG = {"pytest", "pydantic-core", "h11", "h2", "hyperframe"}


def normal(name: str) -> str:
    return name.lower().replace("_", "-")


def names(requirements: list[str]) -> set[str]:
    return {normal(re.split(r"[^\w.-]", one, maxsplit=1)[0]) for one in requirements}


def imported() -> set[str]:
    """Return the distributions whose modules the source imports."""
    house = House(ROOT / "src" / "pierhead")
    modules = {one.target.partition(".")[0] for one in house.all_imports}
    foreign = modules - sys.stdlib_module_names - {"pierhead"}
    homes = packages_distributions()
    return {normal(homes.get(module, [module])[0]) for module in foreign}


def test_every_dependency_is_imported() -> None:
    assert names(PROJECT["dependencies"]) - imported() == set()


def test_every_import_is_a_dependency_or_of_an_extra() -> None:
    extras = names([one for extra in PROJECT["optional-dependencies"].values() for one in extra])
    declared = names(PROJECT["dependencies"]) | extras | BROUGHT_ALONG
    assert imported() - declared == set()
