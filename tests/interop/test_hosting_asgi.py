"""One ASGI application by uvicorn and by hypercorn, on every kind of listener, asked by curl."""

from __future__ import annotations

import hashlib
import json
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import trustme
import wsproto
from tests.interop.activation import activated_over_tcp
from tests.processes import PATIENCE_S, Running, may_connect, ready_port, wait_until
from wsproto.events import AcceptConnection, Message, Request

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="systemd is for Linux")

ACTIVATOR = Path(__file__).with_name("activator.py")
ADAPTERS = ("uvicorn", "hypercorn")

PROGRAM = """
import asyncio, hashlib, json, sys
from pierhead import run
from pierhead.hosting import {adapter}

CONTENT = bytes(range(251)) * 10_000

async def live(receive, send):
    for stage in ("startup", "shutdown"):
        await receive()
        print(stage, file=sys.stderr, flush=True)
        await send({{"type": f"lifespan.{{stage}}.complete"}})

async def converse(receive, send):
    await receive()
    await send({{"type": "websocket.accept"}})
    while (event := await receive())["type"] == "websocket.receive":
        await send({{"type": "websocket.send", "text": event["text"].upper()}})

async def digest(receive):
    seen, more = hashlib.sha256(), True
    while more:
        event = await receive()
        seen.update(event["body"])
        more = event["more_body"]
    return seen.hexdigest().encode()

async def answer(scope, receive):
    print("stray")  # must not end up in the protocol
    if scope["path"] == "/file":
        return CONTENT
    if scope["path"] == "/digest":
        return await digest(receive)
    if scope["path"] == "/fail":
        raise RuntimeError("no")
    if scope["path"] == "/slow":
        print("slow", file=sys.stderr, flush=True)
        await asyncio.sleep(float(scope["query_string"]))
    return json.dumps([scope["client"], scope["scheme"], scope["http_version"]]).encode()

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        return await live(receive, send)
    if scope["type"] == "websocket":
        return await converse(receive, send)
    body = await answer(scope, receive)
    length = [(b"content-length", str(len(body)).encode())]
    await send({{"type": "http.response.start", "status": 200, "headers": length}})
    await send({{"type": "http.response.body", "body": body}})

run({adapter}.serve(app), *sys.argv[1:], drain_timeout=1)
"""

CONTENT = bytes(range(251)) * 10_000


@pytest.fixture(params=ADAPTERS)
def adapter(request) -> str:
    return request.param


@pytest.fixture
def served(adapter: str, tmp_path: Path) -> list[str]:
    """The command line of the server; addresses follow."""
    program = tmp_path / "asgi.py"
    program.write_text(PROGRAM.format(adapter=adapter))
    return [sys.executable, "-W", "error", str(program)]


@pytest.fixture
def curl(program):
    """Ask with the arguments that lead to the server; return what is printed."""
    executable = program("curl")

    def ask(*arguments: str, upload: bytes | None = None) -> bytes:
        command = [executable, "-sS", "-m", str(PATIENCE_S), *arguments]
        done = subprocess.run(command, input=upload, capture_output=True)
        assert done.returncode == 0, done
        return done.stdout

    return ask


def check_everything(curl, *way: str, host: str = "http://localhost") -> list[object]:
    """A large response, an upload in chunks, a failure; return who asked and by what."""
    assert curl(*way, f"{host}/file") == CONTENT
    digest = curl(*way, "-H", "Expect:", "-T", "-", f"{host}/digest", upload=CONTENT)
    assert digest.decode() == hashlib.sha256(CONTENT).hexdigest()
    status = ["-o", "/dev/null", "-w", "%{http_code}"]
    assert curl(*way, *status, f"{host}/fail") == b"500"
    return json.loads(curl(*way, f"{host}/"))


def test_over_tcp_with_keep_alive(served, curl) -> None:
    with Running([*served, "127.0.0.1:0"]) as running:
        host = f"http://127.0.0.1:{ready_port(running)}"
        client, scheme, version = check_everything(curl, host=host)
        assert (client[0], scheme, version) == ("127.0.0.1", "http", "1.1")
        connects = curl("-w", " %{num_connects} ", f"{host}/", f"{host}/").split()
        assert [end for end in connects if end in (b"0", b"1")] == [b"1", b"0"]
        assert running.stop() == 0
    assert running.err.index("startup") < running.err.index(running.line("ready "))
    assert running.err[-1] == "shutdown"


def test_over_a_unix_socket_and_an_abstract_one_of_one_server(served, curl, tmp_path) -> None:
    path, name = tmp_path / "app.sock", f"pierhead-{tmp_path.name}-{tmp_path.parent.name}"
    with Running([*served, f"unix:{path}?mode=0660", f"@{name}"]) as running:
        running.line("ready ")
        assert path.stat().st_mode & 0o777 == 0o660
        for way in (["--unix-socket", str(path)], ["--abstract-unix-socket", name]):
            assert check_everything(curl, *way) == [None, "http", "1.1"]
        assert running.stop() == 0
    assert not path.exists()


def test_over_all_sockets_of_a_name_that_systemd_passes(served, curl, tmp_path) -> None:
    paths = [tmp_path / name for name in "ab"]
    sockets = [f"web=stream:{path}" for path in paths]
    command = [sys.executable, str(ACTIVATOR), *sockets, "--", *served, "sd-listen:web"]
    with Running(command) as running:
        running.line("ready ")
        for path in paths:
            assert check_everything(curl, "--unix-socket", str(path))[1] == "http"


def test_started_by_the_first_client(program, served, curl) -> None:
    activator = program("systemd-socket-activate")
    running, (_, port) = activated_over_tcp(activator, [], [*served, "sd-listen"])
    with running:
        client, *_ = check_everything(curl, host=f"http://127.0.0.1:{port}")
        assert client[0] == "127.0.0.1"


