import json
import logging

import pytest

from pierhead import stack
from pierhead.errors import UsageError
from pierhead.protocols import http

from .asking import ask


class Held:
    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        self.now += 0.25
        return self.now

    def wall(self):
        return 1_000_000_000.25


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.INFO, "pierhead.access")
    return lambda: [record.getMessage() for record in caplog.records]


async def hello(request, context):
    return http.Response(200, "hello")


async def fails(request, context):
    raise RuntimeError("gone")


async def test_a_line_of_the_common_log_format(lines):
    await ask(stack(hello, http.request_log(clock=Held())), "GET", "/a?b")
    assert lines() == ['tester - - [09/Sep/2001:01:46:40 +0000] "GET /a?b HTTP/1.1" 200 5']


async def test_what_a_client_sends_ends_no_field(lines):
    service = stack(hello, http.request_log("combined", clock=Held()))
    await ask(service, "GET", '/"\x1b', user_agent='x" 200 5 "', referer="/é")
    assert lines()[0].endswith(r'"GET /\x22\x1b HTTP/1.1" 200 5 "/\xe9" "x\x22 200 5 \x22"')


async def test_objects_of_json(lines):
    await ask(stack(hello, http.request_log("json", clock=Held())), "GET", "/\n", user_agent="x")
    assert json.loads(lines()[0]) == {
        "time": "2001-09-09T01:46:40.250Z",
        "peer": "tester",
        "method": "GET",
        "target": "/\n",
        "version": "1.1",
        "status": 200,
        "length": 5,
        "ms": 250.0,
        "referrer": None,
        "agent": "x",
    }
    assert "\n" not in lines()[0]


async def test_a_service_that_raises_is_logged_too(lines):
    with pytest.raises(RuntimeError):
        await ask(stack(fails, http.request_log(clock=Held())), "GET", "/")
    assert lines()[0].endswith('"GET / HTTP/1.1" 500 -')


def test_forms():
    with pytest.raises(UsageError, match="expected common, combined or json"):
        http.request_log("short")
