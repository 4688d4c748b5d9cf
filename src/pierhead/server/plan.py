"""What a server is to run: endpoints, addresses and limits, checked before anything opens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

from pierhead.address import ListenSpec
from pierhead.errors import UsageError
from pierhead.listener.base import Listener, check_listener
from pierhead.listener.open import Group
from pierhead.server.endpoint import Application, Endpoint
from pierhead.server.listener_options import ListenerOptions
from pierhead.server.options import ServerLimits, ServerOptions
from pierhead.service.context import Transport

__all__ = ["Part", "Plan"]

#: For listeners, logs, zones, and whatever a program has open beside its connections.
_SPARE_DESCRIPTORS = 512


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One endpoint of an application.

    Attributes:
        endpoint: what is served.
        groups: what each of its addresses means, in the order asked.
        options: the limits in force, where an address does not say otherwise.
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
        application: as given, or made of one endpoint and its addresses.
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
        """Return what these arguments mean.

        Args:
            keywords: what else the caller takes by name, which may have been meant by a limit.

        Raises:
            UsageError: no address, an unknown limit or one out of range.
            AddressError: an address that does not parse.
        """
        application = _application(what, tuple(addresses))
        # What the caller says comes before anything that an address may have wrong.
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
        """Refuse limits out of range before anything opens."""
        for _ in self.options_everywhere():
            pass
        return self

    def options_everywhere(self) -> Iterator[ServerOptions]:
        """Yield the limits in force at each address."""
        for part in self.parts:
            for spec in part.specs():
                yield ListenerOptions.of(spec).apply(part.options)

    @property
    def longest_drain(self) -> float:
        """How long draining may take, in seconds: the longest of what each address may."""
        return max(options.drain_timeout for options in self.options_everywhere())

    @property
    def descriptors_wanted(self) -> int:
        """How many descriptors every connection that may be open takes, and some to spare."""
        connections = sum(
            ListenerOptions.of(spec).max_connections or part.options.max_connections
            for part in self.parts
            for spec in part.specs()
        )
        return connections + _SPARE_DESCRIPTORS

    @property
    def sweep_interval(self) -> float:
        """Often enough for a deadline to be met an eighth late, between 20 and 2 times a second."""
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
    """What the caller says goes before what the protocol prefers, and that before ours."""
    return ServerOptions().changed(endpoint.options).changed(limits, others=keywords)


def _name(what: object) -> str:
    return getattr(what, "__qualname__", repr(what))


def _application(
    what: Endpoint | Application, addresses: tuple[str | ListenSpec | Listener, ...]
) -> Application:
    given: object = what  # as a caller without a type checker may have it
    if not isinstance(given, Endpoint | Application):
        raise UsageError(
            f"{_name(given)} is no endpoint; a service becomes one by lines.serve(service), "
            "dns.serve(service) or serve(service, wire_format)"
        )
    if isinstance(what, Application):
        if addresses:
            raise UsageError("an application brings its own addresses; give it none")
        application = what
    else:
        application = Application(endpoints=[(what, addresses)])
    for endpoint, specs in application.endpoints:
        if not specs:
            raise UsageError(
                f"no address to serve {endpoint.name} on; give one such as '127.0.0.1:0'"
            )
    return application


def _group(address: Any, endpoint: Endpoint) -> Group:
    if isinstance(address, str):
        return ListenSpec.parse(address).resolve(endpoint)
    if isinstance(address, ListenSpec):
        return address.resolve(endpoint)
    if isinstance(getattr(address, "transport", None), Transport):
        check_listener(address)
        return cast(Listener, address)
    raise UsageError(
        f"{address!r} is no address; expected text, a ListenSpec or a listener of your own"
    )
