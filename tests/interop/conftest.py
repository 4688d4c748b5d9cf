"""Fixtures of the interoperability tests: the servers that answer, each started once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.interop.peers import Peer, bind_server, knot_server, nsd_server, pierhead_server
from tests.processes import ROOT, require_program

#: Origin to file: what all three servers serve.
ZONES = {
    "example.": ROOT / "examples" / "zones" / "example.zone",
    "corners.test.": Path(__file__).parent / "zones" / "corners.test.zone",
}


@pytest.fixture(scope="session")
def program() -> Callable[[str], str]:
    """Return the path of a program; skip without it, or fail where `.ci/run` runs the tests."""
    return require_program


@pytest.fixture(scope="session")
def nsd(program, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    program("nsd")
    with nsd_server(ZONES, tmp_path_factory.mktemp("nsd")) as peer:
        yield peer


@pytest.fixture(scope="session")
def knot(program, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    program("knotd")
    with knot_server(ZONES, tmp_path_factory.mktemp("knot")) as peer:
        yield peer


@pytest.fixture(scope="session")
def bind(program, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    program("named")
    with bind_server(ZONES, tmp_path_factory.mktemp("bind")) as peer:
        yield peer


@pytest.fixture(scope="session")
def pierhead() -> Iterator[Peer]:
    with pierhead_server(zones=list(ZONES.values())) as peer:
        yield peer
