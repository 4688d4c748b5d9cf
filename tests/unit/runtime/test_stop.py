from __future__ import annotations

import contextlib
import signal
import socket
import sys
from pathlib import Path

from tests.warm import Running

PROGRAM = """
import asyncio, sys, time
from contextlib import asynccontextmanager
from pierhead import run
from pierhead.server.endpoint import Application
from pierhead.protocols import lines

{code}

@asynccontextmanager
async def resource():
    yield
    {leave}

endpoint = lines.serve(service)
run(
    Application(endpoints=[(endpoint, ["tcp:127.0.0.1:0", "udp:127.0.0.1:0"])],
                resources=[resource()]),
    drain_timeout=0.3, request_timeout={deadline},
)
"""

SWALLOWS = """
async def service(line, context):
    print("begun", file=sys.stderr, flush=True)
    while True:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            pass
"""

BLOCKS_A_THREAD = """
async def service(line, context):
    def work():
        print("begun", file=sys.stderr, flush=True)
        time.sleep(1000)
    return await asyncio.to_thread(work)
"""

BLOCKS_THE_LOOP = """
async def service(line, context):
    print("begun", file=sys.stderr, flush=True)
    time.sleep(1000)
"""

LEAVES_A_TASK = """
tasks = []

async def stubborn():
    print("begun", file=sys.stderr, flush=True)
    while True:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            pass

async def service(line, context):
    tasks.append(asyncio.create_task(stubborn(), name="stray"))
    return line
"""

PLAIN = """
async def service(line, context):
    print("begun", file=sys.stderr, flush=True)
    return line
"""

SLOW = """
async def service(line, context):
    print("begun", file=sys.stderr, flush=True)
    await asyncio.sleep(1000)
"""


def program(
    tmp_path: Path, code: str, leave: str = "pass", deadline: float = 1000, name: str = "p.py"
) -> Running:
    text = PROGRAM.format(code=code, leave=leave, deadline=deadline)
    (tmp_path / name).write_text(text)
    return Running([sys.executable, name], cwd=tmp_path)


def port(running: Running, scheme: str) -> int:
    words = running.line("ready ").split()
    return int(next(w for w in words if w.startswith(f"{scheme}:")).rpartition(":")[2])


def test_one_signal_ends_a_server_whose_service_does_not_let_go(tmp_path: Path) -> None:
    cases = [
        (code, said, scheme)
        for code, said in (
            (SWALLOWS, "left running"),
            (BLOCKS_A_THREAD, "time"),
            (SLOW, "draining"),
        )
        for scheme in ("tcp", "udp")
    ]
    cases.append((BLOCKS_THE_LOOP, "in service", "tcp"))
    with contextlib.ExitStack() as stack:
        started = []
        for number, (code, _, scheme) in enumerate(cases):
            running = stack.enter_context(program(tmp_path, code, name=f"p{number}.py"))
            kind = socket.SOCK_STREAM if scheme == "tcp" else socket.SOCK_DGRAM
            client = stack.enter_context(socket.socket(type=kind))
            client.connect(("127.0.0.1", port(running, scheme)))
            client.sendall(b"a\n")
            started.append(running)
        for running in started:
            running.line("begun")
            running.process.send_signal(signal.SIGTERM)
        assert [running.process.wait(15) for running in started] == [1] * len(cases)
    for running, (code, said, scheme) in zip(started, cases, strict=True):
        assert any(said in line for line in running.err), str(running)
        if code != BLOCKS_THE_LOOP:  # nothing can be counted there
            assert "lost 1 accepted request" in running.err
            assert client_name(running, scheme).endswith(": drain"), str(running)


def client_name(running: Running, scheme: str) -> str:
    return next(line for line in running.err if line.startswith(f"  {scheme}:127.0.0.1:"))


def test_so_does_one_that_has_left_a_task_behind(tmp_path: Path) -> None:
    with (
        program(tmp_path, LEAVES_A_TASK) as running,
        socket.create_connection(("127.0.0.1", port(running, "tcp")), timeout=10) as client,
    ):
        client.sendall(b"a\n")
        assert client.recv(10) == b"a\n"
        running.line("begun")
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(15) == 1
    assert any("stray at " in line and "stubborn" in line for line in running.err), str(running)


def test_however_many_tasks_are_left_behind_one_line_names_some(tmp_path: Path) -> None:
    code = LEAVES_A_TASK.replace("    tasks.append(", "    for _ in range(500): tasks.append(")
    with (
        program(tmp_path, code) as running,
        socket.create_connection(("127.0.0.1", port(running, "tcp")), timeout=10) as client,
    ):
        client.sendall(b"a\n")
        assert client.recv(10) == b"a\n"
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(15) == 1
    (line,) = [line for line in running.err if "left running" in line]
    assert "500 tasks (stray at " in line, str(running)
    assert "and 497 more" in line
    assert len([line for line in running.err if "stray" in line]) == 1


def test_so_does_one_whose_resource_does_not_close(tmp_path: Path) -> None:
    swallow = SWALLOWS.replace("service(line, context)", "swallow()")
    ways = [
        "await asyncio.sleep(1000)",
        "time.sleep(1000)",
        "await asyncio.to_thread(time.sleep, 1000)",
        "await swallow()",
    ]
    with contextlib.ExitStack() as stack:
        started = [
            stack.enter_context(program(tmp_path, PLAIN + swallow, leave, name=f"p{number}.py"))
            for number, leave in enumerate(ways)
        ]
        for running in started:
            running.line("ready")
            running.process.send_signal(signal.SIGTERM)
        assert [running.process.wait(15) for running in started] == [1] * len(ways)
    for running in started:
        begin = ("forced", "left running")
        assert any(line.startswith(begin) for line in running.err), str(running)


def test_a_thread_whose_deadline_has_answered_is_waited_for(tmp_path: Path) -> None:
    code = BLOCKS_A_THREAD.replace("1000", "0.4")
    text = PROGRAM.format(code=code, leave="pass", deadline=0.1)
    (tmp_path / "p.py").write_text(text.replace("drain_timeout=0.3", "drain_timeout=10"))
    with (
        Running([sys.executable, "p.py"], cwd=tmp_path) as running,
        socket.create_connection(("127.0.0.1", port(running, "tcp")), timeout=10) as client,
    ):
        client.sendall(b"a\n")
        running.line("begun")
        assert client.recv(10) == b""  # lines have no refusal: the connection ends
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(15) == 0


def test_a_stop_that_loses_nothing_is_a_success(tmp_path: Path) -> None:
    with (
        program(tmp_path, PLAIN) as running,
        socket.create_connection(("127.0.0.1", port(running, "tcp")), timeout=10) as client,
    ):
        client.sendall(b"a\n")
        assert client.recv(10) == b"a\n"
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(15) == 0
