"""What we rely on in granian, which it does not promise: one test for each."""

from __future__ import annotations

import asyncio
import inspect
import signal
import socket
from types import SimpleNamespace

import pytest
from granian.constants import Interfaces
from granian.net import SocketHolder
from granian.server import Server

from pierhead.errors import UsageError
from pierhead.hosting.granian import server as granian_server
from pierhead.hosting.granian.server import SocketsServer
from pierhead.listener.listening_sockets import listening_sockets


@pytest.fixture
def server():
    """Makes a server on some addresses; what its workers would get is in ``spawned``."""

    def make(listening, stop=lambda: None, **options):
        return SocketsServer("nowhere:app", listening, stop, {"log_enabled": False, **options})

    return make


@pytest.fixture
def spawned(monkeypatch):
    """What granian is about to start its workers with."""
    holders = []

    def spawn(self, idx, target, callback_loader):
        holders.append((idx, self._shd.__getstate__(), self._ssp, self._sso))
        return SimpleNamespace(start=lambda: None)

    monkeypatch.setattr(Server, "_spawn_worker", spawn)
    return holders


def test_a_holder_is_made_of_a_descriptor_its_kind_and_a_backlog():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        holder = SocketHolder(sock.fileno(), True, 77)
        assert holder.get_fd() == sock.fileno()
        assert holder.is_uds() is True
        assert holder.__getstate__() == (sock.fileno(), True, 77)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("_init_shared_socket", ["self"]),
        ("_drop_shared_socket", ["self"]),
        ("signal_handler_interrupt", ["self", "args", "kwargs"]),
        ("shutdown", ["self", "exit_code"]),
        ("_spawn_worker", ["self", "idx", "target", "callback_loader"]),
    ],
)
def test_what_is_put_in_place_of_granians_own_is_there(name, parameters):
    assert list(inspect.signature(getattr(Server, name)).parameters) == parameters


def test_what_a_serving_worker_runs_is_called_as_we_look_for_it():
    for name in ("_spawn_asgi_worker", "_spawn_asgi_lifespan_worker", "_spawn_rsgi_worker"):
        source = inspect.getsource(getattr(Server, name).__wrapped__)
        assert f"loop.run_until_complete({granian_server._SERVING}())" in source


def test_granian_starts_binds_spawns_and_stops_in_this_order(server, monkeypatch):
    """Stop listening comes before the workers end, and ``ready`` before they begin."""
    steps = []
    with listening_sockets("127.0.0.1:0") as listening:
        made = server(listening, lambda: steps.append("stop listening"))
        for name in ("_spawn_workers", "_stop_workers"):
            monkeypatch.setattr(made, name, lambda *_, name=name: steps.append(name))
        monkeypatch.setattr("granian.server.common.set_main_signals", lambda *_: None)
        made.on_startup(lambda: steps.append("ready"))
        made.startup(None, None)
        made.shutdown()
    assert steps == ["ready", "_spawn_workers", "stop listening", "_stop_workers"]


def test_each_worker_gets_one_of_our_sockets_and_its_backlog(server, spawned, tmp_path):
    with listening_sockets(f"unix:{tmp_path}/s?backlog=7", "127.0.0.1:0") as listening:
        made = server(listening, workers=2, backlog=300)
        made._init_shared_socket()
        assert made.workers == 4
        for idx in range(made.workers):
            made._spawn_worker(idx, None, None)
        unix, tcp = listening.sockets
        assert spawned == [
            (0, (unix.fileno(), True, 7), None, unix),
            (1, (tcp.fileno(), False, 300), None, tcp),
            (2, (unix.fileno(), True, 7), None, unix),
            (3, (tcp.fileno(), False, 300), None, tcp),
        ]


def test_more_addresses_do_not_lower_what_a_worker_takes_at_a_time(server):
    with listening_sockets("127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0") as listening:
        assert server(listening, workers=2).backpressure == 512
        assert server(listening, backpressure=9).backpressure == 9


