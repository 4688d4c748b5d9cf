"""From a `Configuration` to an `Application`: functions are imported, zones and secrets read.

A part of the file that is as before keeps what was built for it, and with it its rate limits, its
secrets and its open conversations; see `build`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pierhead.address import ListenOptions, ListenSpec
from pierhead.address.registry import STRICT_PERMISSIONS
from pierhead.address.views import TlsOptions
from pierhead.config.configuration import (
    AnyServe,
    Configuration,
    Custom,
    Dns,
    Echo,
    Files,
    Forward,
    Http,
    Lines,
)
from pierhead.config.endpoints import build_custom, build_echo, build_forward, build_lines
from pierhead.config.endpoints_dns import LARGEST_SECRETS, build_dns, zone_changes_between
from pierhead.config.endpoints_http import build_files, build_http
from pierhead.config.making import Made, Making, SharedLifespan
from pierhead.config.reading import ConfigurationError, Document, in_order
from pierhead.errors import ConfigError
from pierhead.files import read_file
from pierhead.server.endpoint import Application, Endpoint

__all__ = ["Built", "Part", "build", "build_document"]

_BUILDERS: Mapping[type[Any], Callable[[Any, Making], Made | None]] = {
    Custom: build_custom,
    Dns: build_dns,
    Echo: build_echo,
    Files: build_files,
    Http: build_http,
    Forward: build_forward,
    Lines: build_lines,
}


@dataclass(frozen=True, slots=True)
class Part:
    """What was built for one ``[[serve]]``.

    Attributes:
        serve: what the file says.
        key: what it was made from: that without addresses and limits, and the content of files
            that the endpoint does not read again by itself.
        made: by the protocol; it does not depend on addresses and limits.
        endpoint: the same with the limits of the file.
        specs: where it is served.
    """

    serve: AnyServe
    key: object
    made: Made
    endpoint: Endpoint
    specs: tuple[ListenSpec, ...]


@dataclass(frozen=True, slots=True)
class Built:
    """What was built for a whole configuration.

    Attributes:
        configuration: what it was built for.
        parts: one for each ``[[serve]]``.
        notes: what a user should know: warnings, and what was loaded.
    """

    configuration: Configuration
    parts: tuple[Part, ...]
    notes: tuple[str, ...]

    @property
    def application(self) -> Application:
        """The endpoints and their addresses."""
        return Application(endpoints=[(part.endpoint, part.specs) for part in self.parts])

    def changes_since(self, before: Built) -> Iterator[str]:
        """Yield what differs in zones that were read anew, one line each."""
        old = [part.made for part in before.parts]
        kept = [part.made for part in self.parts if part.made in old]
        new = [part.made for part in self.parts if part.made not in kept]
        yield from zone_changes_between([one for one in old if one not in kept], new)


def build_document(document: Document, before: Built | None = None) -> Built:
    """Return what is built for a document.

    Raises:
        ConfigurationError: a function cannot be imported, an address is not for its protocol, …:
            all such faults, with their places.
        ConfigError: no such fault, but zones are invalid.
    """
    making = Making(document.configuration.strict_permissions, document)
    built = build(document.configuration, making, before)
    _check_addresses(document, built)
    faults = document.spot.faults
    if faults:
        raise ConfigurationError([*in_order(faults), *making.other_faults])
    if making.other_faults:
        raise ConfigError(making.other_faults)
    return built


def build(
    configuration: Configuration, making: Making | None = None, before: Built | None = None
) -> Built:
    """Return what is built for a configuration.

    Args:
        configuration: what the command line says, or a file.
        making: collects faults; None raises the first.
        before: what was built last; a part that says the same keeps its services.

    Raises:
        PierheadError: something is wrong; only if ``making`` is None.
    """
    making = making or Making(configuration.strict_permissions)
    parts, notes = [], []
    for number, serve in enumerate(configuration.serve):
        making.path = ("serve", number)
        part = _part(configuration, serve, making, before)
        if part is not None:
            parts.append(part)
            notes += [note for note in _notes(part) if note not in notes]
    return Built(configuration, tuple(parts), tuple(notes))


def _part(
    configuration: Configuration, serve: AnyServe, making: Making, before: Built | None
) -> Part | None:
    key = (dataclasses.replace(serve, listen=(), limits={}), _besides(serve))
    old = [part for part in before.parts if part.key == key] if before else []
    made = old[0].made if old else _BUILDERS[type(serve)](serve, making)
    if made is None:
        return None
    if not old and made.endpoint.lifespan is not None:
        lifespan = SharedLifespan(made.endpoint.lifespan)
        endpoint = dataclasses.replace(made.endpoint, lifespan=lifespan)
        made = dataclasses.replace(made, endpoint=endpoint)
    limits = {**configuration.limits, **serve.limits}
    limited = making.attempt("limits", _limited, made.endpoint, limits)
    specs = _resolved(configuration, serve, made.endpoint, making)
    if limited is None or specs is None:
        return None
    for part in old:
        if part.endpoint.options == limited.options:
            limited = part.endpoint
    return Part(serve, key, made, limited, specs)


def _besides(serve: AnyServe) -> object:
    """Return what else decides: the content of files that are read once, and HTTP beside DNS."""
    paths = (*serve.cookie_secrets, *serve.keys) if isinstance(serve, Dns) else ()
    contents: list[bytes | None] = []
    for path in paths:
        try:
            contents.append(read_file(path, LARGEST_SECRETS))
        except OSError:
            contents.append(None)
    # Of the addresses, what an endpoint speaks besides its own protocol.
    wanted = [TlsOptions.of(spec.options).alpn for spec in serve.listen]
    return tuple(contents), any("http/1.1" in (one or ()) for one in wanted)


def _limited(endpoint: Endpoint, limits: Mapping[str, Any]) -> Endpoint:
    return dataclasses.replace(endpoint, options={**endpoint.options, **limits})


def _resolved(
    configuration: Configuration, serve: AnyServe, endpoint: Endpoint, making: Making
) -> tuple[ListenSpec, ...] | None:
    """Return the addresses, after checking that each is for the protocol."""
    specs = []
    for index, spec in enumerate(serve.listen):
        if configuration.strict_permissions:
            spec = _strict(spec)
        if making.attempt(("listen", index), spec.resolve, endpoint) is not None:
            specs.append(spec)
    return tuple(specs) if len(specs) == len(serve.listen) else None


def _strict(spec: ListenSpec) -> ListenSpec:
    """Return the address with strict permissions on its keys, if it has any."""
    if "tls" not in spec.wrappers or STRICT_PERMISSIONS.key in spec.options:
        return spec
    options = ListenOptions.of({**dict(spec.options.given), STRICT_PERMISSIONS.key: True})
    return ListenSpec(spec.wrappers, spec.address, options)


def _notes(part: Part) -> Sequence[str]:
    notes = [*part.made.notes]
    if isinstance(part.serve, Echo):
        every = [one for spec in part.specs for one in spec.resolve(part.endpoint)]
        if any(one.address.scheme == "udp" for one in every):
            notes.append(
                "warning: echo over UDP replies to the source address, which may be forged"
            )
    return notes


def _check_addresses(document: Document, built: Built) -> None:
    """Report addresses that are given twice: the second could not be opened."""
    first: dict[str, str] = {}
    for number, serve in enumerate(document.configuration.serve):
        part = next((one for one in built.parts if one.serve is serve), None)
        for index, spec in enumerate(serve.listen) if part is not None else ():
            spot = document.at(("serve", number, "listen", index))
            for one in spec.resolve(part.endpoint) if part is not None else ():
                text = str(one.address)
                if text.endswith(":0"):
                    continue
                if text in first:
                    remedy = f"it is in {first[text]}; take one of them out"
                    spot.fault("address-twice", f"{text} is given twice", remedy)
                    break
                first[text] = spot.origin
