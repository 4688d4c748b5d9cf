"""granian's own processes on our sockets, from the first address to the stop."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from tests.processes import PATIENCE_S, Running, may_connect, wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="abstract names, systemd")

ACTIVATOR = Path(__file__).with_name("activator.py")

PROGRAM = """
import asyncio, multiprocessing, os, sys
from pierhead import hosting

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            event = await receive()
            await send({"type": event["type"] + ".complete"})
            if event["type"] == "lifespan.shutdown":
                return
    if scope["path"] == "/slow":
        print("begun", file=sys.stderr, flush=True)
        await asyncio.sleep(0.5)
    body = f"{scope['path']} {os.getpid()}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})

def wsgi(environ, start_response):
    start_response("200 OK", [])
    return [f"{environ['PATH_INFO']} {os.getpid()}".encode()]

if __name__ == "__main__":
    if "--wsgi" in sys.argv:
        hosting.granian.run(wsgi, *sys.argv[2:], interface="wsgi")
        sys.exit()
    if "--spawn" in sys.argv:
        sys.argv.remove("--spawn")
        multiprocessing.set_start_method("spawn")
    target = "served:app" if "--by-name" in sys.argv else app
    addresses = [one for one in sys.argv[1:] if one != "--by-name"]
    hosting.granian.run(target, *addresses, interface="asgi", respawn_interval=0.1)
