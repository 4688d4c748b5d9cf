"""What builders of endpoints share: attempts whose failures become faults with a place."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any, TypeVar

from pierhead.config.locate import Path
from pierhead.config.reading import Document
from pierhead.errors import AddressError, ConfigError, Fault, PierheadError, UsageError
from pierhead.files import Exposure
from pierhead.server.endpoint import Endpoint

__all__ = ["Made", "Making", "SharedLifespan"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """What a protocol made of its section.

    Attributes:
        endpoint: without the limits of the file.
        notes: what a user should know.
        hint: given a bound address, returns a command line to try it with; None for no hint.
        facts: what the protocol wants to know again.
    """

    endpoint: Endpoint
    notes: tuple[str, ...] = ()
    hint: Callable[[str], str | None] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


class SharedLifespan:
    """A lifespan that is entered once for all endpoints that have it.

    A reload makes another endpoint of the same services, and both are entered for a while.

    Args:
        lifespan: of the endpoint as it was made.
    """

    def __init__(self, lifespan: Callable[[], AbstractAsyncContextManager[object]]) -> None:
        self._lifespan = lifespan
        self._entered: AbstractAsyncContextManager[object] | None = None
        self._users = 0

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[None]:
        """Enter it, unless somebody has; the last one exits it."""
        if self._entered is None:
            manager = self._lifespan()
            await manager.__aenter__()
            self._entered = manager
        self._users += 1
        try:
            yield
        finally:
            self._users -= 1
            if not self._users:
                manager, self._entered = self._entered, None
                await manager.__aexit__(None, None, None)


@dataclass(slots=True)
class Making:
    """One run of the builders.

    Attributes:
        is_strict: whether secrets that others can read are refused.
        document: where the values are from; None if they are from the command line.
        path: of the section that is being built.
        other_faults: those of other files: zones.
    """

    is_strict: bool
    document: Document | None = None
    path: Path = ()
    other_faults: list[Fault] = field(default_factory=list)

    def attempt(
        self, key: str | Path, function: Callable[..., T], /, *arguments: Any, **keywords: Any
    ) -> T | None:
        """Return what a function returns; None after recording why it failed.

        Args:
            key: the key of the section that is to blame.
            function: called with the other arguments.

        Raises:
            PierheadError: it failed, and there is no document to blame.
        """
        try:
            return function(*arguments, **keywords)
        except PierheadError as error:
            if self.document is None:
                raise
            below = (key,) if isinstance(key, str) else key
            self._record(self.document, below, error)
            return None

    def _record(self, document: Document, below: Path, error: PierheadError) -> None:
        path = (*self.path, *below)
        if isinstance(error, ConfigError):
            self.other_faults += [one for one in error.faults if one not in self.other_faults]
        elif isinstance(error, AddressError):
            value = document.value(path)
            if isinstance(value, list) and error.text in value:
                path = (*path, value.index(error.text))
            spot = document.at(path)
            spot.fault("bad-address", error.reason, error.remedy, offset=error.position)
        else:
            message, _, remedy = str(error).partition("; ")
            document.at(path).fault("cannot-use", message, remedy, at_key=not below)

    def note_exposure(self, path: FilePath, exposure: Exposure | None) -> tuple[str, ...]:
        """Return a warning that others can read a secret, if they can.

        Raises:
            UsageError: they can, and that is refused.
        """
        if exposure is None:
            return ()
        text = f"the secret in {path} can be read or changed by {exposure.text}"
        text += f"; restrict it to its owner: {exposure.remedy}"
        if self.is_strict:
            raise UsageError(text)
        return (f"warning: {text}",)
