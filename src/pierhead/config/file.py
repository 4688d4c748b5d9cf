"""A configuration file on disk, with what the environment and the command line add to it.

Relative paths in it, those of addresses and of modules included, count from the folder that it is
in: `ConfigurationFile.enter` makes that the current one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pierhead.config.building import Built, build_document
from pierhead.config.overlay import Setting, from_environment, from_option
from pierhead.config.reading import LARGEST_FILE, ConfigurationError, Document, read
from pierhead.errors import Fault
from pierhead.files import read_file

__all__ = ["DEFAULT_NAME", "ConfigurationFile"]

DEFAULT_NAME = "pierhead.toml"


@dataclass(frozen=True, slots=True)
class ConfigurationFile:
    """Where a configuration is read from, again and again.

    Attributes:
        name: as the user wrote it, for messages.
        path: absolute.
        settings: what goes before the file.
    """

    name: str
    path: Path
    settings: tuple[Setting, ...] = ()

    @classmethod
    def of(
        cls, name: str, environ: Mapping[str, str], options: Sequence[str] = ()
    ) -> ConfigurationFile:
        """Return the file of this name; options (``--set``) go before the environment.

        Raises:
            UsageError: an option is none.
        """
        settings = (*from_environment(environ), *map(from_option, options))
        return cls(name, Path(name).absolute(), settings)

    def enter(self) -> None:
        """Make its folder the current one, from which relative paths count.

        Raises:
            ConfigurationError: there is no such folder.
        """
        try:
            os.chdir(self.path.parent)
        except OSError as error:
            raise self._unreadable(error) from None

    def read(self) -> Document:
        """Return what it says.

        Raises:
            ConfigurationError: it cannot be read, or something in it is wrong.
        """
        try:
            octets = read_file(self.path, LARGEST_FILE)
        except (OSError, ValueError) as error:
            raise self._unreadable(error) from None
        return read(octets, self.name, self.settings)

    def build(self, before: Built | None = None) -> Built:
        """Read it and build what it says; see `build_document`."""
        return build_document(self.read(), before)

    def _unreadable(self, error: OSError | ValueError) -> ConfigurationError:
        words = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
        remedy = ""
        if isinstance(error, FileNotFoundError):
            remedy = "name a file, or write one: pierhead config example > pierhead.toml"
        message = f"cannot be read: {words}"
        return ConfigurationError(
            [Fault(self.name, 0, 0, message, remedy=remedy, code="config/cannot-read")]
        )
