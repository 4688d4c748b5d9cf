"""TLS and the PROXY protocol from the client's side: verified, refused, named, and nothing left."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import gc
import logging
import os
import shutil
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import trustme
import uvloop

from pierhead import Context, Conversation, Server, connect
from pierhead.address import ListenSpec
from pierhead.address.registry import OPTIONS, AppliedBy
from pierhead.client.dial import dial_stream
from pierhead.client.route import Route
from pierhead.client.tls_context import load_client_context
from pierhead.codec.proxy_header import ProxyHeader
from pierhead.errors import AddressError, ConnectError, ConnectionEnded
from pierhead.protocols import lines
from pierhead.service.context import Via

FORMAT = lines.wire_format()


class Files:
    """Certificates in one folder, for a server called ``dns.example``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = trustme.CA()
        self.authority.cert_pem.write_to_path(str(folder / "ca.pem"))
        self.issue("server.pem", "dns.example", "*.alt.example")
        self.issue("client.pem", "sensor@example.org")
        now = datetime.datetime.now(datetime.UTC)
        past = {"not_before": now - datetime.timedelta(9), "not_after": now - datetime.timedelta(1)}
        self.issue("expired.pem", "dns.example", **past)
        self.stranger = trustme.CA()
        self.stranger.cert_pem.write_to_path(str(folder / "stranger-ca.pem"))

    def issue(self, file: str, *names: str, **validity) -> None:
        issued = self.authority.issue_cert(*names, **validity)
        path = self.folder / file
        path.touch(0o600)
        issued.private_key_and_cert_chain_pem.write_to_path(str(path))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(autouse=True)
