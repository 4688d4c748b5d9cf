"""Matching replies to requests: any interleaving of requests, replies, silence and giving up."""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from pierhead.codec import Asked, ById, InOrder
from pierhead.errors import UsageError


class Request(NamedTuple):
    ident: int
    subject: int


class Reply(NamedTuple):
    ident: int
    subject: int
    is_last: bool


def is_last(reply: Reply) -> bool:
    return reply.is_last


class Connection(RuleBasedStateMachine):
    """A client, and a server that answers in any order the matching allows."""

    #: Requests that the client has not given up, and others.
    asked: Bundle[Asked[Request, int]] = Bundle("asked")
    matching: Any

    @initialize(many=st.booleans(), seed=st.none() | st.integers(0, 1000))
    def connect(self, many: bool, seed: int | None) -> None:
        self.many, self.count = many, 0
        # The same one every time: random choice is never worse.
        choose = None if seed is None else lambda size: seed % size
        self.matcher = self.matching.new(is_last if many else None, choose)
        #: What the server has not answered yet, in order of arrival.
        self.at_server: deque[Request] = deque()
        self.waiting: dict[int, Asked[Request, int]] = {}
        #: Identifiers of requests given up that are not to be used again yet, oldest first.
        self.reserved: list[int] = []

    @rule(target=asked)
    def ask(self) -> Any:
        self.count += 1
        try:
            asked = self.matcher.ask(Request(0, self.count), self.count)
        except UsageError:
            # Only if each identifier belongs to a waiting request.
            assert len(self.waiting) == len(self.matching.range)
            return Asked(Request(-1, self.count), self.count, -1)
        if isinstance(self.matching, ById):
            assert asked.request.ident in self.matching.range
            self.check_identifier(asked.request.ident)
        self.waiting[self.count] = asked
        self.at_server.append(asked.request)
        return asked

    @rule(asked=consumes(asked))
    def give_up(self, asked: Asked[Request, int]) -> None:
        if asked.ident >= 0:
            self.matcher.give_up(asked)
            if self.waiting.pop(asked.token, None) and isinstance(self.matching, ById):
                self.reserved.append(asked.ident)
                del self.reserved[: -(len(self.matching.range) // 2) or None]

    @precondition(lambda self: self.at_server)
    @rule(which=st.integers(0, 100), is_over=st.booleans())
    def answer(self, which: int, is_over: bool) -> None:
        index = 0 if isinstance(self.matching, InOrder) else which % len(self.at_server)
        request = self.at_server[index]
        is_over = is_over or not self.many
        if is_over:
            del self.at_server[index]
        found = self.matcher.take(Reply(request.ident, request.subject, is_over))
        if request.subject in self.waiting:
            assert found is self.waiting[request.subject]
            assert found.request == request
            assert (found.is_answered, found.is_given_up) == (is_over, False)
            if is_over:
                del self.waiting[request.subject]
        else:  # it was given up: late, and never delivered to another request
            assert found is None or found.is_given_up
            if is_over and request.ident in self.reserved:
                self.reserved.remove(request.ident)

    def check_identifier(self, ident: int) -> None:
        """Check that an identifier is free, or was given up so long ago that it may be used."""
        assert ident not in {each.request.ident for each in self.waiting.values()}
        if len(self.waiting) + len(self.reserved) >= len(self.matching.range):
            del self.reserved[0]
        assert ident not in self.reserved
        # The server sends no reply to it: otherwise the two could not be distinguished.
        self.at_server = deque(each for each in self.at_server if each.ident != ident)

    @precondition(lambda self: not self.at_server and isinstance(self.matching, InOrder))
    @rule()
    def say_something_unasked(self) -> None:
        assert self.matcher.take(Reply(0, 0, True)) is None

    @precondition(lambda self: isinstance(self.matching, ById))
    @rule()
    def answer_nobody(self) -> None:
        assert self.matcher.take(Reply(-5, 0, True)) is None

    @invariant()
    def memory_is_bounded(self) -> None:
        if isinstance(getattr(self, "matching", None), ById) and hasattr(self, "waiting"):
            assert len(self.matcher) == len(self.waiting) + len(self.reserved)
            assert len(self.reserved) <= len(self.matching.range) // 2

    @rule()
    def lose_the_connection(self) -> None:
        assert {each.token for each in self.matcher.end()} == set(self.waiting)
        assert len(self.matcher) == 0
        self.waiting.clear()
        self.reserved.clear()
        self.at_server.clear()


def by_id(identifiers: range) -> ById[Request, Reply]:
    return ById(
        get=lambda reply: reply.ident,
        put=lambda request, ident: request._replace(ident=ident),
        range=identifiers,
    )


@pytest.mark.parametrize(
    "matching", [InOrder(), by_id(range(1)), by_id(range(10, 2, -2)), by_id(range(1 << 16))]
)
def test_a_reply_reaches_the_request_it_answers_in_any_order(matching: Any) -> None:
    machine = type("Machine", (Connection,), {"matching": matching})
    run_state_machine_as_test(machine, settings=settings(max_examples=60, deadline=None))


def test_replies_in_order_that_never_come_are_bounded() -> None:
    """None can be forgotten, so the connection has to be given up, and the matcher says so."""
    matcher = InOrder().new()
    while not matcher.is_spent:
        assert len(matcher) <= 1000
        asked = matcher.ask("request", None)
        matcher.give_up(asked)
        matcher.give_up(asked)  # twice is once
    with pytest.raises(UsageError, match="1000 requests given up have had no reply; close this"):
        matcher.ask("request", None)
    assert matcher.take("late").is_given_up
    assert not matcher.is_spent
    waiting = matcher.ask("request", None)
    assert matcher.end() == [waiting]
    assert (len(matcher), matcher.is_spent) == (0, False)


def test_identifiers_that_are_reused_too_early_are_told_before() -> None:
    matcher: Any = ById.field("id", range(8)).new()
    used: list[int] = []
    while not matcher.is_spent:
        asked = matcher.ask({"id": 0}, None)
        assert asked.ident not in used
        used.append(asked.ident)
        matcher.give_up(asked)
    assert len(used) == 4
    for _ in range(2000):  # who goes on nevertheless is never left without one
        matcher.give_up(matcher.ask({"id": 0}, None))
    assert len(matcher) <= 4