def test_granian_logs_where_it_really_listens(server, tmp_path):
    with listening_sockets("127.0.0.1:0", f"unix:{tmp_path}/s") as listening:
        port = listening.sockets[0].getsockname()[1]
        assert server(listening)._bind_addr_fmt == f"127.0.0.1:{port}, unix:{tmp_path}/s"


@pytest.mark.parametrize("name", granian_server.REPLACED)
def test_options_that_say_where_to_listen_are_refused(name):
    with pytest.raises(UsageError, match=f"^granian's {name} has no effect here: "):
        granian_server.serve("nowhere:app", ["127.0.0.1:0"], {name: "x"})


def test_unknown_options_and_interfaces_are_refused_with_the_nearest():
    with pytest.raises(UsageError, match="did you mean workers"):
        granian_server.serve("nowhere:app", ["127.0.0.1:0"], {"worker": 2})
    with pytest.raises(UsageError, match="expected one of asgi, asginl, rsgi, wsgi"):
        granian_server.serve("nowhere:app", ["127.0.0.1:0"], {"interface": "cgi"})
    with pytest.raises(UsageError, match=r"expected one of .*workers"):
        granian_server.serve("nowhere:app", ["127.0.0.1:0"], {"zzz": 2})


def test_what_granian_itself_refuses_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="blocking_threads"):
        granian_server.serve(
            "nowhere:app",
            [f"unix:{tmp_path}/s"],
            {"blocking_threads": 5, "interface": Interfaces.ASGI, "log_enabled": False},
        )
    assert list(tmp_path.iterdir()) == []


def test_a_worker_starts_with_the_signals_kept_back_that_stop_it():
    seen = []
    granian_server._start(lambda: seen.append(signal.pthread_sigmask(signal.SIG_BLOCK, ())))
    assert seen[0] >= {signal.SIGTERM, signal.SIGINT}
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ()) & seen[0]


def test_a_worker_has_its_signals_once_it_serves():
    seen = []

    async def _startup():
        await asyncio.sleep(granian_server._LOOK_AGAIN_S * 2)
        seen.append(signal.pthread_sigmask(signal.SIG_BLOCK, ()))

    async def _main():
        while signal.pthread_sigmask(signal.SIG_BLOCK, ()):
            await asyncio.sleep(0)

    def load():
        seen.append(signal.pthread_sigmask(signal.SIG_BLOCK, ()))
        return "application"

    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        granian_server._start(lambda: seen.append(granian_server._load(load, True)))
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
        loop.run_until_complete(_startup())
        loop.run_until_complete(_main())
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGINT})
        asyncio.set_event_loop(None)
        loop.close()
    assert seen[1] == "application"
    assert seen[0] == seen[2] == {signal.SIGTERM, signal.SIGINT}


def test_a_worker_that_ends_by_the_signal_that_we_got_too_has_not_failed(server):
    with listening_sockets("127.0.0.1:0") as listening:
        it = server(listening)
        it.wrks = [SimpleNamespace(interrupt_by_parent=False) for _ in range(2)]
        it.signal_handler_interrupt(signal.SIGTERM, None)
        assert all(worker.interrupt_by_parent for worker in it.wrks)
        assert it.interrupt_signal


@pytest.mark.parametrize("is_told", [True, False])
def test_a_worker_that_exits_before_our_signal_arrives_has_not_failed(server, monkeypatch, is_told):
    left = []
    monkeypatch.setattr(Server, "shutdown", lambda it, code=0: left.extend(it.interrupt_children))
    with listening_sockets("127.0.0.1:0") as listening:
        it = server(listening)
        it.wrks = []
        it.interrupt_children = [0]
        if is_told:
            it.signal_handler_interrupt(signal.SIGTERM, None)
        it.shutdown()
    assert left == ([] if is_told else [0])


@pytest.mark.parametrize(("given", "expected"), [({}, 10), ({"workers_kill_timeout": 3}, 3)])
def test_a_stop_does_not_wait_for_ever(server, given, expected):
    with listening_sockets("127.0.0.1:0") as listening:
        assert server(listening, **given).workers_kill_timeout == expected
