"""Reads files of keys; they are secrets, so it matters who else can."""

from __future__ import annotations

import logging
import os

from pierhead.errors import UsageError
from pierhead.files import Exposure, read_secret
from pierhead.protocols.dns.wire.tsig.key import Key
from pierhead.protocols.dns.wire.tsig.key_text import parse_keys

__all__ = ["load_keys", "read_keys"]

_log = logging.getLogger("pierhead.dns")
#: Thousands of keys.
_MOST_OCTETS = 1 << 20


def read_keys(path: str | os.PathLike[str], *, strict_permissions: bool = False) -> tuple[Key, ...]:
    """Return the keys in a file: statements as BIND has them, or lines ``algorithm:name:secret``.

    Args:
        path: a regular file.
        strict_permissions: refuse a file that others can read, instead of logging a warning.

    Raises:
        UsageError: it cannot be read, or others can read it too.
        ConfigError: something in it is not a key, or there is none.
    """
    keys, exposure = load_keys(path)
    if exposure is not None:
        text = f"the keys in {os.fspath(path)} can be read or changed by {exposure.text}"
        text += f"; restrict them to their owner: {exposure.remedy}"
        if strict_permissions:
            raise UsageError(text)
        _log.warning("%s", text)
    return keys


def load_keys(path: str | os.PathLike[str]) -> tuple[tuple[Key, ...], Exposure | None]:
    """Return the keys in a file, and who can read it but should not.

    Raises:
        UsageError, ConfigError: as by `read_keys`.
    """
    shown = os.fspath(path)
    try:
        octets, exposure = read_secret(path, _MOST_OCTETS)
    except OSError as error:
        raise UsageError(f"cannot read keys from {shown}: {error.strerror or error}") from None
    return parse_keys(octets.decode("utf-8", "replace"), shown), exposure
