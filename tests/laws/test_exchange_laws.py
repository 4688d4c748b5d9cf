"""Laws of an exchange and of a connection's life: any interleaving, without a loop or a clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.laws.outcomes import met, shares

from pierhead.connection.exchange import Exchange, Phase, Place
from pierhead.connection.life import Event, Life, State, Waits
from pierhead.service.respond import Outcome

REPLIED = (Outcome.ANSWERED, Outcome.READY)
MISSING = (Outcome.FAILED, Outcome.LOST)
WITH_A_REPLY = (Outcome.ANSWERED, Outcome.READY, Outcome.REFUSED)
WITHOUT = (Outcome.SILENT, *MISSING)
WINDOW = 5
LIMIT = 40

#: What may happen next; the number chooses among the requests that are open.
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("begin"), st.just(0), st.just(0)),
        st.tuples(st.just("at once"), st.integers(0, 2), st.integers(1, 20)),
        st.tuples(st.just("send"), st.integers(0, 9), st.integers(1, 20)),
        st.tuples(st.just("reply"), st.integers(0, 9), st.integers(1, 20)),
        st.tuples(st.just("none"), st.integers(0, 29), st.just(0)),
        st.tuples(st.just("take"), st.just(0), st.integers(0, 30)),
        st.tuples(st.just("pause"), st.just(0), st.just(0)),
        st.tuples(st.just("resume"), st.just(0), st.just(0)),
        st.tuples(st.just("end"), st.integers(0, 9), st.just(0)),
    ),
    max_size=60,
)

Part = tuple[int, int]  # the number of its request, and its own among that one's


@dataclass
class Driven:
    """An exchange, and the events it was given."""

    in_order: bool
    exchange: Exchange[Part] = field(init=False)
    open: list[tuple[int, Place]] = field(default_factory=list)
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    parts: dict[int, int] = field(default_factory=dict)
    sizes: dict[Part, int] = field(default_factory=dict)
    begun: int = 0
    sent: list[Part] = field(default_factory=list)
    unsent: int = 0
    answered: int = 0
    ready: int = 0
    lost: int = 0

    def __post_init__(self) -> None:
        self.exchange = Exchange(in_order=self.in_order)

    def part(self, number: int, size: int) -> Part:
        part = (number, self.parts.get(number, 0))
        self.parts[number] = part[1] + 1
        self.sizes[part] = size
        return part

    def settle(self, number: int, place: Place, outcome: Outcome, size: int = 0) -> None:
        self.outcomes[number] = outcome
        part = self.part(number, size) if size else None
        self.exchange.settle(place, outcome, part, size)

    def take(self, unsent: int) -> None:
        parts = self.exchange.take()
        self.sent += parts
        self.unsent = min(self.unsent + sum(self.sizes[part] for part in parts), unsent)
        self.note()

    def note(self) -> None:
        answered, ready = self.exchange.note_unsent(self.unsent)
        self.answered += answered
        self.ready += ready

    def step(self, what: str, choice: int, size: int) -> None:
        exchange = self.exchange
        if what in ("begin", "at once"):
            # Behind a missing reply too: what was taken with it may have begun.
            is_behind = exchange.phase is not Phase.OPEN and len(self.open) < WINDOW
            if not (is_behind or exchange.room(WINDOW, LIMIT)):
                return
            number, place = self.begun, Place()
            self.begun += 1
            if what == "begin":
                exchange.begin(place)
                self.open.append((number, place))
            else:
                outcome = WITH_A_REPLY[choice]
                self.outcomes[number] = outcome
                exchange.settle_at_once(place, outcome, self.part(number, size), size)
        elif what == "take":
            self.take(size)
        elif what == "pause":
            exchange.is_writable = False
        elif what == "resume":
            exchange.is_writable = True
        elif what == "end":
            if choice == 0:
                exchange.end()
        elif self.open:
            index = choice % len(self.open)
            number, place = self.open[index]
            if what == "send":
                exchange.send(place, self.part(number, size), size)
                return
            del self.open[index]
            if what == "reply":
                self.settle(number, place, WITH_A_REPLY[choice % 3], size)
            else:
                self.settle(number, place, WITHOUT[choice % 3])
        self.lost += exchange.take_lost()

    def check(self) -> None:
        exchange = self.exchange
        replied = sum(outcome in REPLIED for outcome in self.outcomes.values())
        assert self.answered + self.ready + self.lost <= replied, "something is counted twice"
        assert exchange.due_bytes == sum(self.sizes[part] for part in exchange.due)
        longest = max(self.sizes.values(), default=0)
        assert exchange.load <= WINDOW
        # The limit, and what each request in the window that began before may add.
        replies = max(self.parts.values(), default=1)
        assert exchange.waiting_bytes <= LIMIT + (WINDOW + 1) * replies * longest
        for number in {number for number, _ in self.sent}:
            own = [index for one, index in self.sent if one == number]
            assert own == list(range(len(own))), "parts of one reply out of order"
        if self.in_order:
            numbers = [number for number, _ in self.sent]
            assert numbers == sorted(numbers), "replies out of order"
            missing = [n for n, outcome in self.outcomes.items() if outcome in MISSING]
            if missing:
                later = [number for number in numbers if number > min(missing)]
                assert later == [], "a reply in the place of one that is missing"


@given(steps=STEPS, in_order=st.booleans())
def test_order_and_counts_hold_after_every_step(
    steps: list[tuple[str, int, int]], in_order: bool
) -> None:
    driven = Driven(in_order)
    for step in steps:
        driven.step(*step)
        driven.check()


@shares(sent=0.1, lost=0.0, nothing=0.0)
@given(steps=STEPS, in_order=st.booleans())
def test_whatever_happens_every_request_ends_once(
    steps: list[tuple[str, int, int]], in_order: bool
) -> None:
    driven = Driven(in_order)
    for step in steps:
        driven.step(*step)
    for number, place in driven.open:
        driven.settle(number, place, Outcome.ANSWERED, 1)
    driven.lost += driven.exchange.take_lost()
    driven.take(0)
    driven.check()
    replied = sum(outcome in REPLIED for outcome in driven.outcomes.values())
    met("lost" if driven.lost else "sent" if driven.sent else "nothing")
    assert driven.answered + driven.ready + driven.lost == replied
    assert driven.exchange.is_idle
    assert driven.exchange.waiting_bytes == 0


@shares(sent=0.1, nothing=0.0)
@given(steps=STEPS, in_order=st.booleans())
def test_no_reply_is_dropped_unless_one_is_missing_or_the_exchange_ends(
    steps: list[tuple[str, int, int]], in_order: bool
) -> None:
    driven = Driven(in_order)
    for step in steps:
        if step[0] not in ("none", "end"):
            driven.step(*step)
    for number, place in driven.open:
        driven.settle(number, place, Outcome.SILENT)
    driven.take(0)
    met("sent" if driven.sent else "nothing")
    assert sorted(driven.sent) == sorted(driven.sizes)
    assert driven.lost == 0


@shares(lost=0.05, nothing=0.0)
@given(steps=STEPS, in_order=st.booleans())
def test_an_aborted_connection_loses_what_it_owes_and_no_more(
    steps: list[tuple[str, int, int]], in_order: bool
) -> None:
    driven = Driven(in_order)
    for step in steps:
        driven.step(*step)
    counted = driven.answered + driven.ready
    driven.exchange.end()
    driven.lost += driven.exchange.take_lost()
    for number, place in driven.open:
        driven.settle(number, place, Outcome.LOST)
    driven.take(0)
    replied = sum(outcome in REPLIED for outcome in driven.outcomes.values())
    assert driven.answered + driven.ready == counted, "answered after its end"
    met("lost" if driven.lost else "nothing")
    assert counted + driven.lost == replied
    assert driven.exchange.is_idle


@given(commands=st.lists(st.sampled_from(["", "idle", "close"]), min_size=1, max_size=8))
def test_commands_take_effect_after_the_last_reply_to_their_request(commands: list[str]) -> None:
    exchange: Exchange[int] = Exchange(in_order=True)
    places = [Place() for _ in commands]
    for number, (place, command) in enumerate(zip(places, commands, strict=True)):
        exchange.begin(place)
        place.has_commands = bool(command)
        place.close_for = "service" if command == "close" else ""
        place.new_idle_timeout = float(number) if command == "idle" else None
    for place in reversed(places[1:]):
        exchange.settle(place, Outcome.ANSWERED, 0, 1)
        assert (exchange.closes_for, exchange.idle_timeout) == ("", None)
    exchange.settle(places[0], Outcome.ANSWERED, 0, 1)
    assert exchange.closes_for == ("service" if "close" in commands else "")
    last = max((n for n, command in enumerate(commands) if command == "idle"), default=None)
    assert exchange.idle_timeout == last


@pytest.mark.parametrize("outcome", [*WITH_A_REPLY, *WITHOUT])
def test_what_comes_after_a_missing_reply_leaves_nothing_behind(outcome: Outcome) -> None:
    exchange: Exchange[int] = Exchange(in_order=True)
    exchange.settle_at_once(Place(), Outcome.FAILED)
    exchange.settle_at_once(Place(), outcome, 1 if outcome in WITH_A_REPLY else None, 1)
    assert (exchange.is_idle, exchange.take()) == (True, [])
    assert exchange.take_lost() == (outcome in REPLIED)


def test_in_any_order_a_missing_reply_delays_no_other() -> None:
    exchange: Exchange[int] = Exchange(in_order=False)
    places = [Place(), Place()]
    for place in places:
        exchange.begin(place)
    exchange.settle(places[0], Outcome.FAILED)
    exchange.settle(places[1], Outcome.ANSWERED, 1, 1)
    assert (exchange.phase, exchange.take()) == (Phase.OPEN, [1])


# -- the life of a connection ------------------------------------------------------------------

TIMEOUTS = SimpleNamespace(
    first_byte_timeout=3.0, message_timeout=5.0, write_timeout=7.0, linger_timeout=2.0
)
IDLE_S = 11.0
LONGEST_S = max(3.0, 5.0, 7.0, 2.0, IDLE_S)

LIVES = st.lists(
    st.tuples(
        st.sampled_from(["made", "hear", "message", "whole", "finish", "linger", "close", "abort"]),
        st.integers(0, 32).map(lambda eighths: eighths / 8),  # sums of them are exact
    ),
    max_size=30,
)


def live(life: Life, what: str, now: float) -> None:
    match what:
        case "made":
            life.happens(Event.MADE)
        case "hear":
            life.has_heard, life.last_active = True, now
        case "message" | "whole":
            life.note_message(what == "message", now)
        case "finish":
            life.finish("drain")
        case "linger":
            life.linger(now, TIMEOUTS)
        case "close":
            life.close("service")
        case "abort":
            life.abort("write")


@given(steps=LIVES)
def test_states_advance_one_way_and_closed_is_final(steps: list[tuple[str, float]]) -> None:
    order = list(State)
    life, now = Life(0.0), 0.0
    for what, pause in steps:
        now += pause
        before = life.state
        live(life, what, now)
        assert order.index(life.state) >= order.index(before)
        assert life.is_open == (life.state in (State.NEW, *order[1:4]))
    life.happens(Event.LOST)
    assert life.state is State.GONE
    for what, _ in steps:
        live(life, what, now)
        assert life.state is State.GONE


@shares(open=0.05, closed=0.05)
@given(steps=LIVES, waits=st.sampled_from([Waits.A_MESSAGE, Waits.ACTIVITY]))
def test_a_silent_connection_ends_in_time_with_a_reason(
    steps: list[tuple[str, float]], waits: Waits
) -> None:
    life, now = Life(0.0), 0.0
    life.happens(Event.MADE)
    for what, pause in steps:
        now += pause
        live(life, what, now)
    met("open" if life.is_open else "closed")
    if not life.is_open:
        assert not life.is_over(now + 1000, waits, TIMEOUTS, IDLE_S)
        return
    assert life.is_over(now + LONGEST_S, waits, TIMEOUTS, IDLE_S)
    reasons = ("message", "first_byte", "idle", "drain")
    assert life.state is State.LINGERING or life.reason in reasons


@given(steps=LIVES)
def test_a_connection_with_work_to_do_is_never_idle(steps: list[tuple[str, float]]) -> None:
    life, now = Life(0.0), 0.0
    for what, pause in steps:
        now += pause
        live(life, what, now)
    if life.state is not State.LINGERING:
        assert not life.is_over(now + 1000, Waits.NOTHING, TIMEOUTS, IDLE_S)


@given(pieces=st.lists(st.integers(1, 50), min_size=1, max_size=20), pause=st.floats(0.1, 3.0))
def test_a_peer_that_makes_progress_in_time_is_never_late(pieces: list[int], pause: float) -> None:
    life, now, handed_over, taken = Life(0.0), 0.0, 0, 0
    for piece in pieces:
        handed_over += piece
        assert not life.is_write_late(now, handed_over, handed_over - taken, TIMEOUTS)
        now += pause
        taken = handed_over  # of the last goal; more follows at once
    assert not life.is_write_late(now, handed_over + 1, 1, TIMEOUTS)


@pytest.mark.parametrize("taken", [0, 9])
def test_a_peer_that_misses_its_goal_is_late(taken: int) -> None:
    life = Life(0.0)
    assert not life.is_write_late(0.0, 10, 10, TIMEOUTS)
    assert not life.is_write_late(6.9, 10, 10 - taken, TIMEOUTS)
    assert life.is_write_late(7.0, 20, 20 - taken, TIMEOUTS)
