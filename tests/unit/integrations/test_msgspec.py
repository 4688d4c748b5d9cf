"""A `ListenSpec` as the field of a msgspec Struct."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import msgspec
import pytest

from pierhead.address import ListenSpec
from pierhead.integrations.msgspec import dec_hook, enc_hook, enc_hook_table, first_of, schema_hook

WEB = ListenSpec.parse("tls+tcp::80?backlog=512&cert=a.pem")


class Config(msgspec.Struct):
    listen: list[ListenSpec]
    admin: ListenSpec | None = None
    named: dict[str, ListenSpec] = {}
    fallback: ListenSpec = msgspec.field(default_factory=lambda: ListenSpec.parse(":8080"))


TOML = b"""
listen = ["tls+tcp::80?backlog=512&cert=a.pem", { address = "@x" }]
admin = "127.0.0.1:1"

[named.web]
address = "tls+tcp::80"
backlog = 512
cert = "a.pem"
"""


def test_text_and_table_are_read_wherever_a_field_has_an_address() -> None:
    config = msgspec.toml.decode(TOML, type=Config, dec_hook=dec_hook)

    assert config == Config(
        [WEB, ListenSpec.parse("@x")], ListenSpec.parse("127.0.0.1:1"), {"web": WEB}
    )


@pytest.mark.parametrize("hook", [enc_hook, enc_hook_table], ids=["text", "table"])
@pytest.mark.parametrize("format", [msgspec.json, msgspec.msgpack], ids=["json", "msgpack"])
def test_what_is_written_reads_back(hook, format) -> None:
    config = msgspec.toml.decode(TOML, type=Config, dec_hook=dec_hook)

    written = format.encode(config, enc_hook=hook)

    assert format.decode(written, type=Config, dec_hook=dec_hook) == config
    assert (b"tls+tcp::80?" in written) == (hook is enc_hook)


def test_an_optional_address_may_be_absent_or_null() -> None:
    for text in ('{"listen": []}', '{"listen": [], "admin": null}'):
        config = msgspec.json.decode(text, type=Config, dec_hook=dec_hook)
        assert config.admin is None
        assert config.fallback == ListenSpec.parse(":8080")


@pytest.mark.parametrize(
    ("toml", "reason", "path"),
    [
        ('listen = [":80", "127.0.0.1"]', "the port is missing", "$.listen[1]"),
        ('listen = [{ address = ":80", backlog = 0 }]', "0 is not a value of back", "$.listen[0]"),
        ("listen = [80]", "80 is not an address", "$.listen[0]"),
        ('listen = []\nadmin = "x"', "the port is missing", "$.admin"),
        ('listen = []\nnamed = { web = "tpc::1" }', "did you mean tcp:", "$.named[...]"),
    ],
)
def test_an_error_has_the_path_of_the_field_and_points(toml: str, reason: str, path: str) -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.toml.decode(toml.encode(), type=Config, dec_hook=dec_hook)

    assert reason in str(caught.value)
    assert "^" in str(caught.value)
    assert str(caught.value).endswith(f" - at `{path}`")


class Colour:
    def __init__(self, name: str) -> None:
        self.name = name


class Painted(msgspec.Struct):
    listen: ListenSpec
    colour: Colour


def read_colour(type: type, obj: Any) -> Any:
    if type is not Colour:
        raise NotImplementedError
    return Colour(obj)


def write_colour(obj: Any) -> Any:
    if not isinstance(obj, Colour):
        raise NotImplementedError
    return obj.name


@pytest.mark.parametrize("order", [1, -1], ids=["ours first", "theirs first"])
def test_hooks_of_a_program_stand_beside_them(order: int) -> None:
    reading = first_of(*[dec_hook, read_colour][::order])
    writing = first_of(*[enc_hook, write_colour][::order])
    text = b'{"listen":":80","colour":"red"}'

    painted = msgspec.json.decode(text, type=Painted, dec_hook=reading)

    assert (painted.listen, painted.colour.name) == (ListenSpec.parse(":80"), "red")
    assert msgspec.json.encode(painted, enc_hook=writing) == text


def test_a_type_that_no_hook_knows_is_refused_as_msgspec_asks() -> None:
    for hook in (dec_hook, first_of(read_colour, dec_hook)):
        with pytest.raises(NotImplementedError, match="no hook reads"):
            hook(complex, "1")
    for write in (enc_hook, enc_hook_table):
        with pytest.raises(NotImplementedError, match="no hook writes"):
            write(1j)
    with pytest.raises(NotImplementedError, match="no hook describes"):
        schema_hook(complex)


def test_the_schema_of_a_struct_describes_the_address() -> None:
    schema = msgspec.json.schema(Config, schema_hook=schema_hook)

    listen = schema["$defs"]["Config"]["properties"]["listen"]["items"]
    assert listen["description"].startswith("What to listen on")
    assert listen["anyOf"][1]["required"] == ["address"]


def test_the_hooks_do_not_need_msgspec() -> None:
    code = "import sys, pierhead.integrations.msgspec; sys.exit('msgspec' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
