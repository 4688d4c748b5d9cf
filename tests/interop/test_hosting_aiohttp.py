"""An aiohttp application on every kind of listener, in its own process, queried from outside."""

from __future__ import annotations

import hashlib
import json
import re
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

import aiohttp
import pytest
import trustme
from tests.interop.activation import activated_over_tcp
from tests.processes import PATIENCE_S, ROOT, Running, ready_port

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="systemd is for Linux")

ACTIVATOR = Path(__file__).with_name("activator.py")

PROGRAM = """
import asyncio, hashlib, sys
from pathlib import Path
from aiohttp import WSMsgType, web
from pierhead import run
from pierhead import hosting

async def facts(request):
    via = request.transport.get_extra_info("via")
    return web.json_response(
        {"remote": request.remote, "scheme": request.scheme, "secure": request.secure,
         "via": via.scheme}
    )

async def digest(request):
    seen = hashlib.sha256()
    async for piece in request.content.iter_any():
        seen.update(piece)
    return web.Response(text=seen.hexdigest())

async def file(request):
    return web.FileResponse(Path(__file__).with_name("big.bin"))

async def slow(request):
    print("slow", file=sys.stderr, flush=True)
    await asyncio.sleep(float(request.query["s"]))
    return web.Response(text="done")

async def echo(request):
    ws = web.WebSocketResponse()
    await ws.prepare(request)
    async for message in ws:
        if message.type is WSMsgType.TEXT:
            await ws.send_str(message.data)
    return ws

app = web.Application()
app.add_routes([
    web.get("/", facts), web.put("/digest", digest), web.get("/file", file),
    web.get("/slow", slow), web.get("/echo", echo),
])
run(hosting.aiohttp.serve(app), *sys.argv[1:], drain_timeout=1)
"""

CONTENT = bytes(range(251)) * 10_000


@pytest.fixture
def served(tmp_path: Path) -> list[str]:
    """The command line of the server; addresses follow."""
    program = tmp_path / "web.py"
    program.write_text(PROGRAM)
    (tmp_path / "big.bin").write_bytes(CONTENT)
    return [sys.executable, "-W", "error", str(program)]


@pytest.fixture
def curl(program):
    """Ask for a path with the arguments that lead to the server; return the body."""
    executable = program("curl")

    def ask(*arguments: str, path: str = "", host: str = "http://localhost") -> bytes:
        command = [executable, "-sS", "--fail", "-m", str(PATIENCE_S), *arguments, host + path]
        done = subprocess.run(command, capture_output=True)
        assert done.returncode == 0, done
        return done.stdout

    return ask


def check_everything(curl, *arguments: str, host: str = "http://localhost") -> dict[str, object]:
    """Facts, a file, an upload in chunks, two requests on one connection."""
    assert curl(*arguments, path="/file", host=host) == CONTENT
    upload = [*arguments, "-H", "Transfer-Encoding: chunked", "-T", "-"]
    command = ["curl", "-sS", "-m", str(PATIENCE_S), *upload, f"{host}/digest"]
    done = subprocess.run(command, input=CONTENT, capture_output=True)
    assert done.stdout.decode() == hashlib.sha256(CONTENT).hexdigest(), done
    twice = curl(*arguments, f"{host}/", "-w", " %{num_connects} ", host=host, path="/")
    connects = [end for end in twice.split() if end in (b"0", b"1")]
    # curl 7.88 connects anew for each request to an abstract socket.
    assert connects == [b"1", b"1" if "--abstract-unix-socket" in arguments else b"0"]
    return json.loads(curl(*arguments, host=host, path="/"))


def test_over_tcp(served, curl) -> None:
    with Running([*served, "127.0.0.1:0"]) as running:
        host = f"http://127.0.0.1:{ready_port(running)}"
        facts = check_everything(curl, host=host)
        assert running.stop() == 0
    assert facts == {"remote": "127.0.0.1", "scheme": "http", "secure": False, "via": "tcp"}
    assert [line for line in running.err if "ready" not in line] == [
        "draining; a second signal forces"
    ]


def test_over_a_unix_socket_and_an_abstract_one_of_one_server(served, curl, tmp_path) -> None:
    path, name = tmp_path / "app.sock", f"pierhead-{tmp_path.name}-{tmp_path.parent.name}"
    with Running([*served, f"unix:{path}?mode=0660", f"@{name}"]) as running:
        running.line("ready ")
        assert path.stat().st_mode & 0o777 == 0o660
        for way in (["--unix-socket", str(path)], ["--abstract-unix-socket", name]):
            assert check_everything(curl, *way)["via"] == "unix"
        assert running.stop() == 0
    assert not path.exists()


def test_over_all_sockets_of_the_name_that_the_unit_in_deploy_asks_for(
    served, curl, tmp_path
) -> None:
    unit = (ROOT / "deploy" / "systemd" / "pierhead-web.service").read_text()
    found = re.search(r"^ExecStart=.* (\S+)$", unit, re.MULTILINE)
    assert found
    assert found[1] == "sd-listen:web"
    paths = [tmp_path / name for name in "ab"]
    sockets = [f"web=stream:{path}" for path in paths]
    with Running([sys.executable, str(ACTIVATOR), *sockets, "--", *served, found[1]]) as running:
        running.line("ready ")
        for path in paths:
            assert check_everything(curl, "--unix-socket", str(path))["via"] == "unix"


