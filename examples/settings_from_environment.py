"""Settings from the environment, checked by pydantic: an address is a field like any other.

SHOUT_LISTEN="127.0.0.1:7000 /run/shout.sock?mode=0660" SHOUT_MARK="!" python ...
"""

import os
import sys

from pydantic import BaseModel, Field, ValidationError, field_validator
from services import shout

from pierhead import Context, ListenSpec, run
from pierhead.protocols import lines

PREFIX = "SHOUT_"


class Settings(BaseModel):
    listen: list[ListenSpec] = Field(["127.0.0.1:7000"], min_length=1, validate_default=True)
    mark: str = Field("", max_length=3)

    @field_validator("listen", mode="before")
    @classmethod
    def at_blanks(cls, value: object) -> object:
        return value.split() if isinstance(value, str) else value


def read() -> Settings:
    """Return the settings; end the program with all that is wrong with them."""
    found = {name.lower(): os.environ.get(PREFIX + name) for name in ("LISTEN", "MARK")}
    try:
        return Settings.model_validate({k: v for k, v in found.items() if v is not None})
    except ValidationError as error:
        for fault in error.errors():
            name = PREFIX + str(fault["loc"][0]).upper()
            print(f"{name}: {fault['msg']}", file=sys.stderr)
        raise SystemExit(4) from None


settings = read()


async def shout_on(line: str, context: Context) -> str:
    return await shout(line, context) + settings.mark


run(lines.serve(shout_on), *settings.listen)
