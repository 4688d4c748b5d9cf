"""How pydantic reads, writes and describes a `ListenSpec`; only pydantic calls this module.

    class Settings(BaseModel):
        listen: list[ListenSpec]

A field takes the text of an address, its table, or a spec. In JSON it is the text; in Python it
stays a spec.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from pierhead.errors import AddressError, TableError

if TYPE_CHECKING:
    from pydantic_core import PydanticCustomError
    from pydantic_core.core_schema import CoreSchema

__all__ = ["core_schema_of"]


def core_schema_of(
    spec: type, from_table: Callable[[str | Mapping[str, object]], object]
) -> CoreSchema:
    """Return the pydantic schema that validates and serialises a spec."""
    from pydantic_core import core_schema

    def validate(value: Any) -> object:
        if isinstance(value, spec):
            return value
        try:
            return from_table(value)
        except AddressError as error:
            raise _custom_error(error) from error

    return core_schema.no_info_plain_validator_function(
        validate,
        ref=f"{spec.__module__}.{spec.__qualname__}",
        serialization=core_schema.to_string_ser_schema(when_used="json"),
    )


def _custom_error(error: AddressError) -> PydanticCustomError:
    """Return a pydantic error; its ``ctx`` has every fault, for programs."""
    from pydantic_core import PydanticCustomError

    faults = error.faults if isinstance(error, TableError) else (error,)
    context = {
        "message": str(error),
        "faults": [
            {
                "text": fault.text,
                "position": fault.position,
                "reason": fault.reason,
                "remedy": fault.remedy,
            }
            for fault in faults
        ],
    }
    return PydanticCustomError("listen_address", "{message}", context)
