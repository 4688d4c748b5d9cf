"""From TOML text to a `Configuration`, or to a list of everything that is wrong.

text ─▶ tomllib ─▶ overlay (variables, options) ─▶ Table.read ─▶ Configuration
  └───▶ locate ──────────── line and column ─────────┘
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from pierhead.config.configuration import ROOT, Configuration
from pierhead.config.kinds import INVALID
from pierhead.config.locate import Path
from pierhead.config.overlay import Setting, lay_over
from pierhead.config.spot import Source, Spot
from pierhead.errors import ConfigError, Fault

__all__ = ["LARGEST_FILE", "ConfigurationError", "Document", "in_order", "parse", "read"]

#: In octets. Ten thousand zones by name, and a parser that is quadratic nowhere we know of.
LARGEST_FILE = 4 << 20

_TOML_PLACE = re.compile(r" \(at line (\d+), column (\d+)\)$")
_MANY_DIGITS = re.compile(r"[0-9_]{4301,}")
_TOML_END = " (at end of document)"


class ConfigurationError(ConfigError):
    """A configuration is wrong; ``faults`` has everything that is, in order."""

    exit_code = 2

    def __str__(self) -> str:
        return "\n".join(
            str(replace(one, message=f"{one.message} [{one.code}]") if _is_ours(one) else one)
            for one in self.faults
        )


def _is_ours(fault: Fault) -> bool:
    """Return whether a fault is of the configuration, not of a zone."""
    return fault.code.startswith("config/")


@dataclass(frozen=True, slots=True)
class Document:
    """A configuration and where each value is from.

    Attributes:
        configuration: what it says.
        values: the merged tables, as `tomllib` returns them.
        spot: the root; faults found later are recorded there.
    """

    configuration: Configuration
    values: dict[str, Any]
    spot: Spot

    def value(self, path: Path) -> Any:
        """Return the value of a path as `tomllib` returned it; None if none has been given."""
        here: Any = self.values
        for step in path:
            try:
                here = here[step]
            except (KeyError, IndexError, TypeError):
                return None
        return here

    def at(self, path: Path) -> Spot:
        """Return the spot of a path."""
        spot = self.spot
        for one in path:
            spot = spot.below(one)
        return spot


def read(octets: bytes, name: str, settings: Sequence[Setting] = ()) -> Document:
    """Return the configuration in a file.

    Args:
        octets: its content.
        name: of the file, for messages.
        settings: values that go before the file's, the last one first.

    Raises:
        ConfigurationError: something is wrong; it has all faults, in the order of the file.
    """
    try:
        text = octets.decode("utf-8")
    except UnicodeDecodeError as error:
        line = octets.count(b"\n", 0, error.start) + 1
        column = error.start - octets.rfind(b"\n", 0, error.start)
        fault = Fault(name, line, column, "this is not UTF-8", code="config/syntax")
        raise ConfigurationError([fault]) from None
    return parse(text, name, settings)


def parse(text: str, name: str, settings: Sequence[Setting] = ()) -> Document:
    """Return the configuration in a text; see `read`."""
    text = text.replace("\r\n", "\n")
    try:
        values = tomllib.loads(text)
        source = Source.of(name, text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError([_syntax(str(error), name, text)]) from None
    except ValueError:  # of int(): more than 4300 digits
        raise ConfigurationError([_too_many_digits(name, text)]) from None
    except RecursionError:
        fault = Fault(name, 0, 0, "arrays or tables are nested too deeply", code="config/syntax")
        raise ConfigurationError([fault]) from None
    faults: list[Fault] = []
    spot = Spot(source, lay_over(values, settings, faults), faults)
    configuration = ROOT.read(values, spot)
    if spot.faults or configuration is INVALID:
        raise ConfigurationError(in_order(spot.faults))
    return Document(configuration, values, spot)


def in_order(faults: Sequence[Fault]) -> list[Fault]:
    """Return faults by line and column; those of other sources follow."""
    first = faults[0].file if faults else ""
    return sorted(faults, key=lambda one: (one.file != first, one.file, one.line, one.column))


def _too_many_digits(name: str, text: str) -> Fault:
    found = _MANY_DIGITS.search(text)
    start = found.start() if found else 0
    line = text.count("\n", 0, start) + 1
    column = start - text.rfind("\n", 0, start)
    return Fault(name, line, column, "this number has too many digits", code="config/syntax")


def _syntax(message: str, name: str, text: str) -> Fault:
    line, column = 0, 0
    if place := _TOML_PLACE.search(message):
        line, column = int(place[1]), int(place[2])
        message = message[: place.start()]
    elif message.endswith(_TOML_END):
        line, column = text.count("\n") + 1, len(text) - text.rfind("\n")
        message = f"{message.removesuffix(_TOML_END)}, and the file ends here"
    lines = text.split("\n")
    shown = lines[line - 1] if 0 < line <= len(lines) else ""
    words = message[:1].lower() + message[1:]
    remedy = "this is no TOML; nothing else is checked until it is"
    return Fault(name, line, column, words, shown, remedy, "config/syntax")
