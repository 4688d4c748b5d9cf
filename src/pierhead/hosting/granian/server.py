"""granian's server with our sockets in place of its own; needs granian 2.8.

granian binds by itself and has no option for an existing socket. The hooks between the two are
here, and nothing else: `_init_shared_socket` would bind, `_spawn_worker` passes a worker its socket
(`SocketHolder`), `_drop_shared_socket` stops listening, `_bind_addr_fmt` is what it logs; a serving
worker runs a task called `_main`.
`tests/unit/hosting/test_granian_server.py` has a test for each.
"""

from __future__ import annotations

import asyncio
import inspect
import signal
import socket
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

from granian.constants import Interfaces
from granian.errors import FatalError
from granian.net import SocketHolder  # type: ignore[attr-defined]  # its stub is stricter
from granian.server import Server

from pierhead.address import ListenSpec
from pierhead.address.registry import BACKLOG
from pierhead.errors import ListenError, UsageError
from pierhead.hosting.refusal import ADDRESSES, replaced, unknown
from pierhead.listener.listening_sockets import ListeningSockets, listening_sockets

__all__ = ["SocketsServer", "serve"]

#: Options that say where to listen, which addresses do here.
REPLACED = {
    "address": ADDRESSES,
    "port": ADDRESSES,
    "uds": ADDRESSES,
    "uds_permissions": "write it into the address: 'unix:/run/app.sock?mode=0660'",
}
_BACKLOG = 1024
#: How long workers may take to stop: the server's ``drain_timeout``.
_STOP_S = 10
#: The task that a granian worker runs for as long as it serves.
_SERVING = "_main"
_LOOK_AGAIN_S = 0.01
_STOPPING = (signal.SIGTERM, signal.SIGINT)
#: Windows has none, and no fork either.
_mask = getattr(signal, "pthread_sigmask", None)


def serve(
    target: str | Callable[..., Any],
    addresses: Sequence[str | ListenSpec],
    options: Mapping[str, Any],
) -> None:
    """Open the addresses and run granian on them until a signal.

    Raises:
        UsageError: an option that granian does not have, or rejects; an address (see
            `listening_sockets`).
        SystemExit: a worker failed; granian has logged why.
    """
    given = _checked(options)
    loader = None if isinstance(target, str) else partial(_given, target)
    with ExitStack() as stack:
        listening = stack.enter_context(listening_sockets(*addresses))
        _check_families(listening)
        server = SocketsServer(target, listening, stack.close, given)
        server.on_startup(partial(_say_ready, listening))
        try:
            server.serve(target_loader=loader, wrap_loader=False)
        except FatalError as error:  # it has logged the reason
            raise UsageError(f"granian rejects this configuration: {error}") from None


