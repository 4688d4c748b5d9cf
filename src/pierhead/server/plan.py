"""The plan of a server: endpoints, addresses and limits, checked before anything is opened."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from socket import socket
from typing import Any, cast

from pierhead.address import ListenSpec
from pierhead.errors import UsageError
from pierhead.listener.base import Listener, check_listener
from pierhead.listener.open import Group
from pierhead.server.endpoint import Application, Endpoint
from pierhead.server.listener_options import ListenerOptions
from pierhead.server.options import ServerLimits, ServerOptions
from pierhead.server.resources import check_resources
from pierhead.service.context import Transport

__all__ = ["Part", "Plan"]

#: For listeners, logs, zones, and other files that a program has open besides its connections.
_SPARE_DESCRIPTORS = 512


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One endpoint of an application.

    Attributes:
        endpoint: what is served.
        groups: the specs of each of its addresses, in the order given.
        options: the limits in effect unless an address overrides them.
    """

    endpoint: Endpoint
    groups: tuple[Group, ...]
    options: ServerOptions

    def specs(self) -> Iterator[ListenSpec]:
        """Yield every address."""
        for group in self.groups:
            yield from group if isinstance(group, tuple) else (group.spec,)


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """A whole application.

    Attributes:
        application: as given, or built from one endpoint and its addresses.
        parts: one for each of its endpoints.
    """

    application: Application
    parts: tuple[Part, ...]

    @classmethod
    def of(
        cls,
        what: Endpoint | Application,
        addresses: Sequence[str | ListenSpec | Listener],
        limits: ServerLimits,
        keywords: Sequence[str] = (),
    ) -> Plan:
        """Return the plan for these arguments.

        Args:
            keywords: other keywords of the caller, to suggest for a misspelt limit.

        Raises:
            UsageError: no address, an unknown limit or one out of range.
            AddressError: an address does not parse.
        """
        application = _application(what, tuple(addresses))
        # The caller's mistakes are reported before those in an address.
        options = [_options_for(one, limits, keywords) for one, _ in application.endpoints]
        parts = [
            Part(endpoint, tuple(_group(address, endpoint) for address in asked), options[index])
            for index, (endpoint, asked) in enumerate(application.endpoints)
        ]
        return cls(application, tuple(parts))._checked()

    def with_limits(self, limits: ServerLimits) -> Plan:
        """Return a copy with other limits.

        Raises:
            UsageError: an unknown limit or one out of range.
        """
        parts = [
            Part(part.endpoint, part.groups, _options_for(part.endpoint, limits))
            for part in self.parts
        ]
        return Plan(self.application, tuple(parts))._checked()

    def _checked(self) -> Plan:
        """Refuse limits out of range before anything is opened."""
        for _ in self.options_everywhere():
            pass
        return self

    def options_everywhere(self) -> Iterator[ServerOptions]:
        """Yield the limits in effect at each address."""
        for part in self.parts:
            for spec in part.specs():
                yield ListenerOptions.of(spec).apply(part.options)

    @property
    def longest_drain(self) -> float:
        """How long draining may take, in seconds: the longest of all addresses."""
        return max(options.drain_timeout for options in self.options_everywhere())

    @property
    def descriptors_wanted(self) -> int:
        """How many descriptors all permitted connections need, and some to spare."""
        connections = sum(
            ListenerOptions.of(spec).max_connections or part.options.max_connections
            for part in self.parts
            for spec in part.specs()
        )
        return connections + _SPARE_DESCRIPTORS

    @property
    def sweep_interval(self) -> float:
        """Return an eighth of the shortest deadline, within 2 to 20 sweeps a second."""
        timeouts = [
            timeout
            for o in self.options_everywhere()
            for timeout in (
                o.request_timeout,
                o.first_byte_timeout,
                o.message_timeout,
                o.idle_timeout,
                o.write_timeout,
                o.linger_timeout or o.idle_timeout,
            )
        ]
        return min(max(min(timeouts) / 8, 0.05), 0.5)


def _options_for(
    endpoint: Endpoint, limits: ServerLimits, keywords: Sequence[str] = ()
) -> ServerOptions:
    """The caller's values override the protocol's, and those override the defaults."""
    return ServerOptions().changed(endpoint.options).changed(limits, others=keywords)


