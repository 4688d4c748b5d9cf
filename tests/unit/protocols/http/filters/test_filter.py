import dataclasses

import pytest

from pierhead import stack
from pierhead.errors import UsageError
from pierhead.protocols import http
from pierhead.testing.counted import steps

from .asking import CONTEXT, answer, ask


@dataclasses.dataclass
class Data:
    number: int
    boolean: bool


received = (http.path("data") & http.post() & http.json(Data)).map(lambda data: f"Received: {data}")
GOOD = b'{"number": 5, "boolean": true}'


async def test_a_typed_value_is_the_argument_of_the_handler():
    found = await answer(received, "POST", "/data", GOOD, content_type="application/json")
    assert found == (200, "Received: Data(number=5, boolean=True)")


async def test_a_filter_is_a_service():
    assert (await ask(stack(received), "GET", "/data")).status == 405


async def test_values_come_in_the_order_in_which_they_are_written():
    both = (http.header("a") & http.query("b", int) & http.path("x", int)).map(
        lambda a, b, c: [a, b, c]
    )
    assert await answer(both, "GET", "/x/3?b=2", a="1") == (200, '["1",2,3]')


async def test_an_async_handler_is_awaited():
    async def double(number: int) -> str:
        return str(2 * number)

    assert await answer(http.path(int).then(double), "GET", "/21") == (200, "42")


async def test_a_map_inside_takes_its_own_values_only():
    sum_of = (http.path("a", int) & http.query("b", int)).map(lambda a, b: a + b)
    whole = (http.header("x") & sum_of & http.header("y")).map(lambda x, both, y: f"{x}{both}{y}")
    assert await answer(whole, "GET", "/a/1?b=2", x="x", y="y") == (200, "x3y")


async def test_the_first_alternative_that_takes_a_request_answers():
    either = http.path("a", int).map(lambda n: f"number {n}") | http.path("a", str).map(
        lambda s: f"text {s}"
    )
    assert await answer(either, "GET", "/a/1") == (200, "number 1")
    assert await answer(either, "GET", "/a/b") == (200, "text b")
    assert (await ask(either, "GET", "/a/")).status == 404


async def test_a_handler_that_rejects_lets_the_next_one_try():
    async def own(name: str) -> str:
        if name != "mine":
            raise http.Rejected(404, "not mine")
        return "own"

    site = http.path(str).then(own) | http.path("other").map(lambda: "other")
    assert await answer(site, "GET", "/mine") == (200, "own")
    assert await answer(site, "GET", "/other") == (200, "other")
    assert await answer(site, "GET", "/third") == (404, "not mine")


async def test_what_a_filter_rejects_is_recovered():
    async def said(rejection: http.Rejected) -> http.Response:
        return http.text_reply(f"sorry, {rejection.status}", rejection.status)

    site = received.recover(said)
    assert await answer(site, "GET", "/data") == (405, "sorry, 405")
    good = await answer(site, "POST", "/data", GOOD, content_type="application/json")
    assert good == (200, "Received: Data(number=5, boolean=True)")
    below = http.path("api") & received.recover(lambda rejection: rejection.detail)
    assert await answer(below, "GET", "/api/none") == (200, "nothing is served at this path")
    assert (await answer(below, "POST", "/api/data", GOOD, content_type="application/json"))[
        0
    ] == 200
    assert (await ask(below, "GET", "/none")).status == 404


def test_wrong_filters_are_refused_when_they_are_made():
    async def handler(data: Data) -> str:
        return ""

    with pytest.raises(UsageError, match="give it to then"):
        http.json(Data).map(handler)
    with pytest.raises(UsageError, match="alternatives of 0 and of 1 values"):
        http.get() | http.path(int)
    with pytest.raises(UsageError, match="expected the tail at the end"):
        http.tail() & http.path("a")
    with pytest.raises(UsageError, match="expected one; give it a handler"):
        (http.path(int) & http.path(int)).recover(str)
    either = http.get() | http.post()
    eight = either & either & either
    with pytest.raises(UsageError, match="expected 10000 at most"):
        eight & eight & eight & eight & eight


def test_a_hundred_routes_cost_what_ten_cost():
    def site(count):
        def route(number):
            return (http.path(f"api/thing{number}") & http.get()).map(lambda: str(number))

        whole = route(0)
        for number in range(1, count):
            whole = whole | route(number)
        return whole

    def cost(filters, target):
        def once():
            call = filters(http.Request("GET", target), CONTEXT)
            with pytest.raises(StopIteration):
                call.send(None)

        once()
        return steps(once)

    few, many = site(10), site(100)
    for target in ("/api/thing5", "/api/none", "/none"):
        assert cost(few, target) == cost(many, target)
    assert cost(many, "/api/thing99") == cost(few, "/api/thing9")


def test_a_filter_of_several_values_is_refused_when_it_is_served():
    several = http.path("a", int) & http.query("b", int)
    with pytest.raises(UsageError, match="a filter of 2 values, expected one"):
        http.serve(several)
    assert http.serve(several.map(lambda a, b: f"{a} {b}")).name == "http"
    assert http.serve(http.path("a")).name == "http"
