"""A program's own mistakes with servers: each is refused at once, with what was expected."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import pierhead.protocols.lines as lines_module
from pierhead import (
    Application,
    Endpoint,
    Lines,
    ListenSpec,
    Metrics,
    Server,
    WireFormat,
    converse,
    listening_sockets,
    run,
    serve,
    stack,
)
from pierhead.errors import ListenError, UsageError
from pierhead.middleware import timeout
from pierhead.protocols import dns, lines
from pierhead.protocols.lines.wire import Text
from pierhead.server.serve import raw
from pierhead.service.admission import allow, deny

#: What a caller without a type checker may pass.
ANY_SERVER: Any = Server
ANY_SERVE: Any = serve
ANY_STACK: Any = stack
ANY_CONVERSE: Any = converse
ANY_LINES: Any = lines
ANY_ALLOW: Any = allow
ANY_DENY: Any = deny
ANY_CLIENT: Any = dns.Client


async def upper(line: str, context: Any) -> str:
    return line.upper()


async def talk(conversation: Any) -> None:
    raise AssertionError("never called")


@asynccontextmanager
async def pool() -> Any:
    yield


async def generated() -> Any:
    yield


def with_resources(resources: Any) -> Application:
    return Application(endpoints=[(ENDPOINT, ["mem:a"])], resources=resources)


def with_lifespan(lifespan: Any) -> Endpoint:
    return replace(ENDPOINT, lifespan=lifespan)


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError("never called")


class Database:
    async def __aenter__(self) -> None:
        raise AssertionError("never called")

    async def __aexit__(self, *error: object) -> None:
        raise AssertionError("never called")


class Starlette:
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("never called")


FORMAT = WireFormat(Lines(), Text("utf-8"))
ENDPOINT = lines.serve(upper)
COMES_FIRST = "is not an endpoint; the endpoint comes first, then its addresses"
BECOMES = "a service becomes one by lines.serve(service), dns.serve(service) or serve(service, wire"
ASGI = "serve it with pierhead.hosting: uvicorn.serve(app) or hypercorn.serve(app)"

MISTAKES: list[tuple[Callable[[], object], str]] = [
    (lambda: ANY_SERVER("mem:a", ENDPOINT), f"'mem:a' {COMES_FIRST}"),
    (lambda: ANY_SERVER("mem:a", upper), COMES_FIRST),
    (lambda: ANY_SERVER(upper, "mem:a"), f"upper is not an endpoint; {BECOMES}"),
    (lambda: ANY_SERVER(dns.Router(), "mem:a"), BECOMES),
    (lambda: ANY_SERVER(None, "mem:a"), f"None is not an endpoint; {BECOMES}"),
    (lambda: ANY_SERVER(asgi, "mem:a"), ASGI),
    (lambda: ANY_SERVER(Starlette(), "mem:a"), ASGI),
    (lambda: ANY_SERVER(lines_module, "mem:a"), "give what its function makes: lines.serve(servic"),
    (lambda: ANY_SERVER(ENDPOINT, ["mem:a"]), "give each by itself: *addresses"),
    (lambda: ANY_SERVER(ENDPOINT, ("mem:a", "mem:b")), "give each by itself: *addresses"),
    (lambda: ANY_SERVER(ENDPOINT, ("::1", 80)), "write '[::1]:80'"),
    (lambda: ANY_SERVER(ENDPOINT, ("127.0.0.1", 0)), "write '127.0.0.1:0'"),
    (lambda: ANY_SERVER(ENDPOINT, 8080), "write '127.0.0.1:8080', or '*:8080' for all addresses"),
    (lambda: ANY_SERVER(ENDPOINT, None), "None is not an address; expected text, a ListenSpec or"),
    (lambda: ANY_SERVER(ENDPOINT, b"mem:a"), "decode it"),
    (lambda: ANY_SERVER(ENDPOINT, Path("/run/a")), "write 'unix:/run/a'"),
    (lambda: ANY_SERVER(ENDPOINT, Path("a")), "write 'unix:./a'"),
    (lambda: ANY_SERVER(ENDPOINT, "mem:a", ENDPOINT), "Application(endpoints=[(endpoint, addresse"),
    (lambda: ANY_SERVER(Application(endpoints=[]), "mem:a"), "an application has its own address"),
    (lambda: ANY_SERVE(FORMAT, upper), "the service comes first: serve(service, wire_format)"),
    (lambda: ANY_SERVE(upper, "utf-8"), "a wire format is 'utf-8', expected WireFormat(framing"),
    (lambda: ANY_SERVE(upper, 5), "a wire format is int, expected WireFormat(framing"),
    (lambda: ANY_CONVERSE(talk, "mem:a"), "a wire format is 'mem:a', expected WireFormat(framing"),
    (lambda: ANY_SERVE(upper, FORMAT, admission=len), "write admission=[check]"),
    (lambda: ANY_SERVE(upper, FORMAT, frame_layers=len), "write frame_layers=[layer]"),
    (lambda: raw(ANY_LINES.echo, admission=ANY_LINES), "expected a list of checks"),
    (lambda: ANY_STACK(upper, [timeout(1.0)]), "write stack(service, *layers)"),
    (lambda: ANY_STACK(upper, None), "None is not a layer, a function that takes a service and"),
    (lambda: ANY_LINES.serve(upper("a", None)), "give the function itself, upper, without calling"),
    *(
        (lambda pairs=pairs: ANY_SERVER(Application(endpoints=pairs)), message)  # type: ignore[misc]
        for pairs, message in (
            (ENDPOINT, "endpoints is Endpoint, expected a list of pairs: [(endpoint, [address, "),
            ([ENDPOINT], "endpoints has Endpoint, expected a list of pairs"),
            ({"mem:a": ENDPOINT}, "endpoints is dict, expected a list of pairs"),
            ([(ENDPOINT, "mem:a")], "the addresses of lines are 'mem:a', expected a list of pairs"),
            ([("mem:a", ENDPOINT)], COMES_FIRST),
            ([(upper, ["mem:a"])], BECOMES),
        )
    ),
    *(
        (lambda given=given: ANY_SERVER(with_resources(given)), message)  # type: ignore[misc]
        for given, message in (
            (pool(), "expected a list of async context managers"),
            (None, "resources is None, expected a list of async context managers"),
            ([None], "a resource is None, expected an async context manager"),
            (["pool"], "a resource is 'pool', expected an async context manager"),
            ([pool], "expected an async context manager; call it: pool()"),
            ([generated()], "; decorate its function with @contextlib.asynccontextmanager"),
            ([Database], "; give an instance, Database()"),
            ([nullcontext().__class__], "; give an instance, nullcontext()"),
            (
                [suppress(OSError)],
                "; enter it in an async function with @contextlib.async",
            ),
        )
    ),
    (
        lambda: ANY_SERVER(with_lifespan(5), "mem:a"),
        "the lifespan of lines is 5, expected a function that returns an async context manager",
    ),
    (lambda: ANY_SERVER(ENDPOINT, "mem:a", clock=5), "clock is 5, which has no monotonic"),
    (lambda: ANY_SERVER(ENDPOINT, "mem:a", metrics=True), "metrics is True, which has no counter"),
    (lambda: ANY_SERVER(ENDPOINT, "mem:a", metrics=Metrics), "give an instance, Metrics()"),
    (lambda: ListenSpec.parse(ANY_LINES), "expected text such as '127.0.0.1:8080'"),
    (lambda: listening_sockets(ANY_LINES).__enter__(), "expected text such as '127.0.0.1:8080'"),
    (lambda: ANY_ALLOW(["10.0.0.0/8"]), "write allow(*networks)"),
    (lambda: ANY_DENY(5), "a network is 5, expected text such as '10.0.0.0/8'"),
    (lambda: ANY_LINES.serve(upper, encoding=5), "no text encoding is named 5"),
    (lambda: ANY_CLIENT(5), "an address is 5, expected text"),
    (lambda: ANY_CLIENT("127.0.0.1:53", timeout="5"), "3 attempts of '5' s; expected 1 to"),
    *(
        (
            lambda made=made: ANY_SERVER(ENDPOINT, "mem:a", on_accept=made),  # type: ignore[misc]
            "does not take; write def on_accept(sock, peer)",
        )
        for made in (lambda: None, lambda sock: None, lambda sock, peer, more: None)
    ),
    (
        lambda: ANY_SERVER(ENDPOINT, "mem:a", on_error=lambda error: None),
        "on_error is called with error and where, which",
    ),
    (lambda: ANY_SERVER(ENDPOINT, "mem:a", on_accept=5), "on_accept is 5, expected a function (s"),
    (lambda: ANY_SERVER(ENDPOINT, "mem:a", idle=5), "there is no option 'idle'; did you mean idle"),
    (lambda: ANY_SERVER(ENDPOINT, "mem:a", idle_timeout="5s"), "expected a number of seconds"),
    (
        lambda: ANY_SERVER(ENDPOINT, "mem:a", idle_timeout=1e9),
        "idle_timeout is 1000000000 s, expected 0 to 2592000 s",
    ),
    (
        lambda: ANY_SERVER(ENDPOINT, "mem:a", max_requests=10**12),
        "max_requests is 1000000000000 requests, expected 1 to 1000000 requests",
    ),
]


async def opens() -> None:
    raise AssertionError("never called")


@pytest.mark.parametrize(
    ("lifespan", "message"),
    [
        (generated, "; decorate its function with @contextlib.asynccontextmanager"),
        (opens, "; its function is a plain one, not 'async def'"),
        (lambda: None, "the lifespan of lines is None, expected an async context manager"),
    ],
)
async def test_a_lifespan_that_is_no_context_manager_is_refused(lifespan, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        async with Server(with_lifespan(lifespan), "mem:a"):
            raise AssertionError("never served")


@pytest.mark.parametrize(("make", "message"), MISTAKES, ids=range(len(MISTAKES)))
def test_a_mistake_is_refused_with_what_was_expected(make, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        make()


@pytest.mark.parametrize(
    "callback",
    [
        lambda sock, peer: None,
        lambda *arguments: None,
        lambda sock, peer, more=5: None,
        print,
        {}.get,
    ],
)
def test_a_callback_that_can_be_called_is_taken(callback):
    Server(ENDPOINT, "mem:a", on_accept=callback)


@pytest.mark.parametrize("what", [upper, asgi, "mem:a", lines_module])
def test_run_ends_with_a_message_and_no_traceback(what, capfd):
    with pytest.raises(SystemExit) as ended:
        run(what, "mem:a")
    assert ended.value.code == 2
    told = capfd.readouterr().err
    assert "is not an endpoint; " in told
    assert "Traceback" not in told


@pytest.mark.parametrize(
    "address", ["mem:a", "memgram:a", "unix:{folder}/s", "unixgram:{folder}/s"]
)
async def test_an_address_given_twice_is_said_to_be_our_own(address, tmp_path):
    written = address.format(folder=tmp_path)
    endpoint = lines.serve(upper)
    message = re.escape(f"this server listens there itself, as {written}: leave one out")
    with pytest.raises(ListenError, match=message):
        async with Server(endpoint, written, written):
            pytest.fail("it was served twice")
    async with Server(endpoint, written) as server:
        with pytest.raises(ListenError, match=message):
            await server.replace(endpoint, written, written)
        assert server.addresses == [written]
        assert await server.replace(endpoint, written) == ()


async def test_two_endpoints_on_one_port_are_said_to_be_our_own():
    endpoint = lines.serve(upper)
    for _ in range(20):
        async with Server(endpoint, "tcp:127.0.0.1:0") as server:
            (taken,) = server.addresses
        both = Application(endpoints=[(endpoint, [taken]), (lines.serve(upper), [taken])])
        with pytest.raises(ListenError) as caught:
            await Server(both).__aenter__()
        if "another socket has port" not in caught.value.remedy:  # somebody else's, meanwhile
            break
    assert caught.value.remedy == f"this server listens there itself, as {taken}: leave one out"


async def test_a_wider_address_in_place_of_a_narrow_one_is_reached_in_two_changes():
    endpoint = lines.serve(upper)
    async with Server(endpoint, "tcp:127.0.0.1:0", "mem:a") as server:
        narrow, _ = server.addresses
        wide = narrow.replace("127.0.0.1", "0.0.0.0")
        with pytest.raises(ListenError) as caught:
            await server.replace(endpoint, wide, "mem:a")
        assert caught.value.remedy.endswith("make the change in two, the first without either")
        await server.replace(endpoint, "mem:a")
        await server.replace(endpoint, wide, "mem:a")
        assert server.addresses == [wide, "mem:a"]
