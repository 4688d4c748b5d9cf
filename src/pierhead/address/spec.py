"""The whole of an address: wrappers, address and options in one frozen value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import FrozenInstanceError
from itertools import accumulate
from typing import TYPE_CHECKING, NoReturn, Protocol

from pierhead.address.addresses import InetAddress, ListenAddress
from pierhead.address.grammar import Parts, read
from pierhead.address.json_schema import JsonSchema, address_schema, text_schema
from pierhead.address.listen_options import ListenOptions
from pierhead.address.pydantic import core_schema_of
from pierhead.address.registry import OPTIONS_BY_KEY, Side
from pierhead.address.schemes import SCHEMES, SHORT_FORM_SCHEMES, WRAPPERS, Kind
from pierhead.address.table import Table, read_table, write_table
from pierhead.address.text import LONGEST_TEXT
from pierhead.address.validation import (
    Conflict,
    conflicts,
    kind_of,
    lacking,
    undiallable,
    why_not,
    wrong_side,
)
from pierhead.errors import AddressError, UsageError

if TYPE_CHECKING:
    from pydantic import GetJsonSchemaHandler
    from pydantic_core import CoreSchema

__all__ = ["ListenSpec", "ShortForm"]


_NO_OPTIONS = ListenOptions()


class ShortForm(Protocol):
    """An object that defines what ``host:port`` means for a protocol: an endpoint."""

    @property
    def short_form(self) -> tuple[str, ...]:
        """The schemes it stands for, such as ``("udp", "tcp")``."""
        ...


class ListenSpec:
    """What to listen on or to dial and how, as one value that opens nothing.

        >>> spec = ListenSpec.parse("proxy+tls+tcp://[::1]:443?key=a.key&cert=a.pem")
        >>> spec.wrappers, spec.address.scheme, str(spec)
        (('proxy', 'tls'), 'tcp', 'proxy+tls+tcp:[::1]:443?cert=a.pem&key=a.key')

    The text of a spec parses back to an equal spec, and so does its table.

    Attributes:
        wrappers: outermost on the wire first.
        address: what to listen on; a reload compares only this.
        options: the options given.

    Raises:
        AddressError: the parts do not fit together.
    """

    # Not a dataclass: configuration libraries (msgspec, pydantic-settings, orjson,
    # dataclasses.asdict) treat a dataclass as an object of its fields, and never call its methods.
    __slots__ = ("address", "options", "wrappers")
    __match_args__ = ("wrappers", "address", "options")

    wrappers: tuple[str, ...]
    address: ListenAddress
    options: ListenOptions

    def __init__(
        self,
        wrappers: tuple[str, ...],
        address: ListenAddress,
        options: ListenOptions = _NO_OPTIONS,
    ) -> None:
        object.__setattr__(self, "wrappers", tuple(wrappers))
        object.__setattr__(self, "address", address)
        object.__setattr__(self, "options", options)
        for wrapper in self.wrappers:
            if wrapper not in WRAPPERS:
                raise UsageError(f"unknown wrapper {wrapper!r}, expected {', '.join(WRAPPERS)}")
        for conflict in conflicts(self.wrappers, self.address, self.options):
            raise self._error(conflict)
        length = len(str(self))
        if length > LONGEST_TEXT:
            reason = f"the address has {length} characters, at most {LONGEST_TEXT} can be read back"
            raise self._error(Conflict("", reason, "shorten its names and paths"))

    @classmethod
    def parse(cls, text: str) -> ListenSpec:
        """Parse an address in any of its forms, including short ones.

        Raises:
            AddressError: it does not parse; has the position, reason and remedy.
            UsageError: it is not text.
        """
        given: object = text  # as a caller without a type checker may pass
        if not isinstance(given, str):
            raise UsageError(f"an address is {given!r}, expected text such as '127.0.0.1:8080'")
        parts = read(text)
        for conflict in conflicts(parts.wrappers, parts.address, parts.options):
            raise _error_at(text, parts, conflict)
        return cls(parts.wrappers, parts.address, parts.options)

    @classmethod
    def from_table(cls, table: str | Mapping[str, object]) -> ListenSpec:
        """Read an address from a configuration file: its text, or a table with options.

            >>> str(ListenSpec.from_table({"address": "tcp::80", "backlog": 512, "nodelay": False}))
            'tcp::80?backlog=512&nodelay=off'

        Raises:
            AddressError: it does not parse; `TableError` if there are several faults.
        """
        if isinstance(table, str):
            return cls.parse(table)
        parts = read_table(table)
        return cls(parts.wrappers, parts.address, parts.options)

    def to_table(self) -> Table:
        """Return the table that `from_table` reads back, in types of TOML and JSON."""
        return write_table(self.wrappers, self.address, self.options)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: object) -> CoreSchema:
        return core_schema_of(cls, cls.from_table)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchema:
        return address_schema() if handler.mode == "validation" else text_schema()

    @property
    def kind(self) -> Kind | None:
        """How bytes travel; None if only the passed socket determines it."""
        return kind_of(self.address, self.options)

    def resolve(self, endpoint: ShortForm) -> tuple[ListenSpec, ...]:
        """Return the specs that a server of this endpoint opens: this one, with a scheme added if
        it has none.

        ``host:port`` becomes one spec for each scheme of the endpoint's short form that fits the
        wrappers; each keeps the options that apply to its scheme.

        Raises:
            AddressError: no scheme is left, an option applies to none of them or is for dialling,
                or something is missing (a certificate for TLS).
            UsageError: the endpoint's short form names a scheme that cannot have one.
        """
        specs = (self,) if self.address.scheme else self._with_schemes(endpoint.short_form)
        for spec in specs:
            conflict = wrong_side(Side.LISTEN, spec.options)
            conflict = conflict or lacking(spec.wrappers, spec.address, spec.options)
            if conflict:
                raise self._error(conflict)
        return specs

    def to_dial(self, scheme: str = "tcp") -> ListenSpec:
        """Return the spec that a client reaches: this one, with this scheme if it has none.

        Raises:
            AddressError: no client can reach it, or an option is for listening.
        """
        spec = self if self.address.scheme else self._with_schemes((scheme,))[0]
        conflict = undiallable(spec.wrappers, spec.address, spec.options)
        if conflict:
            raise spec._error(conflict)
        return spec

    def _with_schemes(self, schemes: tuple[str, ...]) -> tuple[ListenSpec, ...]:
        unknown = [scheme for scheme in schemes if scheme not in SHORT_FORM_SCHEMES]
        if unknown or not schemes:
            known = " and ".join(SHORT_FORM_SCHEMES)
            raise UsageError(f"a short form stands for {schemes}, expected some of {known}")
        if "tls" in self.wrappers:
            schemes = tuple(scheme for scheme in schemes if SCHEMES[scheme].kind == "stream")
        if not schemes:
            reason = "TLS needs a stream, and this protocol has only datagrams"
            raise self._error(Conflict(self.wrappers.index("tls"), reason, "leave tls+ out"))
        for key, _ in self.options.given:
            if not any(self._is_for(key, scheme) for scheme in schemes):
                reason = f"{key} is not for {' or '.join(schemes)}, which is meant here"
                raise self._error(Conflict(key, reason, "leave it out, or write a scheme"))
        return tuple(self._with_scheme(scheme) for scheme in dict.fromkeys(schemes))

    def _with_scheme(self, scheme: str) -> ListenSpec:
        others = [key for key, _ in self.options.given if not self._is_for(key, scheme)]
        return ListenSpec(self.wrappers, self._address(scheme), self.options.without(*others))

    def _is_for(self, key: str, scheme: str) -> bool:
        address = self._address(scheme)
        return any(why_not(row, self.wrappers, address) is None for row in OPTIONS_BY_KEY[key])

    def _address(self, scheme: str) -> InetAddress:
        assert isinstance(self.address, InetAddress)  # no other form lacks a scheme
        return InetAddress(scheme, self.address.host, self.address.port, self.address.last_port)

    def _error(self, conflict: Conflict) -> AddressError:
        text = str(self)
        starts = list(accumulate((len(name) + 1 for name in self.wrappers), initial=0))
        query = text.find("?") + 1
        where = {key: query + f"&{text[query:]}".find(f"&{key}") for key, _ in self.options.given}
        parts = Parts(
            self.wrappers, self.address, self.options, tuple(starts[:-1]), starts[-1], where
        )
        return _error_at(text, parts, conflict)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> NoReturn:
        raise FrozenInstanceError(f"cannot delete field {name!r}")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ListenSpec):
            return NotImplemented
        return self._parts == other._parts

    def __hash__(self) -> int:
        return hash(self._parts)

    @property
    def _parts(self) -> tuple[tuple[str, ...], ListenAddress, ListenOptions]:
        return self.wrappers, self.address, self.options

    def __reduce__(self) -> tuple[type[ListenSpec], tuple[object, ...]]:
        return type(self), self._parts

    def __repr__(self) -> str:
        parts = f"wrappers={self.wrappers!r}, address={self.address!r}, options={self.options!r}"
        return f"ListenSpec({parts})"

    def __str__(self) -> str:
        head = "".join(f"{wrapper}+" for wrapper in self.wrappers) + self.address.place
        query = [part for part in (*str(self.options).split("&"), self.address.query) if part]
        query.sort(key=lambda part: part.partition("=")[0])
        return f"{head}?{'&'.join(query)}" if query else head


def _error_at(text: str, parts: Parts, conflict: Conflict) -> AddressError:
    return AddressError(text, parts.position(conflict.part), conflict.reason, conflict.remedy)
