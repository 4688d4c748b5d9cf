"""What a shell may offer to complete a partly written address."""

from __future__ import annotations

import sys

from pierhead.address import OPTIONS, SCHEMES, WRAPPERS, ListenSpec, Option
from pierhead.address.registry import Side
from pierhead.address.schemes import Scheme, is_available
from pierhead.address.validation import why_not
from pierhead.errors import AddressError

__all__ = ["complete", "is_path"]

_WORDS = {
    "sd-listen": "the only socket that systemd passes",
    "inetd": "standard input and output",
}


def is_path(incomplete: str) -> bool:
    """Tell whether the shell can complete it better, as a file name."""
    return incomplete.startswith(("/", "./", "../")) and "?" not in incomplete


def complete(incomplete: str) -> list[tuple[str, str]]:
    """Return the possible completions, each with its meaning.

    >>> complete("tls+t")
    [('tls+tcp:', 'TCP connections')]
    """
    head, question, query = incomplete.partition("?")
    if question:
        return _options(head, query)
    before, plus, word = head.rpartition("+")
    wrappers = before.split("+") if plus else []
    forms = {
        f"{name}:": scheme.meaning
        for name, scheme in SCHEMES.items()
        if _is_offered(scheme, streams_only="tls" in wrappers)
    }
    forms |= _WORDS
    forms |= {f"{name}+": text for name, text in WRAPPERS.items() if name not in wrappers}
    return [
        (f"{before}{plus}{form}", meaning)
        for form, meaning in forms.items()
        if form.startswith(word)
    ]


def _is_offered(scheme: Scheme, *, streams_only: bool) -> bool:
    if scheme.name in _WORDS or not is_available(scheme.platforms, sys.platform):
        return False
    return not streams_only or scheme.kind in ("stream", None)


def _options(head: str, query: str) -> list[tuple[str, str]]:
    done, ampersand, key = query.rpartition("&")
    try:
        spec = ListenSpec.parse(f"{head}?{done}" if done else head)
    except AddressError:
        return []
    return [
        (f"{head}?{done}{ampersand}{_written(option)}", option.meaning)
        for option in OPTIONS
        if option.key.startswith(key)
        and Side.LISTEN in option.sides
        and why_not(option, spec.wrappers, spec.address) is None
        and (option.repeats or (option.stands_for or option.key) not in spec.options)
    ]


def _written(option: Option) -> str:
    return option.key if option.type.bare is not None else f"{option.key}="
