"""Options as command-line flags, under the names that tokio-listener uses.

A flag sets an option once for every address of a command line:

    -l 127.0.0.1:80 -l /run/app.sock --recv-buffer-size 65536 --unix-listen-chmod group
    -l 127.0.0.1:80?rcvbuf=64KiB -l /run/app.sock?mode=0660&rcvbuf=64KiB

The flags are the rows of `OPTIONS` that name one; nothing here depends on a command-line library.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from pierhead.address.listen_options import ListenOptions
from pierhead.address.option_types import Integer, KeepaliveMilliseconds, Permissions, Size, Value
from pierhead.address.registry import OPTIONS, Option
from pierhead.address.spec import ListenSpec
from pierhead.address.text import Span
from pierhead.address.validation import why_not
from pierhead.errors import AddressError, UsageError

__all__ = ["FLAGS", "AddressFlag", "fill_in"]

_METAVARS: Mapping[type, str] = MappingProxyType(
    {KeepaliveMilliseconds: "MS:N:MS", Permissions: "MODE", Size: "SIZE", Integer: "N"}
)


@dataclass(frozen=True, slots=True)
class AddressFlag:
    """One flag: an address option under its command-line name.

    >>> keepalive = FLAGS["--tcp-keepalive"]
    >>> keepalive.key, keepalive.metavar, keepalive.read("60000:3:5000")
    ('keepalive', 'MS:N:MS', KeepaliveTimes(idle=60.0, interval=5.0, probes=3))
    """

    option: Option

    @property
    def name(self) -> str:
        """The flag as written, including dashes."""
        return self.option.flag

    @property
    def parameter(self) -> str:
        """The name of the parameter for its value."""
        return self.name.removeprefix("--").replace("-", "_")

    @property
    def key(self) -> str:
        """The key under which an address stores the value."""
        return self.option.stands_for or self.option.key

    @property
    def is_switch(self) -> bool:
        """Whether the flag takes no value."""
        return self.option.flag_value is not None

    @property
    def metavar(self) -> str:
        """The word for its value in a help text."""
        return _METAVARS.get(type(self.option.type), self.option.key.upper())

    @property
    def example(self) -> str:
        """A value that may be given; empty for a switch."""
        return "" if self.is_switch else self.option.example.partition("=")[2]

    @property
    def brief(self) -> str:
        """What it means, in one line or two."""
        meaning = self.option.flag_meaning or self.option.meaning
        return f"{meaning[:1].upper()}{meaning[1:]}."

    @property
    def help(self) -> str:
        """What it means, the expected value, the default, and an example."""
        option = self.option
        default = option.default_note
        if option.default is not None:
            default = option.type.show(option.default) or "on"
        what, example = f"sets {option.example}", ""
        if not self.is_switch:
            what, example = option.type.expected, f"; example: {self.example}"
        return f"{self.brief} [{what}; default: {default}{example}]"

    def read(self, text: str) -> Value:
        """Return the value.

        Raises:
            AddressError: the text is not a value of the option; it points into the text.
        """
        span = Span.of(text)
        if not span and not isinstance(self.option.type, KeepaliveMilliseconds):
            raise AddressError(text, 0, "the value is empty", f"write {self.name} {self.example}")
        return self.option.type.read(span)


#: Every flag by its name, in the order of the table.
FLAGS: Mapping[str, AddressFlag] = MappingProxyType(
    {option.flag: AddressFlag(option) for option in OPTIONS if option.flag}
)


def fill_in(
    specs: Sequence[ListenSpec],
    given: Mapping[str, Value],
    *,
    on_unused: Callable[[str], object] | None = None,
) -> tuple[ListenSpec, ...]:
    """Return the addresses of a command line with its flags filled in.

    A flag applies to every address that its option is for; an address with the key keeps its own
    value.

        >>> specs = [ListenSpec.parse("127.0.0.1:80"), ListenSpec.parse("/run/app.sock")]
        >>> [str(spec) for spec in fill_in(specs, {"--unix-listen-chmod": 0o660})]
        ['127.0.0.1:80', 'unix:/run/app.sock?mode=0660']

    Args:
        specs: the addresses.
        given: the value of each flag that was given, by the flag's name.
        on_unused: called with one line for each flag that applies to none of the addresses, which
            is then ignored; None makes it an error.

    Raises:
        UsageError: a flag applies to none of the addresses, so it would have no effect.
    """
    filled = list(specs)
    for name, value in given.items():
        flag = FLAGS[name]
        refusals = [why_not(flag.option, spec.wrappers, spec.address) for spec in filled]
        if None not in refusals and on_unused is None:
            raise UsageError(_no_effect(flag, specs, refusals))
        if None not in refusals and on_unused is not None:
            on_unused(f"{name} is ignored: it is for none of the addresses")
        filled = [
            _with(spec, flag.key, value) if refusal is None else spec
            for spec, refusal in zip(filled, refusals, strict=True)
        ]
    return tuple(filled)


def _with(spec: ListenSpec, key: str, value: Value) -> ListenSpec:
    if key in spec.options:
        return spec
    options = ListenOptions((*spec.options.given, (key, value)))
    return ListenSpec(spec.wrappers, spec.address, options)


def _no_effect(
    flag: AddressFlag,
    specs: Sequence[ListenSpec],
    refusals: Sequence[tuple[str, str] | None],
) -> str:
    if not specs:
        return f"{flag.name} has no effect: there is no address"
    why = [
        f"  {spec}: {refusal[0]}; {refusal[1]}"
        for spec, refusal in zip(specs, refusals, strict=True)
        if refusal
    ]
    head = f"{flag.name} is for none of the addresses and would have no effect"
    return "\n".join([head, *why, f"  leave {flag.name} out, or give an address that it is for"])
