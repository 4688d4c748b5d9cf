"""Values from the environment and the command line, which go before those of the file.

    PIERHEAD_LIMITS_IDLE_TIMEOUT=5s         limits.idle_timeout
    PIERHEAD_SERVE_0_LISTEN="[::]:53 :53"   serve[0].listen; the elements stand between blanks
    --set 'serve[0].zones=["a/", "b/"]'     the same, as TOML

The text is that of a string without quotation marks, or any other value of TOML.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pierhead.config.configuration import ROOT
from pierhead.config.kinds import Address, Choice, Duration, Kind, ListOf, Reference, Size, Text
from pierhead.config.locate import Path
from pierhead.config.spot import Given, shown_path
from pierhead.config.table import Table, Variants
from pierhead.errors import Fault, UsageError

__all__ = ["PREFIX", "Setting", "from_environment", "from_option", "lay_over", "variable"]

PREFIX = "PIERHEAD_"

#: Kinds whose values are strings: a number for one of them needs no quotation marks.
_STRINGS = (Address, Choice, Reference, Text)
_STEP = re.compile(r"\.?([A-Za-z0-9_-]+)|\[([0-9]{1,6})\]")


@dataclass(frozen=True, slots=True)
class Setting:
    """One value from outside the file.

    Attributes:
        path: the key.
        given: where the value is from.
    """

    path: Path
    given: Given

    @property
    def text(self) -> str:
        """The value as it is written."""
        return self.given.text[self.given.start :]


def from_environment(environ: Mapping[str, str]) -> list[Setting]:
    """Return the settings in environment variables.

    A variable below one of our tables that names no key is kept: reading it reports it. Others
    that begin with ``PIERHEAD_`` are not for a file (``PIERHEAD_LISTEN``).
    """
    found = []
    for name, value in sorted(environ.items()):
        if not name.startswith(PREFIX):
            continue
        path = _path_of(name.removeprefix(PREFIX).lower(), ROOT)
        if path is not None:
            found.append(Setting(path, Given(name, f"{name}={value}", len(name) + 1)))
    return found


def _path_of(name: str, kind: Kind) -> Path | None:
    """Return the path that a name in lower case is for; None if it is for no key of ours."""
    if isinstance(kind, Variants):
        number, _, rest = name.partition("_")
        if not number.isdecimal() or len(number) > 6:
            return None
        keys = {key for table in kind.tables.values() for key in table.keys} | {kind.chooser}
        return int(number), *_steps_below(rest, keys, kind)
    if not isinstance(kind, Table):
        return None
    if name in kind.keys:
        return (name,)
    for key, one in kind.keys.items():
        if name.startswith(f"{key}_") and isinstance(one.kind, Table | Variants):
            rest = name.removeprefix(f"{key}_")
            below = _path_of(rest, one.kind)
            if below is not None:
                return (key, *below)
            return (key, rest) if isinstance(one.kind, Table) else None
    return None


def _steps_below(rest: str, keys: set[str], kind: Variants) -> Path:
    if rest not in keys and rest.startswith("limits_"):
        return "limits", rest.removeprefix("limits_")
    return (rest,)


def from_option(text: str) -> Setting:
    """Return the setting in ``KEY=VALUE``, where KEY is as in ``serve[0].listen``.

    Raises:
        UsageError: it is none.
    """
    written, equals, _ = text.partition("=")
    path = tuple(_steps(written.strip()))
    if not equals or not path:
        raise UsageError(f"--set {text!a} sets nothing; expected KEY=VALUE: limits.idle_timeout=5s")
    return Setting(path, Given("--set", text, len(written) + 1))


def _steps(written: str) -> Iterator[str | int]:
    at = 0
    while at < len(written):
        found = _STEP.match(written, at)
        if found is None:
            raise UsageError(f"--set {written!a} names no key; expected one as in serve[0].listen")
        step = found[1] if found[2] is None else found[2]
        yield int(step) if step.isdecimal() and len(step) < 7 else step
        at = found.end()


def variable(path: Path) -> str:
    """Return the name of the environment variable for a path."""
    return PREFIX + "_".join(str(step).upper() for step in path)


def lay_over(
    values: dict[str, Any], settings: Sequence[Setting], faults: list[Fault]
) -> dict[Path, Given]:
    """Write the settings into the tables of a file; return where they are from, by path.

    Args:
        values: changed in place.
        settings: the last one for a path counts.
        faults: receives those that have no place in the file.
    """
    given: dict[Path, Given] = {}
    for one in settings:
        if not _put(values, one, faults):
            continue
        for path in [path for path in given if path[: len(one.path)] == one.path]:
            del given[path]
        given[one.path] = one.given
    return given


def _put(values: dict[str, Any], setting: Setting, faults: list[Fault]) -> bool:
    here: Any = values
    *above, last = setting.path
    for depth, step in enumerate(above):
        if isinstance(here, dict):
            here = here.setdefault(str(step), {})
        elif isinstance(here, list) and isinstance(step, int) and step < len(here):
            here = here[step]
        else:
            faults.append(_nowhere(setting, depth, here))
            return False
    value = _value(setting, _kind_at(setting.path, values))
    if isinstance(here, dict):
        here[str(last)] = value
    elif isinstance(here, list) and isinstance(last, int) and last < len(here):
        here[last] = value
    else:
        faults.append(_nowhere(setting, len(above), here))
        return False
    return True


def _nowhere(setting: Setting, depth: int, here: object) -> Fault:
    above, given = shown_path(setting.path[:depth]), setting.given
    what, remedy = f"{above} is no table", ""
    if isinstance(here, list):
        what, remedy = f"{above} has {len(here)} elements", "elements are counted from 0"
    message = f"{shown_path(setting.path)} is nowhere: {what}"
    return Fault(given.origin, 1, 1, message, given.text, remedy, "config/unknown-key")


def _kind_at(path: Path, values: Any) -> Kind | None:
    kind: Kind | None = ROOT
    for step in path:
        if isinstance(kind, Variants) and isinstance(step, int):
            values = values[step] if isinstance(values, list) else None
            word = values.get(kind.chooser) if isinstance(values, dict) else None
            kind = kind.tables.get(word) if isinstance(word, str) else None
            continue
        elif isinstance(kind, Table) and step in kind.keys:
            kind = kind.keys[str(step)].kind
        elif isinstance(kind, ListOf):
            kind = kind.kind
        else:
            return None
        values = values.get(step) if isinstance(values, dict) else None
    return kind


def _value(setting: Setting, kind: Kind | None) -> object:
    text = setting.text
    if isinstance(kind, ListOf) and not text.lstrip().startswith("["):
        return text.split()
    is_quoted = text[:1] in ("'", '"')
    if isinstance(kind, _STRINGS) and not is_quoted:
        return text
    if isinstance(kind, Duration | Size) and not text[:1].isdecimal() and not is_quoted:
        return text
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):  # no TOML, or a number of thousands of digits
        return text
