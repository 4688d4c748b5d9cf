"""What the admin service answers, called without a server."""

from __future__ import annotations

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from pierhead.address import ListenSpec
from pierhead.metrics import Metrics
from pierhead.protocols.http.wire import Request, Response
from pierhead.runtime.admin import PATHS, AdminService, is_private
from pierhead.runtime.health import Health, State
from pierhead.service.context import Context, Peer, Transport, Via

VIA = Via(transport=Transport.STREAM, scheme="mem", local="mem:a", listener="mem:a")
CONTEXT = Context(Peer("b"), 0.0, VIA)


async def ask(admin: AdminService, target: str, method: str = "GET") -> tuple[int, str, Response]:
    response = await admin(Request(method, target), CONTEXT)
    return response.status, (await response.body.read(1 << 20)).decode(), response


@pytest.mark.parametrize(
    ("state", "startup", "ready"),
    [
        (State.STARTING, 503, 503),
        (State.READY, 200, 200),
        (State.DRAINING, 200, 503),
        (State.STOPPED, 200, 503),
    ],
)
async def test_probes_follow_the_state(state: State, startup: int, ready: int) -> None:
    health = Health()
    health.state = state
    admin = AdminService(health, list)

    assert (await ask(admin, "/startup"))[:2] == (startup, f"{state.value}\n")
    assert (await ask(admin, "/ready?verbose"))[:2] == (ready, f"{state.value}\n")
    assert (await ask(admin, "/health"))[:2] == (200, f"{state.value}\n")
    assert state.value in (await ask(admin, "/"))[1]


async def test_metrics_are_read_at_each_request() -> None:
    metrics = Metrics()
    admin = AdminService(Health(), metrics.readings)
    answered = metrics.counter("requests_answered_total", listener="a")
    for number in (1, 2):
        answered.add()
        status, text, response = await ask(admin, "/metrics")
        (family,) = text_string_to_metric_families(text)
        assert status == 200
        assert family.samples[0].value == number
        assert response.fields["Content-Type"].startswith("application/openmetrics-text")
        assert response.fields["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", ["/metrics/", "/%6detrics", "//", "/a\x1b", "*"])
async def test_what_does_not_exist_is_said_with_what_does(path: str) -> None:
    status, text, _ = await ask(AdminService(Health(), list), path)

    assert status == 404
    assert text.isascii()
    assert "\x1b" not in text
    assert all(one in text for one in PATHS)


@pytest.mark.parametrize("method", ["POST", "DELETE", "CONNECT"])
async def test_nothing_can_be_changed(method: str) -> None:
    status, _, response = await ask(AdminService(Health(), list), "/ready", method)

    assert status == 405
    assert response.fields["Allow"] == "GET, HEAD"


async def test_head_is_answered_as_get() -> None:
    assert (await ask(AdminService(Health(), list), "/health", "HEAD"))[0] == 200


@pytest.mark.parametrize(
    "address",
    [
        "tcp:127.0.0.1:9100",
        "tcp:[::1]:9100",
        "tcp:127.9.9.9:1",
        "tcp:localhost:9100",
        "unix:./a",
        "@admin",
        "sd:admin",
    ],
)
def test_addresses_of_this_machine_may_be_admin_s(address: str) -> None:
    assert is_private(ListenSpec.parse(address))


@pytest.mark.parametrize(
    "address", ["tcp:0.0.0.0:9100", "tcp:[::]:9100", "tcp:192.0.2.1:9100", ":9100"]
)
def test_addresses_of_the_network_are_not_private(address: str) -> None:
    assert not is_private(ListenSpec.parse(address))