def _name(what: object) -> str:
    if inspect.ismodule(what):
        return f"the module {what.__name__}"
    return getattr(what, "__qualname__", repr(what))


def _not_an_endpoint(given: object) -> UsageError:
    """Return the error for what was given in place of an endpoint, with the nearest remedy."""
    if isinstance(given, str | ListenSpec):
        remedy = "the endpoint comes first, then its addresses"
    elif inspect.ismodule(given):
        remedy = f"give what its function makes: {given.__name__.rpartition('.')[2]}.serve(service)"
    elif _is_asgi(given):
        remedy = (
            "if it is an ASGI application, serve it with pierhead.hosting: uvicorn.serve(app) or "
            "hypercorn.serve(app)"
        )
    else:
        remedy = (
            "a service becomes one by lines.serve(service), dns.serve(service) or "
            "serve(service, wire_format)"
        )
    return UsageError(f"{_name(given)} is not an endpoint; {remedy}")


def _is_asgi(given: object) -> bool:
    """Return whether it is called with the three arguments of ASGI; a service has two."""
    if not callable(given):
        return False
    try:
        parameters = inspect.signature(given).parameters.values()
    except (TypeError, ValueError):
        return False
    needed = [one for one in parameters if one.kind <= one.POSITIONAL_OR_KEYWORD]
    return len([one for one in needed if one.default is one.empty]) == 3


def _not_an_address(given: object) -> UsageError:
    """Return the error for what was given in place of an address, with the nearest remedy."""
    remedy = ""
    match given:
        case (str(host), int(port)):
            shown = f"[{host}]" if ":" in host else host
            remedy = f"; write '{shown}:{port}'"
        case list() | tuple() | set() | frozenset():
            remedy = "; give each by itself: *addresses"
        case bool():
            pass
        case int() if 0 <= given <= 65535:
            remedy = f"; write '127.0.0.1:{given}', or '*:{given}' for all addresses of the machine"
        case bytes():
            remedy = "; decode it"
        case PurePath() if given.is_absolute():
            remedy = f"; write 'unix:{given}'"
        case PurePath():
            remedy = f"; write 'unix:./{given}'"
        case socket():
            remedy = f"; write 'fd:{given.fileno()}' for a listening socket"
        case Endpoint():
            remedy = "; serve several endpoints with Application(endpoints=[(endpoint, addresses)])"
    return UsageError(
        f"{given!r} is not an address; expected text, a ListenSpec or a listener object{remedy}"
    )


def _application(
    what: Endpoint | Application, addresses: tuple[str | ListenSpec | Listener, ...]
) -> Application:
    given: object = what  # as a caller without a type checker may pass
    if not isinstance(given, Endpoint | Application):
        raise _not_an_endpoint(given)
    if isinstance(what, Application):
        if addresses:
            raise UsageError("an application has its own addresses; pass none")
        application = what
        _check_pairs(application.endpoints)
    else:
        application = Application(endpoints=[(what, addresses)])
    check_resources(application)
    for endpoint, specs in application.endpoints:
        if not specs:
            raise UsageError(
                f"no address to serve {endpoint.name} on; give one such as '127.0.0.1:0'"
            )
    return application


def _check_pairs(endpoints: object) -> None:
    """Refuse what is not a list of endpoints with their addresses."""
    expected = "expected a list of pairs: [(endpoint, [address, …]), …]"
    if not isinstance(endpoints, list | tuple):
        raise UsageError(f"endpoints is {type(endpoints).__name__}, {expected}")
    for pair in endpoints:
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise UsageError(f"endpoints has {type(pair).__name__}, {expected}")
        if not isinstance(pair[0], Endpoint):
            raise _not_an_endpoint(pair[0])
        if not isinstance(pair[1], list | tuple):
            raise UsageError(f"the addresses of {pair[0].name} are {pair[1]!r}, {expected}")


def _group(address: Any, endpoint: Endpoint) -> Group:
    if isinstance(address, str):
        return ListenSpec.parse(address).resolve(endpoint)
    if isinstance(address, ListenSpec):
        return address.resolve(endpoint)
    if isinstance(getattr(address, "transport", None), Transport):
        check_listener(address)
        return cast(Listener, address)
    raise _not_an_address(address)
