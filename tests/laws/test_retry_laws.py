"""A retry is safe, paid for, and counted, whatever a peer does.

Each request's attempts end one after another by a plan. No request is sent again after a failure
that may have taken effect unless it is idempotent; no request is sent more often than allowed;
and after n requests there were at most ``burst + budget * n`` retries.
"""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st
from tests.laws.outcomes import met, shares

from pierhead import Metrics
from pierhead.errors import ConnectError, ConnectionEnded, PierheadError
from pierhead.middleware import retry
from pierhead.middleware.retry import RetryBudget
from pierhead.service.context import Context, Peer, Transport, Via
from pierhead.testing.clock import HeldLoop

VIA = Via(transport=Transport.STREAM, scheme="mem", local="mem:a", listener="mem:a")
CONTEXT = Context(Peer("b"), 0.0, VIA)

ends = st.sampled_from(["answer", "nothing sent", "perhaps"])
plans = st.lists(st.tuples(st.booleans(), st.lists(ends, max_size=6)), min_size=1, max_size=30)


@shares(answered=0.2, failed=0.1)
@given(
    plans=plans,
    attempts=st.integers(1, 4),
    budget=st.sampled_from([0.0, 0.1, 0.5]),
    burst=st.integers(1, 5),
)
def test_retries_are_safe_and_paid_for(plans, attempts: int, budget: float, burst: int) -> None:
    seen: list[list[str]] = []

    async def service(request: tuple[bool, list[str]], context: Context) -> str:
        end = request[1].pop(0) if request[1] else "answer"
        seen[-1].append(end)
        if end == "nothing sent":
            raise ConnectError("mem:b", "connect", "refused")
        if end == "perhaps":
            raise ConnectionEnded("mem:b", "reset")
        return end

    metrics = Metrics()
    layer = retry(
        attempts,
        idempotent=lambda request: request[0],
        budget=budget,
        burst=burst,
        metrics=metrics,
    )
    retried = layer(service)

    async def all_of_them() -> None:
        for is_idempotent, planned in plans:
            seen.append([])
            try:
                await retried((is_idempotent, list(planned)), CONTEXT)
                met("answered")
            except PierheadError:
                met("failed")

    with asyncio.Runner(loop_factory=HeldLoop) as runner:
        runner.run(all_of_them())

    retries = 0
    for (is_idempotent, _), ends in zip(plans, seen, strict=True):
        assert 1 <= len(ends) <= attempts
        assert "answer" not in ends[:-1]
        if not is_idempotent:
            assert set(ends[:-1]) <= {"nothing sent"}
        retries += len(ends) - 1
    assert metrics.total("retries_total") == retries <= burst + budget * len(plans)


@given(
    steps=st.lists(st.booleans(), max_size=200),
    share=st.sampled_from([0.0, 0.1, 0.25, 1.0]),
    burst=st.integers(1, 10),
)
def test_a_budget_grants_what_was_paid_and_never_more_at_once_than_the_burst(
    steps: list[bool], share: float, burst: int
) -> None:
    budget = RetryBudget(share, burst)
    granted: list[int] = []
    paid = [0.0]
    for is_request in steps:
        if is_request:
            budget.pay()
            paid.append(paid[-1] + share)
            granted.append(0)
        else:
            granted.append(int(budget.take()))
            paid.append(paid[-1])
    for start in range(0, len(steps), 7):
        for end in range(start, len(steps), 7):
            spent = sum(granted[start:end])
            assert spent <= burst + paid[end] - paid[start] + 1e-9
    assert sum(budget.take() for _ in range(burst + 1)) <= burst