def test_under_inetd_each_connection_has_a_process_that_ends(program, served, curl) -> None:
    activator = program("systemd-socket-activate")
    running, (_, port) = activated_over_tcp(activator, ["--inetd", "-a"], [*served, "inetd"])
    with running:
        client, *_ = check_everything(curl, host=f"http://127.0.0.1:{port}")
        until = time.monotonic() + PATIENCE_S
        while sum("died with code" in line for line in running.err) < 4:
            running.assert_alive(pause_s=0.05)
            assert time.monotonic() < until, running
    assert client[0] == "127.0.0.1"
    ends = [line.rpartition("with code ")[2] for line in running.err if "with code " in line]
    assert ends == ["0"] * 4


def test_on_a_pair_of_pipes(program, served, curl, tmp_path) -> None:
    path = tmp_path / "s"
    command = " ".join([*served, "inetd"])
    with Running([program("socat"), f"UNIX-LISTEN:{path},fork", f"EXEC:{command},pipes"]) as super_:
        wait_until(lambda: may_connect(path), super_)
        assert check_everything(curl, "--unix-socket", str(path)) == [None, "http", "1.1"]


@pytest.fixture
def secured(tmp_path: Path) -> tuple[str, list[str]]:
    """An address with TLS, and how curl trusts it."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    issued = authority.issue_cert("localhost")
    issued.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "cert.pem"))
    return f"tls+127.0.0.1:0?cert={tmp_path}/cert.pem", ["--cacert", str(tmp_path / "ca.pem")]


def test_over_tls_the_application_knows_that_it_is_secure(served, adapter, secured, curl) -> None:
    address, trust = secured
    with Running([*served, address]) as running:
        host = f"https://localhost:{ready_port(running)}"
        _, scheme, version = check_everything(curl, *trust, host=host)
        assert (scheme, version) == ("https", "2" if adapter == "hypercorn" else "1.1")
        assert running.stop() == 0


@pytest.mark.parametrize("adapter", ["hypercorn"], indirect=True)
def test_http_2_is_known_beforehand_or_asked_for(served, adapter, curl, tmp_path) -> None:
    path = tmp_path / "app.sock"
    with Running([*served, f"unix:{path}"]) as running:
        running.line("ready ")
        way = ["--unix-socket", str(path)]
        known = check_everything(curl, "--http2-prior-knowledge", *way)
        # curl refuses more than 32 KiB in one read with the response to its upgrade
        # (an error of its own, 16), so that the large file is the second request.
        asked = curl("--http2", *way, "http://localhost/", "http://localhost/file")
        assert asked.endswith(CONTENT)
        for client, scheme, version in (known, json.loads(asked.removesuffix(CONTENT))):
            assert (client, scheme, version) == (None, "http", "2")


def test_behind_a_proxy_the_client_is_whom_it_names(served) -> None:
    with Running([*served, "proxy+127.0.0.1:0?proxy.from=127.0.0.0/8"]) as running:
        with socket.create_connection(("127.0.0.1", ready_port(running)), PATIENCE_S) as client:
            client.sendall(b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 80\r\n")
            client.sendall(b"GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")
            reply = b"".join(iter(lambda: client.recv(4096), b""))
    assert json.loads(reply.partition(b"\r\n\r\n")[2])[0] == ["192.0.2.7", 4711]


def test_websockets_talk(served) -> None:
    with Running([*served, "127.0.0.1:0"]) as running:
        with socket.create_connection(("127.0.0.1", ready_port(running)), PATIENCE_S) as client:
            talk = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
            client.sendall(talk.send(Request(host="localhost", target="/")))
            assert isinstance(next_event(talk, client), AcceptConnection)
            for text in ("one", "two"):
                client.sendall(talk.send(Message(data=text)))
                assert next_event(talk, client).data == text.upper()


def next_event(talk, client):
    while True:
        for event in talk.events():
            return event
        talk.receive_data(client.recv(65_536) or None)


@pytest.mark.parametrize(("seconds", "is_lost"), [("0.3", False), ("60", True)])
def test_a_stop_answers_or_names_the_request_in_flight(served, program, seconds, is_lost) -> None:
    with Running([*served, "127.0.0.1:0"]) as running:
        url = f"http://127.0.0.1:{ready_port(running)}/slow?{seconds}"
        asking = subprocess.Popen([program("curl"), "-sS", url], stdout=subprocess.PIPE)
        running.line("slow")
        assert running.stop() == int(is_lost)
        answer, _ = asking.communicate(timeout=PATIENCE_S)
    assert bool(answer) is not is_lost
    lost = [line for line in running.err if line.startswith("lost")]
    assert lost == (["lost 1 accepted request"] if is_lost else [])
    assert not any("Traceback" in line for line in running.err), str(running)


def test_a_startup_that_fails_ends_the_program_without_a_traceback(adapter, tmp_path) -> None:
    path = tmp_path / "s"
    (tmp_path / "asgi.py").write_text(
        "from pierhead import run\n"
        f"from pierhead.hosting import {adapter}\n"
        "async def app(scope, receive, send):\n"
        "    await receive()\n"
        "    await send({'type': 'lifespan.startup.failed', 'message': 'no database'})\n"
        f"run({adapter}.serve(app), 'unix:{path}')\n"
    )
    with Running([sys.executable, "-W", "error", str(tmp_path / "asgi.py")]) as running:
        assert running.process.wait(PATIENCE_S) == 3
        line = running.line_or_end("error")
    assert line == "error: the application did not start: no database"
    assert running.err == [line]
    assert not path.exists()
