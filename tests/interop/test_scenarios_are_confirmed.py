"""Every answer in `tests/scenarios` is that of BIND, NSD and Knot; exceptions are named there.

An answer that no two of them give needs an RFC as its reason.
"""

from __future__ import annotations

import pytest
from tests.scenarios.peers import SERVERS, answers, complaints, lookups
from tests.scenarios.scenario import read_all

PROGRAMS = {"bind": "named", "nsd": "nsd", "knot": "knotd"}


@pytest.mark.slow
def test_real_servers_agree_with_the_scenarios(program, tmp_path) -> None:
    for needed in PROGRAMS.values():
        program(needed)
    asked = lookups(read_all())

    said = {server: answers(server, asked, tmp_path) for server in SERVERS}

    assert complaints(asked, said) == []
