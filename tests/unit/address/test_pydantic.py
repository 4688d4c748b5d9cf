"""A `ListenSpec` as the field of a pydantic model."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Generic, TypeVar

import pytest
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from pierhead.address import ListenSpec

T = TypeVar("T")
WEB = ListenSpec.parse("tcp::80?backlog=512")


class Settings(BaseModel):
    listen: list[ListenSpec] = Field(description="Where to serve")
    admin: ListenSpec | None = None
    fallback: ListenSpec = ListenSpec.parse(":8080")


@pytest.mark.parametrize(
    "value",
    [
        "tcp::80?backlog=512",
        {"address": "tcp::80", "backlog": 512},
        {"address": "tcp::80?backlog=512"},
        WEB,
    ],
    ids=["text", "table", "table with all in the address", "spec"],
)
@pytest.mark.parametrize("strict", [False, True])
def test_a_field_takes_text_table_and_spec(value: object, strict: bool) -> None:
    settings = Settings.model_validate({"listen": [value]}, strict=strict)

    assert settings.listen == [WEB]
    assert settings.admin is None


def test_json_has_the_text_and_python_keeps_the_spec() -> None:
    settings = Settings(listen=[WEB], admin=ListenSpec.parse("@x"))

    assert json.loads(settings.model_dump_json()) == {
        "listen": ["tcp::80?backlog=512"],
        "admin": "unix:@x",
        "fallback": ":8080",
    }
    assert settings.model_dump()["listen"] == [WEB]
    assert settings.model_dump(mode="json")["admin"] == "unix:@x"
    assert Settings.model_validate_json(settings.model_dump_json()) == settings
    assert Settings.model_validate(settings.model_dump()) == settings
    assert settings.model_copy(deep=True) == settings


def test_every_wrong_field_is_reported_with_its_path_and_position() -> None:
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate({"listen": [":80", "127.0.0.1"], "admin": {"backlog": 0}})

    first, second = caught.value.errors()
    assert first["loc"] == ("listen", 1)
    assert first["type"] == "listen_address"
    assert first["msg"].splitlines()[:3] == [
        "the port is missing",
        "  127.0.0.1",
        "           ^",
    ]
    assert first["ctx"]["faults"] == [
        {
            "text": "127.0.0.1",
            "position": 9,
            "reason": "the port is missing",
            "remedy": "write 127.0.0.1:PORT",
        }
    ]
    assert second["loc"] == ("admin",)
    assert [fault["text"] for fault in second["ctx"]["faults"]] == ["{ backlog }", "backlog = 0"]
    assert json.loads(caught.value.json())[1]["ctx"]["faults"] == second["ctx"]["faults"]


def test_braces_in_what_was_written_stay_as_they_are() -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(ListenSpec).validate_python("{message}")

    assert "{message}" in caught.value.errors()[0]["msg"]


def test_the_schema_describes_the_field_and_has_examples() -> None:
    schema = Settings.model_json_schema()

    assert schema["properties"]["listen"]["description"] == "Where to serve"
    assert schema["properties"]["fallback"]["default"] == ":8080"
    reference = schema["properties"]["listen"]["items"]["$ref"]
    spec = schema["$defs"][reference.rpartition("/")[2]]
    assert spec["description"].startswith("What to listen on")
    assert "127.0.0.1:8080" in spec["examples"]
    assert spec["anyOf"][1]["required"] == ["address"]


def test_the_schema_for_writing_is_text() -> None:
    schema = TypeAdapter(ListenSpec).json_schema(mode="serialization")

    assert schema["type"] == "string"


def test_a_type_adapter_a_dataclass_and_a_generic_take_it_too() -> None:
    @dataclass
    class Plain:
        listen: ListenSpec

    class Box(BaseModel, Generic[T]):
        value: T

    adapter = TypeAdapter(dict[str, ListenSpec])
    assert adapter.validate_json('{"a": "tcp::80?backlog=512"}') == {"a": WEB}
    assert adapter.dump_json({"a": WEB}) == b'{"a":"tcp::80?backlog=512"}'
    assert Plain(listen="tcp::80?backlog=512").listen == WEB  # type: ignore[arg-type]
    assert Box[ListenSpec].model_validate({"value": "tcp::80?backlog=512"}).value == WEB


def test_the_strings_of_an_environment_are_addresses() -> None:
    assert TypeAdapter(ListenSpec).validate_strings("tcp::80?backlog=512") == WEB
    # pydantic-settings reads a list, a model and a dataclass as JSON, anything else as it is.
    assert TypeAdapter(list[ListenSpec]).validate_json('["tcp::80?backlog=512"]') == [WEB]


def test_a_default_is_checked_as_anything_else() -> None:
    class Checked(BaseModel):
        model_config = ConfigDict(validate_default=True)
        listen: ListenSpec = "127.0.0.1"  # type: ignore[assignment]

    with pytest.raises(ValidationError, match="the port is missing"):
        Checked()


def test_addresses_do_not_need_pydantic() -> None:
    modules = "sys, pierhead.address, pierhead.integrations"
    code = f"import {modules}; sys.exit('pydantic_core' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