def test_started_by_the_first_client(program, served, curl) -> None:
    activator = program("systemd-socket-activate")
    running, (_, port) = activated_over_tcp(activator, [], [*served, "sd-listen"])
    with running:
        assert check_everything(curl, host=f"http://127.0.0.1:{port}")["via"] == "tcp"


def test_under_inetd_each_connection_has_a_process_that_ends(program, served, curl) -> None:
    activator = program("systemd-socket-activate")
    running, (_, port) = activated_over_tcp(activator, ["--inetd", "-a"], [*served, "inetd"])
    with running:
        facts = check_everything(curl, host=f"http://127.0.0.1:{port}")
        until = time.monotonic() + PATIENCE_S
        while sum("died with code" in line for line in running.err) < 4:
            running.assert_alive(pause_s=0.05)
            assert time.monotonic() < until, running
    assert facts["remote"] == "127.0.0.1"
    ends = [line.rpartition("with code ")[2] for line in running.err if "with code " in line]
    assert ends == ["0"] * 4


def test_over_tls_the_application_knows_that_it_is_secure(served, curl, tmp_path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    issued = authority.issue_cert("localhost")
    issued.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "cert.pem"))
    with Running([*served, f"tls+127.0.0.1:0?cert={tmp_path}/cert.pem"]) as running:
        host = f"https://localhost:{ready_port(running)}"
        facts = check_everything(curl, "--cacert", str(tmp_path / "ca.pem"), host=host)
        agreed = curl(
            *("--cacert", str(tmp_path / "ca.pem"), "-o", "/dev/null", "-w", "%{http_version}"),
            host=host,
        )
        assert running.stop() == 0
    assert facts == {"remote": "127.0.0.1", "scheme": "https", "secure": True, "via": "tcp"}
    assert agreed == b"1.1"


def test_behind_a_proxy_the_remote_is_the_client(served) -> None:
    with Running([*served, "proxy+127.0.0.1:0?proxy.from=127.0.0.0/8"]) as running:
        with socket.create_connection(("127.0.0.1", ready_port(running)), PATIENCE_S) as client:
            client.sendall(b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 80\r\n")
            client.sendall(b"GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")
            reply = b"".join(iter(lambda: client.recv(4096), b""))
    assert json.loads(reply.partition(b"\r\n\r\n")[2])["remote"] == "192.0.2.7"


@pytest.mark.parametrize("wrapper", ["", "tls+"])
async def test_websockets_talk(served, tmp_path, wrapper) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "cert.pem"))
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    option = f"?cert={tmp_path}/cert.pem" if wrapper else ""
    with Running([*served, f"{wrapper}127.0.0.1:0{option}"]) as running:
        scheme = "wss" if wrapper else "ws"
        url = f"{scheme}://127.0.0.1:{ready_port(running)}/echo"
        async with aiohttp.ClientSession() as session:
            async with session.ws_connect(url, ssl=trusting) as ws:
                for text in ("one", "x" * 200_000, "three"):
                    await ws.send_str(text)
                    assert await ws.receive_str() == text


@pytest.mark.parametrize(("seconds", "is_lost"), [("0.3", False), ("60", True)])
def test_a_stop_answers_or_names_the_request_in_flight(served, program, seconds, is_lost) -> None:
    with Running([*served, "127.0.0.1:0"]) as running:
        url = f"http://127.0.0.1:{ready_port(running)}/slow?s={seconds}"
        asking = subprocess.Popen([program("curl"), "-sS", url], stdout=subprocess.PIPE)
        running.line("slow")
        assert running.stop() == int(is_lost)
        answer, _ = asking.communicate(timeout=PATIENCE_S)
    assert answer == (b"" if is_lost else b"done")
    lost = [line for line in running.err if line.startswith("lost")]
    assert lost == (["lost 1 accepted request"] if is_lost else [])
    assert not any("Traceback" in line for line in running.err), str(running)


def test_a_startup_that_fails_ends_the_program_without_a_traceback(tmp_path: Path) -> None:
    path = tmp_path / "s"
    (tmp_path / "web.py").write_text(
        "from aiohttp import web\n"
        "from pierhead import run\n"
        "from pierhead import hosting\n"
        "async def fail(app):\n"
        "    raise OSError('no database')\n"
        "app = web.Application()\n"
        "app.on_startup.append(fail)\n"
        f"run(hosting.aiohttp.serve(app), 'unix:{path}')\n"
    )
    with Running([sys.executable, "-W", "error", str(tmp_path / "web.py")]) as running:
        assert running.process.wait(PATIENCE_S) == 3
        wait = running.line_or_end("error")
    assert wait == "error: aiohttp: startup failed: OSError: no database"
    assert running.err == [wait]
    assert not path.exists()
