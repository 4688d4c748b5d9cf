"""Every case of every scenario file, played against our server."""

from __future__ import annotations

import pytest
from tests.scenarios.known import KNOWN_TO_DIFFER
from tests.scenarios.play import play
from tests.scenarios.scenario import Case, Scenario, read_all

SCENARIOS = read_all()


def _parameters():
    for scenario in SCENARIOS:
        for case in scenario.cases:
            marks = [pytest.mark.rfc(*clause) for clause in case.rfcs]
            reason = KNOWN_TO_DIFFER.get((scenario.name, case.title))
            if reason:
                marks.append(pytest.mark.xfail(reason=reason, strict=True))
            yield pytest.param(scenario, case, marks=marks, id=f"{scenario.name}: {case.title}")


@pytest.mark.parametrize(("scenario", "case"), list(_parameters()))
def test_the_answer_is_the_one_in_the_file(scenario: Scenario, case: Case) -> None:
    play(scenario, case)


def test_what_is_known_to_differ_is_there() -> None:
    cases = {(scenario.name, case.title) for scenario in SCENARIOS for case in scenario.cases}

    assert KNOWN_TO_DIFFER.keys() <= cases