def _in_a_folder(files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for file in files.folder.iterdir():
        shutil.copy(file, tmp_path)
    monkeypatch.chdir(tmp_path)


vias: list[Via] = []


async def shout(line: str, context: Context) -> str:
    vias.append(context.via)
    return line.upper()


async def echo(conversation: Conversation[str, str]) -> None:
    async for line in conversation:
        await conversation.send(line.upper())


SERVER = "cert=server.pem"
CLIENT = "ca=ca.pem&server-name=dns.example"

FORMS = [
    ("tls+tcp:127.0.0.1:0?" + SERVER, CLIENT),
    ("tls+unix:./s?" + SERVER, CLIENT),
    ("tls+mem:b?" + SERVER, CLIENT),
    ("proxy+tcp:127.0.0.1:0?proxy.from=127.0.0.1", ""),
    ("proxy+unix:./s", "proxy.version=1"),
    ("proxy+mem:b", ""),
    (f"proxy+tls+tcp:127.0.0.1:0?{SERVER}&proxy.from=127.0.0.1", CLIENT),
    (f"tls+proxy+tcp:127.0.0.1:0?{SERVER}&proxy.from=127.0.0.1", CLIENT + "&proxy.version=1"),
    (f"proxy+tls+mem:b?{SERVER}", CLIENT),
]


def dialled(server: Server, options: str) -> str:
    return f"{server.addresses[0]}?{options}" if options else server.addresses[0]


@pytest.mark.parametrize(("listen", "options"), FORMS, ids=[form[0] for form in FORMS])
async def test_requests_in_wrappers(listen: str, options: str) -> None:
    async with Server(lines.serve(shout), listen) as server:
        async with connect(dialled(server, options), FORMAT) as client:
            assert await client.request("hello") == "HELLO"
            assert await client.request("again") == "AGAIN"


@pytest.mark.parametrize(("listen", "options"), FORMS, ids=[form[0] for form in FORMS])
async def test_conversations_in_wrappers(listen: str, options: str) -> None:
    async with Server(lines.converse(echo), listen) as server:
        async with connect(dialled(server, options), FORMAT).conversation() as talk:
            await talk.send("hello")
            assert await talk.receive() == "HELLO"
            tls = talk.via.tls
            assert talk.via.encrypted is ("tls" in listen)
            if tls is not None:
                assert tls.version == "TLSv1.3"
                assert tls.server_name == "dns.example"
                assert tls.server_certificate is not None
                assert tls.server_subject
            talk.end_output()
            assert [line async for line in talk] == []


@pytest.mark.skipif(sys.platform == "win32", reason="uvloop")
@pytest.mark.parametrize(("listen", "options"), FORMS, ids=[form[0] for form in FORMS])
def test_wrappers_work_on_uvloop(listen: str, options: str) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(test_requests_in_wrappers(listen, options))


async def test_a_client_certificate_and_alpn_reach_the_server() -> None:
    listen = f"tls+tcp:127.0.0.1:0?{SERVER}&client-ca=ca.pem&alpn=lines,other"
    async with Server(lines.serve(shout), listen) as server:
        options = f"{CLIENT}&cert=client.pem&alpn=x,lines"
        vias.clear()
        async with connect(dialled(server, options), FORMAT) as client:
            assert await client.request("hello") == "HELLO"
        tls = vias[0].tls
        assert tls is not None
        assert tls.client_certificate is not None
        assert tls.alpn == "lines"
        async with connect(dialled(server, options), FORMAT).conversation() as talk:
            assert talk.via.tls is not None
            assert talk.via.tls.alpn == "lines"


async def test_the_host_is_what_a_certificate_has_to_be_for(files: Files) -> None:
    files.issue("local.pem", "127.0.0.1")
    shutil.copy(files.folder / "local.pem", "local.pem")
    async with Server(lines.serve(shout), "tls+tcp:127.0.0.1:0?cert=local.pem") as server:
        async with connect(dialled(server, "ca=ca.pem"), FORMAT) as client:
            assert await client.request("hello") == "HELLO"


async def test_verifying_can_be_switched_off_which_is_a_warning(caplog) -> None:
    async with Server(lines.serve(shout), f"tls+mem:b?{SERVER}") as server:
        with caplog.at_level(logging.WARNING, "pierhead.client"):
            async with connect(dialled(server, "verify=off"), FORMAT) as client:
                assert await client.request("hello") == "HELLO"
    assert "anyone on the path can pose as it" in caplog.text


# -- what is refused -----------------------------------------------------------------------------

REFUSED = [
    (
        SERVER,
        "ca=ca.pem&server-name=other.example",
        "certificate is not for other.example, but for dns.example, *.alt.example",
        "server-name=dns.example",
    ),
    (SERVER, "ca=stranger-ca.pem&server-name=dns.example", "nobody known here vouches", "ca=FILE"),
    (SERVER, "server-name=dns.example", "nobody known here vouches", "ca=FILE"),
    ("cert=expired.pem", CLIENT, "the server's certificate has expired", "renew"),
    (f"{SERVER}&alpn=h2", f"{CLIENT}&alpn=dot", "none of the protocols that alpn offers", "alpn"),
    (
        SERVER,
        "ca=none.pem&server-name=dns.example",
        "cannot read none.pem: No such file",
        "is the path right",
    ),
    (
        SERVER,
        f"{CLIENT}&cert=ca.pem",
        "ca.pem has a certificate but no private key",
        "add key=FILE",
    ),
    (SERVER, "ca=ca.pem&server-name=a..b", "is not a host name", "server-name=NAME"),
]


@pytest.mark.parametrize(
    ("presented", "options", "reason", "remedy"), REFUSED, ids=[case[2] for case in REFUSED]
)
async def test_a_refusal_says_why_and_what_to_do(presented, options, reason, remedy) -> None:
    before = open_files()
    async with Server(lines.serve(shout), f"tls+tcp:127.0.0.1:0?{presented}") as server:
        with pytest.raises(ConnectError) as refused:
            async with connect(dialled(server, options), FORMAT):
                pass
    assert refused.value.step == "tls"
    assert reason in refused.value.reason
    assert remedy in refused.value.remedy
    assert refused.value.is_retry_safe
    gc.collect()
    assert open_files() == before


async def test_the_remedy_for_a_wrong_name_works() -> None:
    async with Server(lines.serve(shout), f"tls+mem:b?{SERVER}") as server:
        with pytest.raises(ConnectError) as refused:
            async with connect(dialled(server, "ca=ca.pem&server-name=x.example"), FORMAT):
                pass
        name = refused.value.remedy.rpartition(" ")[2]
        async with connect(dialled(server, f"ca=ca.pem&{name}"), FORMAT) as client:
            assert await client.request("hello") == "HELLO"


@pytest.mark.parametrize("version", ["1.2", "1.3"])
async def test_a_server_that_wants_a_client_certificate_says_so(version: str) -> None:
    listen = f"tls+tcp:127.0.0.1:0?{SERVER}&client-ca=ca.pem&min={version}"
    async with Server(lines.serve(shout), listen) as server:
        # TLS 1.3 tells a client only after its handshake (RFC 8446 §4.4.2).
        with pytest.raises((ConnectError, ConnectionEnded), match="requires a client"):
            async with connect(dialled(server, CLIENT), FORMAT) as client:
                await client.request("hello")


def test_a_unix_socket_needs_the_name_of_its_server() -> None:
    with pytest.raises(AddressError, match="add server-name=NAME"):
        connect("tls+unix:./s?ca=ca.pem", FORMAT)


TLS_ROWS = {row.key for row in OPTIONS if AppliedBy.TLS_CLIENT in row.applied_by}


def test_each_option_of_tls_has_its_test_here() -> None:
    used = {part.partition("=")[0] for case in REFUSED for part in case[1].split("&")}
    below = {"key", "min", "strict-permissions", "verify"}
    assert used | below == TLS_ROWS


async def test_the_key_of_a_client_may_stand_apart_and_is_its_owner_s(caplog) -> None:
    pem = Path("client.pem").read_text()
    end = pem.index("-----BEGIN CERTIFICATE")
    Path("key.pem").write_text(pem[:end])
    Path("cert.pem").write_text(pem[end:])
    Path("key.pem").chmod(0o644)
    listen = f"tls+mem:b?{SERVER}&client-ca=ca.pem"
    async with Server(lines.serve(shout), listen) as server:
        options = f"{CLIENT}&cert=cert.pem&key=key.pem"
        async with connect(dialled(server, options), FORMAT) as client:
            assert await client.request("hello") == "HELLO"
        assert "the key in key.pem can be read" in caplog.text
        with pytest.raises(ConnectError, match=r"the key in key\.pem can be read") as refused:
            async with connect(dialled(server, f"{options}&strict-permissions"), FORMAT):
                pass
        assert refused.value.step == "tls"


async def test_files_that_have_been_renewed_are_read_again() -> None:
    async with Server(lines.serve(shout), f"tls+mem:b?{SERVER}") as server:
        shutil.copy("stranger-ca.pem", "own.pem")
        route = Route(dialled(server, "ca=own.pem&server-name=dns.example"))
        with pytest.raises(ConnectError, match="nobody known here"):
            await route.stream(asyncio.Protocol)
        shutil.copy("ca.pem", "new.pem")
        os.replace("new.pem", "own.pem")
        (await route.stream(asyncio.Protocol)).close()
        context = route._wrapping._context
        (await route.stream(asyncio.Protocol)).close()
        assert route._wrapping._context is context


def test_old_versions_are_refused_as_the_address_says() -> None:
    for version, lowest in (("1.2", ssl.TLSVersion.TLSv1_2), ("1.3", ssl.TLSVersion.TLSv1_3)):
        spec = ListenSpec.parse(f"tls+tcp:h:1?verify=off&min={version}").to_dial()
        assert load_client_context(spec, "h").minimum_version is lowest


# -- servers that misbehave ----------------------------------------------------------------------

Misbehave = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def _speak_ssh(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"SSH-2.0-OpenSSH_9.9\r\n")
    await reader.read()


async def _speak_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(100)
    writer.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")


async def _close_at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    pass


async def _close_after_the_hello(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    await reader.read(100)
    await reader.read(1000)


async def _reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.transport.abort()


async def _stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def _half_a_record(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"\x16\x03\x03\x02")
    await reader.read()


MISBEHAVING: list[tuple[Misbehave, str, str]] = [
    (_speak_ssh, "what answers is no TLS; it began with 'SSH-2.0-OpenSSH_9.9'", "leave tls+ out"),
    (_speak_http, "it began with 'HTTP/1.1 400 Bad Request'", "leave tls+ out"),
    (_close_at_once, "", "does the server speak TLS at this address?"),
    (_close_after_the_hello, "", "does the server speak TLS at this address?"),
    (_reset, "", "does the server speak TLS at this address?"),
    (_stall, "no answer within 0.2 s", "does the server speak TLS at this address?"),
    (_half_a_record, "no answer within 0.2 s", "does the server speak TLS at this address?"),
]


def open_files() -> int:
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0


@contextlib.asynccontextmanager
async def misbehaving(how: Misbehave) -> AsyncIterator[str]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            await how(reader, writer)
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield f"tcp:127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


@pytest.mark.parametrize(
    ("how", "reason", "remedy"), MISBEHAVING, ids=[case[0].__name__ for case in MISBEHAVING]
)
async def test_a_misbehaving_server_costs_one_error_and_leaves_nothing(
    how, reason, remedy, caplog
) -> None:
    before = open_files()
    async with misbehaving(how) as address:
        with pytest.raises(ConnectError) as refused:
            async with connect(f"tls+{address}?ca=ca.pem", FORMAT, connect_timeout=0.2):
                pass
    assert refused.value.step == "tls"
    assert reason in refused.value.reason
    assert remedy in refused.value.remedy
    assert "Traceback" not in caplog.text
    async with asyncio.timeout(10):
        while open_files() > before:
            await asyncio.sleep(0)


# -- PROXY ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [1, 2])
async def test_a_forwarder_names_its_client(version: int) -> None:
    header = ProxyHeader(version=2, source=("192.0.2.1", 5), destination=("192.0.2.2", 53))
    seen: list[Context] = []

    async def note(line: str, context: Context) -> str:
        seen.append(context)
        return line

    listen = "proxy+tcp:127.0.0.1:0?proxy.from=127.0.0.1"
    async with Server(lines.serve(note), listen) as server:
        received = asyncio.get_running_loop().create_future()

        class Once(asyncio.Protocol):
            def data_received(self, data: bytes) -> None:
                received.set_result(data)

        address = dialled(server, f"proxy.version={version}")
        transport = await dial_stream(address, Once, forwarded=header, timeout_s=10)
        transport.write(b"a\n")
        assert await received == b"a\n"
        transport.close()
    assert str(seen[0].peer) == "192.0.2.1:5"
    proxy = seen[0].via.proxy
    assert proxy is not None
    assert (proxy.version, proxy.destination) == (version, ("192.0.2.2", 53))


async def test_a_client_s_own_connection_says_local() -> None:
    vias.clear()
    async with Server(lines.serve(shout), "proxy+mem:b") as server:
        async with connect(server.addresses[0], FORMAT) as client:
            await client.request("a")
    assert vias[0].proxy is not None
    assert vias[0].proxy.source is None


async def test_datagrams_carry_the_header_too() -> None:
    vias.clear()
    async with Server(
        lines.serve(shout), "proxy+udp:127.0.0.1:0?proxy.from=127.0.0.1", "proxy+memgram:b"
    ) as server:
        for address in server.addresses:
            async with connect(address, FORMAT) as client:
                assert await client.request("hello") == "HELLO"
    assert [via.proxy is not None for via in vias] == [True, True]


async def test_a_server_that_closes_on_the_header_is_noticed() -> None:
    async with misbehaving(_close_at_once) as address:
        transport = await Route(f"proxy+{address}").stream(asyncio.Protocol, timeout_s=10)
        transport.close()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"proxy+tcp:127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(ConnectError, match="Connection refused"):
        await Route(nobody).stream(asyncio.Protocol)