class SocketsServer(Server):  # type: ignore[misc, valid-type]  # one of two, by build of Python
    """granian's server over sockets that already listen, ``workers`` processes for each.

    Args:
        target: the application.
        listening: the sockets.
        stop_listening: closes them; called once, before the workers are told to stop.
        options: granian's own.
    """

    _shd: Any
    _sso: Any

    def __init__(
        self,
        target: str | Callable[..., Any],
        listening: ListeningSockets,
        stop_listening: Callable[[], None],
        options: Mapping[str, Any],
    ) -> None:
        each = max(1, options.get("workers", 1))
        backlog = options.get("backlog", _BACKLOG)
        limits = {
            "backlog": backlog,
            "backpressure": max(1, backlog // each),
            # granian waits forever, and its workers were seen to miss the signal.
            "workers_kill_timeout": _STOP_S,
        }
        workers = each * len(listening.sockets)
        super().__init__(target, **{**limits, **options, "workers": workers})
        self._listening = listening
        self._stop_listening = stop_listening

    @property
    def _bind_addr_fmt(self) -> str:
        return ", ".join(one.removeprefix("tcp:") for one in self._listening.addresses)

    def signal_handler_interrupt(self, *args: Any, **kwargs: Any) -> None:
        """Stop; a worker that received the same signal and exits first has not failed.

        Supervisors and terminals signal all processes of a service at once.
        """
        for worker in self.wrks:
            worker.interrupt_by_parent = True
        super().signal_handler_interrupt(*args, **kwargs)

    def shutdown(self, exit_code: int = 0) -> None:
        """Exit; a worker that ended before the signal arrived here has not failed either."""
        if self.interrupt_signal:
            self.interrupt_children.clear()
        super().shutdown(exit_code)

    def _init_shared_socket(self) -> None:
        """Bind nothing."""
        self._ssp = self._shd = self._sso = None

    def _spawn_worker(self, idx: int, target: Any, callback_loader: Any) -> Any:
        place = idx % len(self._listening.sockets)
        sock, spec = self._listening.sockets[place], self._listening.specs[place]
        # A worker calls listen again, with this backlog.
        backlog = spec.options.get(BACKLOG.key, self.backlog)
        is_unix = sock.family == socket.AF_UNIX
        # A process that is not forked receives the descriptor through the socket object.
        self._sso = sock
        self._shd = SocketHolder(sock.fileno(), is_unix, backlog)  # type: ignore[call-arg]
        load = partial(_load, callback_loader, self.interface != Interfaces.WSGI)
        worker = super()._spawn_worker(idx, target, load)
        worker.start = partial(_start, worker.start)
        return worker

    def _drop_shared_socket(self) -> None:
        self._stop_listening()


def _start(start: Callable[[], None]) -> None:
    """Start a worker with signals blocked until it can handle them.

    A worker starts with its parent's handlers: it would take a signal to be meant for its parent
    and ignore it, and granian would wait forever for it to exit. Repeating the signal until it
    exits does not work: granian 2.8 was seen to hang when signals arrived during its last
    responses.
    """
    if _mask is None:
        start()
        return
    before = _mask(signal.SIG_BLOCK, _STOPPING)
    try:
        start()
    finally:
        _mask(signal.SIG_SETMASK, before)


def _load(load: Callable[[], Any], has_loop: bool) -> Any:
    """Load the application in a worker, and unblock signals once it can handle them."""
    if _mask is not None and threading.current_thread() is threading.main_thread():
        if has_loop:
            _unblock_when_serving(asyncio.get_event_loop_policy().get_event_loop())
        else:  # at once: threads started with signals blocked keep them blocked
            for number in _STOPPING:
                signal.signal(number, signal.SIG_DFL)
            _mask(signal.SIG_UNBLOCK, _STOPPING)
    return load()


def _unblock_when_serving(loop: asyncio.AbstractEventLoop) -> None:
    """Unblock a worker's signals once it serves.

    Before that, the loop may be running the application's lifespan, and a signal would be lost too.
    """
    assert _mask is not None
    if any(_name_of(task) == _SERVING for task in asyncio.all_tasks(loop)):
        _mask(signal.SIG_UNBLOCK, _STOPPING)
    else:
        loop.call_later(_LOOK_AGAIN_S, _unblock_when_serving, loop)


def _name_of(task: asyncio.Task[Any]) -> str:
    return getattr(task.get_coro(), "__name__", "")


def _given(application: Callable[..., Any]) -> Callable[..., Any]:
    return application


def _check_families(listening: ListeningSockets) -> None:
    known = (socket.AF_INET, socket.AF_INET6, getattr(socket, "AF_UNIX", None))
    for sock, spec in zip(listening.sockets, listening.specs, strict=True):
        if sock.family not in known:
            reason = "granian accepts only TCP and UNIX connections"
            remedy = "write tcp: or unix:, or serve with another server"
            raise ListenError(str(spec), "granian", reason, remedy)


def _checked(options: Mapping[str, Any]) -> dict[str, Any]:
    known = inspect.signature(Server.__init__).parameters.keys() - {"self", "target"}
    for name in options:
        if name in REPLACED:
            raise replaced("granian", name, REPLACED[name])
        if name not in known:
            raise unknown("granian", name, known - REPLACED.keys())
    if "interface" in options:
        _check_interface(options["interface"])
    return dict(options)


def _check_interface(name: object) -> None:
    known = [one.value for one in Interfaces]
    if name not in known:
        raise UsageError(f"granian has no interface {name!r}; expected one of {', '.join(known)}")


def _say_ready(listening: ListeningSockets) -> None:
    print("ready", *listening.addresses, file=sys.stderr, flush=True)
