"""uvicorn's options: which keep their meaning, and which Pierhead replaces."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import uvicorn
from uvicorn.importer import ImportFromStringError, import_from_string
from uvicorn.protocols.http.h11_impl import H11Protocol

from pierhead.errors import StartupError, UsageError
from pierhead.hosting.refusal import (
    ADDRESSES,
    BACKLOG,
    CERTIFICATE,
    EVENT_LOOP,
    PROCESSES,
    SUPERVISOR,
    replaced,
    unknown,
)

__all__ = ["config_for", "load"]

_RELOAD = "have a file watcher restart the program"

#: Options of uvicorn that are refused, and what to use instead.
REPLACED: Mapping[str, str] = {
    "host": ADDRESSES,
    "port": ADDRESSES,
    "uds": ADDRESSES,
    "fd": "write fd:N or sd-listen as an address",
    "backlog": BACKLOG,
    "loop": EVENT_LOOP,
    "http2": "serve the application with pierhead.hosting.hypercorn",
    "workers": PROCESSES,
    "reload": _RELOAD,
    "reload_dirs": _RELOAD,
    "reload_delay": _RELOAD,
    "reload_includes": _RELOAD,
    "reload_excludes": _RELOAD,
    "limit_concurrency": "give max_connections to run or Server, or maxconn= to an address",
    "limit_max_requests": SUPERVISOR,
    "limit_max_requests_jitter": SUPERVISOR,
    "timeout_graceful_shutdown": "give drain_timeout to run or Server",
    "timeout_worker_healthcheck": SUPERVISOR,
    "timeout_notify": "start a task in the application's lifespan",
    "callback_notify": "start a task in the application's lifespan",
    "ssl_keyfile": CERTIFICATE,
    "ssl_certfile": CERTIFICATE,
    "ssl_keyfile_password": CERTIFICATE,
    "ssl_version": CERTIFICATE,
    "ssl_cert_reqs": CERTIFICATE,
    "ssl_ca_certs": CERTIFICATE,
    "ssl_ciphers": CERTIFICATE,
    "ssl_context_factory": CERTIFICATE,
}

#: Defaults that differ from uvicorn's.
_OUR_DEFAULTS: Mapping[str, Any] = {"log_config": None, "proxy_headers": False, "workers": 1}

#: Values of a ready configuration that mean "not given", beside the default.
_EMPTY: tuple[Any, ...] = (None, [], 0)

_PROTOCOLS: tuple[type, ...] = (H11Protocol,)
try:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
except ModuleNotFoundError:  # uvicorn works without httptools
    pass
else:
    _PROTOCOLS = (H11Protocol, HttpToolsProtocol)


def config_for(app: Any, options: Mapping[str, Any]) -> uvicorn.Config:
    """Return the configuration for an application; a ready one is only checked.

    Raises:
        UsageError: an option is unknown, or is not uvicorn's here.
    """
    given: object = app
    if isinstance(given, uvicorn.Config):
        if options:
            raise UsageError(
                f"a uvicorn.Config has its own options; set {', '.join(options)} in it"
            )
        _check_ready(given)
        return given
    if not isinstance(given, str) and not callable(given):
        raise UsageError(
            f"{given!r} is not an ASGI application; expected one, 'module:name' or a uvicorn.Config"
        )
    known = inspect.signature(uvicorn.Config).parameters.keys() - {"app"}
    for option in options:
        if option in REPLACED:
            raise replaced("uvicorn", option, REPLACED[option])
        if option not in known:
            raise unknown("uvicorn", option, known - REPLACED.keys())
    return uvicorn.Config(app, **{**_OUR_DEFAULTS, **options})


def load(config: uvicorn.Config) -> None:
    """Load the application and the protocol classes, once.

    Raises:
        StartupError: there is no such application.
        UsageError: the protocol class cannot be served here.
    """
    if not config.loaded:
        try:
            config.app = import_from_string(config.app)
            config.load()
        except ImportFromStringError as error:
            raise StartupError(f"the application cannot be loaded: {error}") from None
        except SystemExit:  # uvicorn exits when a factory cannot be called
            raise StartupError(
                f"the application cannot be loaded: {config.app!r} cannot be called without "
                "arguments, as factory=True requires"
            ) from None
        config.loaded_app = _given_up_quietly(config.loaded_app)
    if not issubclass(config.http_protocol_class, _PROTOCOLS):
        raise UsageError(
            f"uvicorn's {config.http_protocol_class.__name__} cannot be served here; expected "
            "http='httptools', http='h11' or a subclass of those protocols"
        )


def _given_up_quietly(app: Callable[..., Awaitable[object]]) -> Callable[..., Awaitable[object]]:
    """Wrap the application so that cancellation by the server is not logged as a failure.

    uvicorn logs a cancelled request with a traceback; its loss has been reported by name.
    """

    async def run(scope: Any, receive: Any, send: Any) -> object:
        try:
            return await app(scope, receive, send)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or not task.cancelling():
                raise  # the application cancelled itself
            return None

    return run


def _check_ready(config: uvicorn.Config) -> None:
    """Refuse settings of a ready configuration that differ from the defaults."""
    for option, parameter in inspect.signature(uvicorn.Config).parameters.items():
        if option not in REPLACED or option == "workers":
            continue
        value = getattr(config, option, parameter.default)
        if value != parameter.default and value not in _EMPTY:
            raise replaced("uvicorn", option, REPLACED[option])
    if config.workers > 1:
        raise replaced("uvicorn", "workers", REPLACED["workers"])
