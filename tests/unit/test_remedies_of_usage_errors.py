"""What a `UsageError` advises is accepted: each remedy in its text is followed, and tried again.

A remedy is what follows a semicolon and tells the reader to do something. The texts are found in
the source, but for those of `ELSEWHERE`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, ClassVar

import click
import pytest
from tests.remedies import Remedy, remedies_of

from pierhead import (
    Application,
    Balance,
    ById,
    CustomDatagramListener,
    CustomStreamListener,
    LengthPrefixed,
    Lines,
    ListenSpec,
    Metrics,
    Octets,
    Order,
    Peer,
    Server,
    WireFormat,
    blocking,
    listening_sockets,
    serve,
    threaded,
)
from pierhead.client.client import connect
from pierhead.client.dial import dial_stream
from pierhead.codec.base import check_one_reply
from pierhead.console.forms import FORMS, form
from pierhead.errors import ConnectError, PeerUnavailable, UsageError
from pierhead.integrations.argparse import add_listen_option
from pierhead.integrations.click import listen_option
from pierhead.integrations.typer import listen_option as typer_option
from pierhead.protocols import dns, http, lines, proxying
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.message import Query
from pierhead.protocols.dns.wire.name import ROOT
from pierhead.protocols.dns.wire.tsig.key import ALGORITHMS
from pierhead.protocols.http.wire.response_writer import response_head
from pierhead.server.converse import converse
from pierhead.server.destinations import find, reach
from pierhead.service import as_service
from pierhead.service.admission import allow, allow_accounts

#: As a caller without a type checker may use them.
ANY: Any = dns
ENDPOINT = lines.serve(lines.echo, encoding=None)
LISTENER: Any = SimpleNamespace(local="udp:127.0.0.1:1", way_to=str, peer=Peer)
QUERY = Query(1, 0, ROOT + b"\0\1\0\1", ROOT, 1, 1, 512, False, ())


async def answer(query: dns.Query, context: Any) -> dns.Reply:
    return query.reply()


async def accept() -> Any:
    raise AssertionError("never called")


def send(datagram: bytes, to: object) -> None:
    raise AssertionError("never called")


def plain(request: str, context: Any) -> str:
    return request


class Shout:
    async def __call__(self, request: str, context: Any) -> str:
        return request


def generator(request: str, context: Any) -> Any:
    yield request


async def many(request: str, context: Any) -> Any:
    yield request


class Later(dns.Layer):
    name = "later"
    inside: ClassVar = {"edns": "it needs what that layer reads"}


class Ports(CustomStreamListener):
    async def accept(self) -> Any:
        raise AssertionError("never called")


def any_order(matching: Any = None) -> WireFormat[Any, Any]:
    more = {} if matching is None else {"matching": matching}
    return WireFormat(Lines(), Octets(), order=Order.ANY, **more)


def many_ids() -> WireFormat[Any, Any]:
    return any_order(ById.field("id", range(4096)))


async def talk(conversation: Any) -> None:
    raise AssertionError("never called")


def ask(count: int, size: int) -> object:
    matcher = ById.field("id", range(size)).new()
    return [matcher.ask({"id": 0}, None) for _ in range(count)]


def parsed(in_parent: bool) -> object:
    parent, parser = argparse.ArgumentParser(add_help=False), argparse.ArgumentParser
    if in_parent:
        add_listen_option(parent, "mem:a")
        return parser(parents=[parent]).parse_args(["--unix-listen-chmod", "group"])
    own = parser()
    add_listen_option(own, "unix:/a")
    return own.parse_args(["--unix-listen-chmod", "group"])


def typed(name: str) -> object:
    def main(addresses: Any) -> None:
        raise AssertionError("never called")

    return typer_option(name=name)(main)


def typed_with_listen() -> object:
    def main(listen: Any) -> None:
        raise AssertionError("never called")

    return typer_option()(main)


def serving_twice(create_another: bool) -> object:
    async def enter() -> None:
        async with (server := Server(ENDPOINT, "mem:a")):
            pass
        again = Server(ENDPOINT, "mem:a") if create_another else server
        async with again:
            pass

    return asyncio.run(enter())


def dialled(address: str) -> object:
    async def dial() -> object:
        with pytest.raises(ConnectError):
            await dial_stream(address, asyncio.Protocol)

    return asyncio.run(dial())


def entered(address: str, wire_format: WireFormat[Any, Any], source: str | None = None) -> object:
    async def enter() -> object:
        async with connect(address, wire_format, source=source):
            pass

    return asyncio.run(enter())


def used_in_two_loops(clients: list[Any]) -> None:
    async def ask(client: Any) -> None:
        with pytest.raises(PeerUnavailable):
            await client.check()

    for client in clients:
        asyncio.run(ask(client))


class Held:
    async def __aenter__(self) -> None:
        raise AssertionError("never entered")

    async def __aexit__(self, *error: object) -> None:
        raise AssertionError("never entered")


@contextlib.asynccontextmanager
async def held() -> Any:
    yield


def with_resource(resource: Any) -> Application:
    return Application(endpoints=[(ENDPOINT, ["mem:a"])], resources=[resource])


def opened(*addresses: str) -> object:
    with listening_sockets(*addresses) as listening:
        return listening


def command() -> click.Command:
    return click.command()(lambda listen: None)


def web(address: str = "mem:nobody", **options: Any) -> None:
    """Send a request, to nobody."""

    async def ask() -> None:
        async with http.Client(address) as client:
            with contextlib.suppress(ConnectError):
                await client.post(**options)

    asyncio.run(ask())


def web_clients(number: int) -> None:
    """Use clients in two event loops: one after the other, or one in each."""
    clients = [http.Client("mem:nobody") for _ in range(number)]

    async def ask(client: http.Client) -> None:
        with contextlib.suppress(ConnectError):
            await client.get()

    for client in (clients[0], clients[-1]):
        asyncio.run(ask(client))


def head_of(fields: dict[str, str]) -> bytes:
    return response_head("GET", http.Response(200, b"abc", fields), "")


TWO: Any = http.path("a", int) & http.query("b", int)


#: The file, the words of the remedy, what is refused, and what is accepted, way by way.
ROWS: list[tuple[str, str, Callable[[], object], list[Callable[[], object]]]] = [
    (
        "protocols/http/client/base_address",
        "/prefix, and give credentials and queries with each request",
        lambda: http.Client("http://me:secret@example.org/?a=b"),
        [lambda: http.Client("http://example.org:80/prefix")],
    ),
    (
        "protocols/http/client/client",
        "leave one out",
        lambda: web(json=1, body=b"1"),
        [lambda: web(json=1), lambda: web(body=b"1")],
    ),
    (
        "protocols/http/client/client",
        "create one in each",
        lambda: web_clients(1),
        [lambda: web_clients(2)],
    ),
    (
        "protocols/http/client/request_head",
        "leave it out",
        lambda: web(body=b"1", fields={"Content-Length": "1"}),
        [lambda: web(body=b"1")],
    ),
    (
        "protocols/http/filters/cors",
        "name the origins",
        lambda: http.cors("*", credentials=True),
        [lambda: http.cors("https://example.org", credentials=True)],
    ),
    (
        "protocols/http/filters/files",
        "create it, or name another",
        lambda: http.files("/nowhere"),
        [lambda: http.files("/")],
    ),
    (
        "protocols/http/filters/filter",
        "give it a handler",
        lambda: TWO.recover(str),
        [lambda: TWO.map(str).recover(str)],
    ),
    (
        "protocols/http/filters/filter",
        "give each its handler by map or then first",
        lambda: TWO | http.path("c"),
        [lambda: TWO.map(lambda a, b: a) | http.path("c").map(str)],
    ),
    (
        "protocols/http/filters/filter",
        "give it to then",
        lambda: http.path("a").map(answer),
        [lambda: http.path("a").then(answer)],
    ),
    (
        "protocols/http/filters/reply",
        "give it a handler",
        lambda: http.as_response(1, 2),
        [lambda: http.as_response(1)],
    ),
    (
        "protocols/http/wire/response_writer",
        "leave the field out, the server sets it",
        lambda: head_of({"Content-Length": "2"}),
        [lambda: head_of({})],
    ),
    (
        "blocking/server",
        "wire_format=lines.wire_format())",
        lambda: blocking.serve(plain, "mem:a"),  # type: ignore[call-overload]
        [lambda: blocking.serve(plain, "mem:a", wire_format=lines.wire_format())],
    ),
    (
        "blocking/server",
        "leave it out here",
        lambda: blocking.serve(ENDPOINT, "mem:a", wire_format=any_order()),  # type: ignore[call-overload]
        [lambda: blocking.serve(ENDPOINT, "mem:a")],
    ),
    (
        "console/forms",
        "; expected one of ",
        lambda: form("text"),
        [lambda: [form(name) for name in FORMS]],
    ),
    (
        "client/upstreams",
        "give one upstream or more",
        lambda: Balance([]),
        [lambda: Balance([connect("mem:a", lines.wire_format())])],
    ),
    (
        "protocols/proxying/forward",
        "give one address or more",
        lambda: proxying.forward(),
        [lambda: proxying.forward("mem:a")],
    ),
    (
        "server/destinations",
        "use send_to(address, message)",
        lambda: find(LISTENER, "udp:localhost:9"),
        [lambda: asyncio.run(reach(LISTENER, "udp:localhost:9"))],
    ),
    (
        "client/dialler",
        "leave the source out, use port 0, or matching=ById(…) with ",
        lambda: entered("memgram:b", any_order(), source="memgram:a"),
        [
            lambda: entered("memgram:b", any_order()),
            lambda: entered("udp:127.0.0.1:9", any_order(), source="udp:127.0.0.1:0"),
            lambda: entered("memgram:b", many_ids(), source="memgram:a"),
        ],
    ),
    (
        "server/converse",
        "(conversation)'",
        lambda: converse(plain, any_order()),  # type: ignore[arg-type]
        [lambda: converse(talk, any_order())],
    ),
    (
        "client/dial",
        "leave it out",
        lambda: dialled("mem:nobody?name=a"),
        [lambda: dialled("mem:nobody")],
    ),
    (
        "client/client",
        "create one in each",
        lambda: used_in_two_loops([connect("mem:nobody", any_order())] * 2),
        [lambda: used_in_two_loops([connect("mem:nobody", any_order()) for _ in range(2)])],
    ),
    (
        "codec/base",
        "give the wire format matching=ById(get=…, put=…, range=…)",
        lambda: check_one_reply(any_order()),
        [lambda: check_one_reply(any_order(ById.field("id", range(9))))],
    ),
    (
        "codec/base",
        "is a class; give an instance, ",
        lambda: WireFormat(Lines, Octets()),  # type: ignore[arg-type]
        [lambda: WireFormat(Lines(), Octets())],
    ),
    (
        "codec/length_prefixed",
        "expected a width of 1, 2 or 4 and 'big' or 'little'",
        lambda: LengthPrefixed(3),
        [
            lambda w=width, o=order: LengthPrefixed(w, o)  # type: ignore[misc]
            for width in (1, 2, 4)
            for order in ("big", "little")
        ],
    ),
    (
        "codec/length_prefixed",
        "give a larger width or a smaller limit",
        lambda: LengthPrefixed(1, max_length_bytes=300),
        [
            lambda: LengthPrefixed(2, max_length_bytes=300),
            lambda: LengthPrefixed(1, max_length_bytes=255),
        ],
    ),
    (
        "codec/lines",
        "send two lines",
        lambda: Lines().frame(b"a\nb"),
        [lambda: (Lines().frame(b"a"), Lines().frame(b"b"))],
    ),
    (
        "codec/lines",
        r"remove it or end lines with newline=b'\r\n'",
        lambda: Lines().frame(b"a\r"),
        [lambda: Lines().frame(b"a"), lambda: Lines(newline=b"\r\n").frame(b"a\r")],
    ),
    ("codec/matching", "ask fewer at once", lambda: ask(3, 2), [lambda: ask(2, 2)]),
    (
        "integrations/argparse",
        "add them to the parser that parses the command line",
        lambda: parsed(in_parent=True),
        [lambda: parsed(in_parent=False)],
    ),
    (
        "integrations/click",
        "write @listen_option() or @listen_argument() below @click.command()",
        lambda: listen_option(":80")(command()),
        [lambda: click.command()(listen_option(":80")(lambda listen: None))],
    ),
    (
        "integrations/parameter",
        "(), with parentheses",
        lambda: listen_option(plain),  # type: ignore[arg-type]
        [lambda: listen_option()(plain)],
    ),
    (
        "integrations/typer",
        "add it, or write name= for another",
        lambda: typed("listen"),
        [lambda: typed("addresses"), typed_with_listen],
    ),
    (
        "listener/custom",
        "is a plain function; write it with 'async def'",
        lambda: CustomStreamListener("mem:a", plain),  # type: ignore[arg-type]
        [lambda: CustomStreamListener("mem:a", accept)],
    ),
    (
        "listener/custom",
        "pass a plain function that raises BlockingIOError if there is no room",
        lambda: CustomDatagramListener("mem:a", accept, accept),
        [lambda: CustomDatagramListener("mem:a", accept, send)],
    ),
    (
        "listener/custom",
        "override it, or pass it: ",
        lambda: CustomStreamListener("mem:a"),
        [
            lambda: CustomStreamListener("mem:a", accept),
            lambda: Ports("mem:a"),
        ],
    ),
    (
        "listener/listening_sockets",
        "give one such as '127.0.0.1:0'",
        opened,
        [lambda: opened("127.0.0.1:0")],
    ),
    (
        "protocols/dns/client",
        "expected 1 to ",
        lambda: dns.Client("[::1]:53", attempts=0),
        [lambda: dns.Client("[::1]:53", attempts=1), lambda: dns.Client("h:53", timeout=0.1)],
    ),
    (
        "protocols/dns/records",
        "' if it is a top-level domain, otherwise the whole name, such as '",
        lambda: dns.NS("mail"),
        [lambda: dns.NS("mail."), lambda: dns.NS("mail.example.")],
    ),
    (
        "protocols/dns/services/chaos",
        "give a version, an identity or both",
        lambda: dns.chaos(),
        [
            lambda: dns.chaos(version="1"),
            lambda: dns.chaos(identity="a"),
            lambda: dns.chaos(version="1", identity="a"),
        ],
    ),
    (
        "protocols/dns/stacking",
        "list all of them in one stack",
        lambda: dns.stack(dns.stack(answer), dns.cookies()),
        [lambda: dns.stack(answer, dns.cookies())],
    ),
    (
        "protocols/dns/stacking",
        "give the service first, then its layers",
        lambda: ANY.stack(dns.cookies(), answer),
        [lambda: dns.stack(answer, dns.cookies())],
    ),
    (
        "protocols/dns/stacking",
        "is a class of layers; give an instance, ",
        lambda: ANY.stack(answer, Later),
        [lambda: dns.stack(answer, Later())],
    ),
    (
        "protocols/dns/stacking",
        "list it last, or omit it",
        lambda: dns.stack(answer, dns.mandatory(), dns.cookies()),
        [lambda: dns.stack(answer, dns.cookies(), dns.mandatory()), lambda: dns.stack(answer)],
    ),
    (
        "protocols/dns/stacking",
        "list it once",
        lambda: dns.stack(answer, dns.cookies(), dns.cookies()),
        [lambda: dns.stack(answer, dns.cookies())],
    ),
    (
        "protocols/dns/stacking",
        "(the first is outermost)",
        lambda: dns.stack(answer, Later(), dns.edns()),
        [lambda: dns.stack(answer, dns.edns(), Later())],
    ),
    (
        "protocols/dns/wire/tsig/key",
        "use one of ",
        lambda: dns.Key("a.", b"secret", algorithm="hmac-md5"),
        [lambda: [dns.Key("a.", b"secret", algorithm=name) for name in ALGORITHMS]],
    ),
    (
        "protocols/dns/wire/tsig/key",
        "give each its own name",
        lambda: dns.tsig([dns.Key("a.", b"one"), dns.Key("A", b"two")]),
        [lambda: dns.tsig([dns.Key("a.", b"one"), dns.Key("b.", b"two")])],
    ),
    (
        "protocols/dns/wire/iana",
        "expected a mnemonic (",
        lambda: iana.type_number(5),  # type: ignore[arg-type]
        [lambda: [iana.type_number(text) for text in ("A", "AAAA", "MX")]],
    ),
    (
        "protocols/dns/wire/rcode_error",
        "return query.reply()",
        lambda: dns.RcodeError(rcode=dns.NOERROR),
        [lambda: QUERY.reply()],
    ),
    (
        "protocols/dns/wire/record",
        "is one record, expected a list; write ",
        lambda: ANY.Query.reply(QUERY, authority=dns.NS("ns.")),
        [lambda: QUERY.reply(authority=[dns.NS("ns.")])],
    ),
    (
        "protocols/dns/wire/record",
        "expected name, ttl or rclass",
        lambda: ANY.A("192.0.2.1", tll=5),
        [
            lambda: dns.A("192.0.2.1", ttl=5),
            lambda: dns.A("192.0.2.1", name="a.example."),
            lambda: dns.A("192.0.2.1", rclass="IN"),
        ],
    ),
    (
        "server/callback",
        "give a plain function, which may start a task",
        lambda: Server(ENDPOINT, "mem:a", on_accept=accept),  # type: ignore[arg-type]
        [lambda: Server(ENDPOINT, "mem:a", on_accept=send)],  # type: ignore[arg-type]
    ),
    (
        "server/callback",
        "is a class; give an instance, ",
        lambda: Server(ENDPOINT, "mem:a", metrics=Metrics),  # type: ignore[arg-type]
        [lambda: Server(ENDPOINT, "mem:a", metrics=Metrics())],
    ),
    (
        "server/callback",
        " does not take; write def ",
        lambda: Server(ENDPOINT, "mem:a", on_accept=lambda sock: None),  # type: ignore[arg-type,misc]
        [lambda: Server(ENDPOINT, "mem:a", on_accept=lambda sock, peer: None)],
    ),
    (
        "server/makes_endpoint",
        "; give it to run or Server: run(",
        lambda: ANY.serve(answer, "127.0.0.1:53"),
        [lambda: Server(dns.serve(answer), "127.0.0.1:53")],
    ),
    (
        "server/makes_endpoint",
        "; give options by name: ",
        lambda: ANY.serve(answer, 512),
        [lambda: dns.serve(answer, max_udp_payload=512)],
    ),
    (
        "server/makes_endpoint",
        "; expected one of ",
        lambda: ANY.serve(answer, payload=512),
        [lambda: dns.serve(answer, max_udp_payload=512)],
    ),
    (
        "server/resources",
        "; give an instance, ",
        lambda: Server(with_resource(Held)),
        [lambda: Server(with_resource(Held()))],
    ),
    (
        "server/resources",
        "; call it: ",
        lambda: Server(with_resource(held)),
        [lambda: Server(with_resource(held()))],
    ),
    (
        "server/plan",
        "expected text, a ListenSpec or a listener object",
        lambda: Server(ENDPOINT, 5),  # type: ignore[arg-type]
        [
            lambda: Server(ENDPOINT, "mem:a"),
            lambda: Server(ENDPOINT, ListenSpec.parse("mem:a")),
            lambda: Server(ENDPOINT, CustomStreamListener("mem:a", accept)),
        ],
    ),
    (
        "server/plan",
        "pass none",
        lambda: Server(Application(endpoints=[(ENDPOINT, ["mem:a"])]), "mem:a"),
        [lambda: Server(Application(endpoints=[(ENDPOINT, ["mem:a"])]))],
    ),
    (
        "server/plan",
        "give one such as '127.0.0.1:0'",
        lambda: Server(ENDPOINT),
        [lambda: Server(ENDPOINT, "127.0.0.1:0")],
    ),
    (
        "server/server",
        "create another: Server(endpoint, address)",
        lambda: serving_twice(create_another=False),
        [lambda: serving_twice(create_another=True)],
    ),
    (
        "service/admission/accounts",
        "name at least one",
        lambda: allow_accounts(),
        [lambda: allow_accounts(users=[0]), lambda: allow_accounts(groups=[0])],
    ),
    (
        "service/admission/accounts",
        "name another, or its number",
        lambda: allow_accounts(users=["no-such-user"]),
        [lambda: allow_accounts(users=["root"]), lambda: allow_accounts(users=[12345])],
    ),
    (
        "service/admission/networks",
        "name at least one",
        lambda: allow(),
        [lambda: allow("10.0.0.0/8")],
    ),
    (
        "service/base",
        "write it with 'async def', or have it run in threads: threaded(function)",
        lambda: as_service(plain),  # type: ignore[arg-type]
        [lambda: as_service(Shout()), lambda: as_service(threaded(plain))],
    ),
    (
        "service/base",
        "is async; serve it as it is",
        lambda: threaded(answer),
        [lambda: as_service(answer)],
    ),
    (
        "service/base",
        "write a service with 'async def', or pass an instance with an async __call__",
        lambda: as_service(Shout),  # type: ignore[arg-type]
        [lambda: as_service(answer), lambda: as_service(Shout())],
    ),
    (
        "service/base",
        "write it with 'async def', or return one reply",
        lambda: as_service(generator),
        [lambda: as_service(many), lambda: as_service(answer)],
    ),
]


@pytest.mark.parametrize(("where", "advice", "wrong", "right"), ROWS, ids=range(len(ROWS)))
def test_following_the_remedy_is_accepted(where, advice, wrong, right):
    with pytest.raises(UsageError) as caught:
        wrong()
    assert advice in str(caught.value)
    assert right
    for way in right:
        way()


async def test_a_request_that_is_too_large_for_a_datagram_goes_by_a_stream():
    async def back(octets: bytes, context: Any) -> bytes:
        return len(octets).to_bytes(4, "big")

    framed = WireFormat(LengthPrefixed(4), Octets())
    large = bytes(70_000)
    async with Server(serve(back, framed), "udp:127.0.0.1:0", "tcp:127.0.0.1:0") as server:
        datagrams, stream = server.addresses
        async with asyncio.timeout(20):
            async with connect(datagrams, framed) as client:
                with pytest.raises(UsageError, match="too large for a datagram; use a stream"):
                    await client.request(large)
            async with connect(stream, framed) as client:
                assert int.from_bytes(await client.request(large), "big") == len(large)


#: Followed in other tests, or by a program of another system.
ELSEWHERE = {
    "client/request_datagrams.py": "the test below the table",
    "client/dialled_datagrams.py": "likewise",
    "backplane/": "tests/unit/backplane/test_peers.py",
    "connection/room.py": "likewise",
    "protocols/dns/key_file.py": "tests/unit/protocols/dns/test_key_file.py",
    "server/destinations.py": "tests/unit/server/test_socket_conversations.py",
    "cli/": "tests/unit/cli/test_remedies.py, test_main.py, test_serving.py",
    "config/": "tests/unit/config/test_remedies.py, tests/unit/cli/test_remedies.py, test_main.py",
    "hosting/": "tests/unit/hosting",
    "testing/": "laws of other programs' parts",
    "runtime/worker_sockets.py": "tests/unit/runtime/test_supervisor.py",
    "runtime/run.py": "tests/unit/cli/test_main.py",
    "protocols/dns/services/zones.py": "tests/unit/protocols/dns/services/test_zones.py",
    "protocols/dns/journal/": "tests/unit/protocols/dns/journal",
    "protocols/dns/services/live_zone.py": "tests/unit/protocols/dns/services/test_live_zone.py",
    "protocols/dns/services/zone_service.py": "likewise, test_zone_service.py",
    "protocols/dns/transfer/": "tests/unit/protocols/dns/transfer",
    "protocols/dns/zone/": "tests/unit/protocols/dns/zone/test_remedies.py",
    "protocols/stomp/": "tests/unit/protocols/stomp",
    "protocols/syslog/": "tests/unit/protocols/syslog",
    "extra.py": "pip, in every environment",
}
#: On Windows.
NOT_HERE = ("give its number",)
#: How a remedy begins, after its semicolon.
TELLS = re.compile(
    r"; (?:add|ask|call|choose|create|expected|give|install|leave|list|name|override|pass|print|put"
    r"|remove|restrict|return|send|serve|use|write)\b"
)


def advises(one: Remedy) -> bool:
    return TELLS.search(one.text) is not None


def test_no_remedy_of_a_usage_error_is_without_its_row():
    found = [one for one in remedies_of(".", positions={"UsageError": 0}) if advises(one)]
    found = [one for one in found if not one.module.startswith(tuple(ELSEWHERE))]
    assert len(found) >= 35
    followed = [(f"{where}.py", advice) for where, advice, _, _ in ROWS]
    untested = [
        str(one)
        for one in found
        if not any(where == one.module and advice in one.text for where, advice in followed)
        and not any(words in one.text for words in NOT_HERE)
    ]
    assert not untested, "\n".join(untested)
