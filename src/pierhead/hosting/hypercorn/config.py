"""hypercorn's configuration: which settings keep their meaning, and which Pierhead replaces."""

from __future__ import annotations

import importlib
import logging
import operator
from collections.abc import Mapping
from typing import Any, cast

from hypercorn.config import Config
from hypercorn.typing import AppWrapper
from hypercorn.utils import wrap_app

from pierhead.errors import StartupError, UsageError
from pierhead.hosting.refusal import (
    ADDRESSES,
    BACKLOG,
    CERTIFICATE,
    EVENT_LOOP,
    PROCESSES,
    SUPERVISOR,
    replaced,
)

__all__ = ["checked", "loaded"]

_UNIX = "write it into the address: 'unix:/run/app.sock?mode=0660&user=www'"
_STATSD = "Server keeps its own metrics: read server.metrics"

#: Attributes of hypercorn's configuration that are refused, and what to use instead.
REPLACED: Mapping[str, str] = {
    "application_path": "pass the application to serve, as 'module:name'",
    "bind": ADDRESSES,
    "insecure_bind": ADDRESSES,
    "quic_bind": "HTTP/3 is not served: hypercorn supports it only on its own sockets",
    "backlog": BACKLOG,
    "ca_certs": CERTIFICATE,
    "certfile": CERTIFICATE,
    "ciphers": CERTIFICATE,
    "keyfile": CERTIFICATE,
    "keyfile_password": CERTIFICATE,
    "verify_flags": CERTIFICATE,
    "verify_mode": CERTIFICATE,
    "ssl_handshake_timeout": "give handshake_timeout to run or Server",
    "graceful_timeout": "give drain_timeout to run or Server",
    "daemon": SUPERVISOR,
    "debug": "set PYTHONASYNCIODEBUG=1",
    "group": _UNIX,
    "umask": _UNIX,
    "user": _UNIX,
    "max_requests": SUPERVISOR,
    "max_requests_jitter": SUPERVISOR,
    "pid_path": SUPERVISOR,
    "dogstatsd_tags": _STATSD,
    "statsd_host": _STATSD,
    "statsd_prefix": _STATSD,
    "use_reloader": "have a file watcher restart the program",
    "worker_class": EVENT_LOOP,
    "workers": PROCESSES,
}


def checked(app: object, config: Config | None) -> Config:
    """Return the configuration to use.

    Raises:
        UsageError: it sets something that is not hypercorn's here, or is not a configuration.
    """
    if not isinstance(app, str) and not callable(app):
        raise UsageError(f"{app!r} is not an application; expected one, or 'module:name'")
    given: object = config
    if given is None:
        plain = Config()
        plain.errorlog = logging.getLogger("hypercorn.error")  # as the program configured it
        return plain
    if not isinstance(given, Config):
        hint = ", and addresses in run or Server" if isinstance(given, str) else ""
        raise UsageError(f"{given!r} is not a configuration; expected a hypercorn.Config{hint}")
    defaults = Config()
    for option, remedy in REPLACED.items():
        if getattr(given, option, None) != getattr(defaults, option, None):
            raise replaced("hypercorn", option, remedy)
    return given


def loaded(app: Any, config: Config, mode: str | None) -> AppWrapper:
    """Return the application in the form that hypercorn calls.

    Raises:
        StartupError: there is no application of that name.
    """
    found = _imported(app) if isinstance(app, str) else app
    return wrap_app(found, config.wsgi_max_body_size, cast(Any, mode))


def _imported(name: str) -> Any:
    module_name, _, path = name.partition(":")
    if not module_name or not path:
        raise _not_found(name, "expected 'module:name'")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if not f"{module_name}.".startswith(f"{error.name}."):
            raise  # it exists, and lacks a module of its own
        raise _not_found(name, f"there is no module {error.name}") from None
    try:
        return operator.attrgetter(path)(module)
    except AttributeError as error:
        raise _not_found(name, str(error)) from None


def _not_found(name: str, reason: str) -> StartupError:
    return StartupError(f"the application {name!r} cannot be loaded: {reason}")
