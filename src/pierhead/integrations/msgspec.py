"""Hooks for msgspec, so that a field of a Struct can be a `ListenSpec`.

    class Config(msgspec.Struct):
        listen: list[ListenSpec]
        admin: ListenSpec | None = None

    config = msgspec.toml.decode(data, type=Config, dec_hook=dec_hook)

As msgspec requires, the hooks raise NotImplementedError for any other type. A program's own hooks
do too; `first_of` combines several into one.
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
        AddressError: it is not one; msgspec turns it into a ValidationError with the field's path.
        NotImplementedError: it is another type.
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
    """Return the table of an address, for a file that people will edit.

    Raises:
        NotImplementedError: the object is of another type.
    """
    return {**_spec(obj).to_table()}


def schema_hook(type: type) -> dict[str, Any]:
    """Return the JSON Schema of the input of `dec_hook`.

    msgspec describes no default for a type that is not its own: give the field one with
    ``msgspec.field(default_factory=...)``.

    Raises:
        NotImplementedError: it is another type.
    """
    if type is not ListenSpec:
        raise NotImplementedError(f"no hook describes {type}")
    return address_schema()


def first_of(*hooks: Callable[..., T]) -> Callable[..., T]:
    """Return a hook that tries each of these until one does not raise NotImplementedError.

    What the last one raises is raised.
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