"""


@pytest.fixture
def program_file(tmp_path: Path) -> Path:
    path = tmp_path / "served.py"
    path.write_text(PROGRAM)
    return path


@pytest.fixture
def serve(program_file: Path):
    """Start the program on some addresses; it serves when this returns."""
    with contextlib.ExitStack() as stack:

        def start(*arguments: str) -> Running:
            command = [sys.executable, "-W", "error", str(program_file), *arguments]
            running = stack.enter_context(Running(command, cwd=program_file.parent))
            running.line("ready")
            return running

        yield start


def bound(running: Running) -> list[str]:
    return running.line("ready").split()[1:]


def ask(where: str | tuple[str, int], path: str = "/") -> tuple[str, str]:
    """Return the path that the application saw, and the number of its process."""
    family = socket.AF_INET if isinstance(where, tuple) else socket.AF_UNIX
    with socket.socket(family) as client:
        client.settimeout(PATIENCE_S)
        client.connect(where)
        client.sendall(b"GET %b HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n" % path.encode())
        reply = b"".join(iter(lambda: client.recv(1000), b""))
    assert reply.startswith(b"HTTP/1.1 200"), reply
    path, number = reply.partition(b"\r\n\r\n")[2].decode().split()
    return path, number


def inet(address: str) -> tuple[str, int]:
    host, port = address.removeprefix("tcp:").rsplit(":", 1)
    return host, int(port)


@pytest.mark.parametrize("flags", [(), ("--by-name",), ("--by-name", "--spawn")])
def test_tcp_unix_and_abstract_are_served_side_by_side(serve, flags, tmp_path: Path) -> None:
    name = f"pierhead-{tmp_path.name}-{tmp_path.parent.name}"
    path = tmp_path / "s"
    running = serve(*flags, "127.0.0.1:0", f"unix:{path}?mode=0600", f"@{name}")
    tcp, unix, abstract = bound(running)
    assert (unix, abstract) == (f"unix:{path}", f"unix:@{name}")
    answers = [ask(inet(tcp), "/a"), ask(str(path), "/b"), ask(f"\0{name}", "/c")]
    assert [path for path, _ in answers] == ["/a", "/b", "/c"]
    assert len({number for _, number in answers}) == 3  # a worker for each
    assert running.stop() == 0
    assert not path.exists()
    assert not path.with_name("s.lock").exists()
    assert "Traceback" not in str(running)


def test_stopping_answers_what_was_accepted_and_takes_no_more(serve, tmp_path: Path) -> None:
    running = serve(f"unix:{tmp_path}/s")
    answers: list[str] = []
    asking = threading.Thread(target=lambda: answers.append(ask(f"{tmp_path}/s", "/slow")[0]))
    asking.start()
    running.line("begun")
    running.process.send_signal(signal.SIGTERM)
    asking.join(PATIENCE_S)
    assert answers == ["/slow"]
    # Not a second signal: Python restores the default handlers while it exits, and the program
    # would end by the signal now and then.
    assert running.process.wait(PATIENCE_S) == 0
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("attempt", range(3))
def test_all_processes_signalled_at_once_stop_together(serve, tmp_path: Path, attempt: int) -> None:
    running = serve("127.0.0.1:0", f"unix:{tmp_path}/s")
    assert ask(f"{tmp_path}/s", "/a")[0] == "/a"
    assert running.stop(whole_group=True) == 0


@pytest.mark.parametrize("flags", [(), ("--by-name", "--spawn")])
def test_a_stop_is_not_lost_on_workers_that_have_not_begun(serve, flags, tmp_path: Path) -> None:
    running = serve(*flags, f"unix:{tmp_path}/s", f"unix:{tmp_path}/t")
    assert running.stop() == 0
    assert not (tmp_path / "s").exists()


def test_a_wsgi_application_is_served_and_stopped(serve, tmp_path: Path) -> None:
    running = serve("--wsgi", f"unix:{tmp_path}/s")
    assert ask(f"{tmp_path}/s", "/w")[0] == "/w"
    assert running.stop() == 0
    assert not (tmp_path / "s").exists()


def test_a_reload_replaces_the_workers_and_keeps_the_sockets(serve, tmp_path: Path) -> None:
    path = f"{tmp_path}/s"
    running = serve("--by-name", f"unix:{path}")
    first = ask(path)[1]
    inode = Path(path).stat().st_ino
    running.process.send_signal(signal.SIGHUP)
    wait_until(lambda: any("Stopped old worker-1" in line for line in said(running)), running)
    assert ask(path)[1] != first
    assert Path(path).stat().st_ino == inode


def said(running: Running) -> list[str]:
    return [*running.out, *running.err]


def test_a_worker_that_cannot_load_the_application_ends_it_and_leaves_nothing(
    tmp_path: Path,
) -> None:
    code = (
        "from pierhead import hosting\n"
        f"hosting.granian.run('nowhere:app', 'unix:{tmp_path}/s', interface='asgi')\n"
    )
    with Running([sys.executable, "-c", code], cwd=tmp_path) as running:
        assert running.process.wait(PATIENCE_S) == 1
    assert any("Could not import 'nowhere'" in line for line in said(running)), str(running)
    assert list(tmp_path.iterdir()) == []


def test_an_address_in_use_is_a_message_and_no_traceback(serve, program_file, tmp_path) -> None:
    serve(f"unix:{tmp_path}/s")
    again = [sys.executable, str(program_file), f"unix:{tmp_path}/s"]
    with Running(again, cwd=tmp_path) as second:
        assert second.process.wait(PATIENCE_S) == 3
    assert second.err == [
        f"error: cannot listen on unix:{tmp_path}/s: lock: another server of this kind serves it",
        "  stop it first, or choose another path",
    ]
    assert ask(f"{tmp_path}/s")[0] == "/"


def test_systemds_own_activator_is_served(program, program_file, tmp_path: Path) -> None:
    activator = program("systemd-socket-activate")
    path = tmp_path / "s"
    command = [activator, "-l", str(path), "--fdname=web", sys.executable, str(program_file)]
    with Running([*command, "sd-listen:web"], cwd=tmp_path) as running:
        wait_until(lambda: may_connect(path), running)
        assert ask(str(path), "/x")[0] == "/x"
        assert running.stop() == 0
    assert path.exists()  # systemd's to remove


def test_several_passed_sockets_are_served_by_name(program_file, tmp_path: Path) -> None:
    sockets = [f"a=stream:{tmp_path}/a", f"b=stream:{tmp_path}/b"]
    command = [sys.executable, str(ACTIVATOR), *sockets, "--"]
    command += [sys.executable, str(program_file), "sd:a", "sd:b"]
    with Running(command, cwd=tmp_path) as running:
        running.line("ready")
        assert [ask(f"{tmp_path}/{name}", f"/{name}")[0] for name in "ab"] == ["/a", "/b"]
        assert running.stop() == 0


def test_a_listening_socket_on_standard_input_is_served(program_file, tmp_path: Path) -> None:
    """As inetd's ``wait`` passes it."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"{tmp_path}/s")
        listening.listen()
        process = subprocess.Popen(
            [sys.executable, str(program_file), "inetd:?mode=wait"],
            cwd=tmp_path,
            stdin=listening,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    try:
        assert ask(f"{tmp_path}/s", "/wait")[0] == "/wait"
    finally:
        process.terminate()
        assert process.wait(PATIENCE_S) == 0
