"""Every answer in `tests/scenarios` is that of BIND, NSD and Knot; exceptions are named there.

An answer that no two of them give needs an RFC as its reason.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.scenarios.peers import SERVERS, answers, complaints, lookups
from tests.scenarios.scenario import read_all

PROGRAMS = {"bind": "named", "nsd": "nsd", "knot": "knotd"}


@pytest.mark.slow
def test_real_servers_agree_with_the_scenarios(program, tmp_path) -> None:
    for needed in PROGRAMS.values():
        program(needed)
    asked = lookups(read_all())

    with ThreadPoolExecutor(len(SERVERS)) as pool:  # each waits for its server
        all_said = pool.map(lambda server: answers(server, asked, tmp_path), SERVERS)
        said = dict(zip(SERVERS, all_said, strict=True))

    assert complaints(asked, said) == []
