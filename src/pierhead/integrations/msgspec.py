"""Hooks for msgspec, so that the field of a Struct can be a `ListenSpec`.

    class Config(msgspec.Struct):
        listen: list[ListenSpec]
        admin: ListenSpec | None = None

    config = msgspec.toml.decode(data, type=Config, dec_hook=dec_hook)

The hooks do as msgspec asks of hooks: for any other type they raise NotImplementedError. So do
a program's own; `first_of` makes one of several.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from pierhead.address import ListenSpec, address_schema

__all__ = ["dec_hook", "enc_hook", "enc_hook_table", "first_of", "schema_hook"]

T = TypeVar("T")


def dec_hook(type: type, obj: Any) -> Any:
    """Read the text of an address, or its table.

    Raises:
        AddressError: it is none; msgspec makes it a ValidationError with the path of the field.
        NotImplementedError: the type is another.
    """
    if type is not ListenSpec:
        raise NotImplementedError(f"no hook reads {type}")
    return ListenSpec.from_table(obj)


def enc_hook(obj: Any) -> str:
    """Return the text of an address.

    Raises:
        NotImplementedError: the object is of another type.
    """
    return str(_spec(obj))


def enc_hook_table(obj: Any) -> dict[str, Any]:
    """Return the table of an address, for a file that people are to edit.

    Raises:
        NotImplementedError: the object is of another type.
    """
    return {**_spec(obj).to_table()}


def schema_hook(type: type) -> dict[str, Any]:
    """Return the JSON Schema of what `dec_hook` reads.

    msgspec describes no default of a type that is not its own: a field that has one gets it by
    ``msgspec.field(default_factory=...)``.

    Raises:
        NotImplementedError: the type is another.
    """
    if type is not ListenSpec:
        raise NotImplementedError(f"no hook describes {type}")
    return address_schema()


def first_of(*hooks: Callable[..., T]) -> Callable[..., T]:
    """Return a hook that asks each of these until one does not raise NotImplementedError.

    What the last one raises is what the hook raises.
    """

    def hook(*args: Any) -> T:
        for one in hooks[:-1]:
            try:
                return one(*args)
            except NotImplementedError:
                continue
        return hooks[-1](*args)

    return hook


def _spec(obj: object) -> ListenSpec:
    if not isinstance(obj, ListenSpec):
        raise NotImplementedError(f"no hook writes {type(obj)}")
    return obj
