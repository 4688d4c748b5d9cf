from __future__ import annotations

from pathlib import Path

import pytest

from pierhead.config.building import Built, build, build_document
from pierhead.config.configuration import Configuration, Echo, Lines
from pierhead.config.reading import ConfigurationError, parse
from pierhead.errors import ConfigError, UsageError
from pierhead.server.server import Server

ZONE = "@ 300 SOA ns h {serial} 2 3 4 5\n@ 300 NS ns\nns 300 A 192.0.2.1\n"
CHAT = """\
from pierhead.protocols import lines

async def shout(line, context):
    return line.upper()

async def chat(conversation, context):
    async for line in conversation:
        await conversation.send(line)

endpoint = lines.serve(shout)

def make():
    return endpoint

def broken():
    raise ValueError("oh no")
"""
SITE = """\
limits = { idle_timeout = "7s", max_peers = 9 }
[[serve]]
protocol = "lines"
service = "a_chat:shout"
listen = ["mem:a"]
limits = { max_peers = 8 }
[[serve]]
protocol = "lines"
conversation = "a_chat:chat"
encoding = "bytes"
listen = ["mem:b"]
[[serve]]
protocol = "dns"
zones = ["example.zone"]
listen = ["mem:c"]
cookie_secrets = ["secret"]
[[serve]]
protocol = "forward"
to = ["mem:a"]
listen = ["mem:d"]
[[serve]]
protocol = "endpoint"
endpoint = "a_chat:make"
listen = ["mem:e"]
[[serve]]
protocol = "echo"
listen = ["mem:f"]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "a_chat.py").write_text(CHAT)
    (tmp_path / "example.zone").write_text(ZONE.format(serial=41))
    (tmp_path / "secret").write_text("0f" * 16)
    (tmp_path / "secret").chmod(0o600)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def built(text: str, before: Built | None = None) -> Built:
    return build_document(parse(text, "site.toml"), before)


def refused(text: str) -> str:
    with pytest.raises(ConfigError) as raised:
        built(text)
    return str(raised.value)


async def test_every_protocol_is_built_and_can_be_served(folder: Path) -> None:
    site = built(SITE)
    names = [part.endpoint.name for part in site.parts]
    assert names == ["lines", "lines", "dns", "forward", "lines", "echo"]
    assert site.notes == ("zone example. 3 records, serial 41",)
    assert site.parts[0].endpoint.options["max_peers"] == 8
    assert site.parts[1].endpoint.options["max_peers"] == 9
    # The file's limits go before those of the protocol.
    assert site.parts[3].endpoint.options["idle_timeout"] == 7
    async with Server(site.application) as server:
        assert [address for _, address in server.served] == [f"mem:{name}" for name in "abcdef"]


def test_what_says_the_same_keeps_what_was_built(folder: Path) -> None:
    before = built(SITE)
    after = built(SITE.replace('"7s"', '"8s"').replace("mem:f", "mem:g"), before)
    for old, new in zip(before.parts, after.parts, strict=True):
        assert old.made is new.made
        assert old.endpoint is not new.endpoint  # another limit
    again = built(SITE, before)
    assert [part.endpoint for part in again.parts] == [part.endpoint for part in before.parts]
    assert all(a.endpoint is b.endpoint for a, b in zip(again.parts, before.parts, strict=True))


def test_a_changed_secret_or_section_is_built_anew_and_zones_are_compared(folder: Path) -> None:
    before = built(SITE)
    (folder / "secret").write_text("f0" * 16)
    (folder / "example.zone").write_text(ZONE.format(serial=42))
    after = built(SITE, before)
    anew = [a.made is not b.made for a, b in zip(after.parts, before.parts, strict=True)]
    assert anew == [False, False, True, False, False, False]
    assert list(after.changes_since(before)) == ["zone example. serial 41, now 42"]
    assert list(after.changes_since(after)) == []


def test_faults_of_every_part_are_reported_at_once_with_their_places(folder: Path) -> None:
    text = """\
[[serve]]
protocol = "lines"
service = "a_chat:shuot"
listen = ["tcp:127.0.0.1:7", "quic:127.0.0.1:8"]
[[serve]]
protocol = "lines"
service = "a_chat:shout"
encoding = "klingon"
listen = ["tcp:127.0.0.1:8"]
[[serve]]
protocol = "lines"
listen = ["tcp:127.0.0.1:9"]
[[serve]]
protocol = "dns"
zones = ["nothing.zone"]
cookie_secrets = ["a_chat.py", "no"]
listen = [":5300"]
[[serve]]
protocol = "dns"
allow = ["::/0"]
zones = ["example.zone"]
listen = [":5301"]
[[serve]]
protocol = "endpoint"
endpoint = "a_chat:broken"
listen = [":5302"]
[[serve]]
protocol = "forward"
to = ["tcp:127.0.0.1"]
listen = [":5303"]
[[serve]]
protocol = "dns"
listen = [":5304"]
"""
    said = refused(text)
    for words in (
        "site.toml:3:12: 'a_chat' has no 'shuot'",
        "site.toml:8:13: ",
        "site.toml:10:3: lines need service or conversation, and neither is given",
        "site.toml:16:20: cookie secret a_chat.py: ",
        "site.toml:16:33: cookie secret no: No such file",
        "site.toml:20:9: allow is for forward",
        "site.toml:25:13: a_chat:broken failed: ValueError: oh no",
        "site.toml:29:21: the port is missing",
        "site.toml:31:3: dns has nothing to serve",
        "nothing.zone: cannot be read",
    ):
        assert words in said, said


def test_an_address_for_another_protocol_or_given_twice_is_a_fault(folder: Path) -> None:
    text = """\
[[serve]]
protocol = "echo"
listen = ["tcp:127.0.0.1:7", "tcp:127.0.0.1:0", "tcp:127.0.0.1:0"]
[[serve]]
protocol = "lines"
service = "a_chat:shout"
listen = ["127.0.0.1:7"]
"""
    said = refused(text)
    assert said.count("[config/") == 1
    assert "site.toml:7:12: tcp:127.0.0.1:7 is given twice [config/address-twice]" in said
    assert "it is in site.toml:3; take one of them out" in said


def test_an_invalid_zone_alone_has_the_exit_code_of_zones(folder: Path) -> None:
    (folder / "example.zone").write_text("nonsense\n")
    with pytest.raises(ConfigError) as raised:
        built(SITE)
    assert not isinstance(raised.value, ConfigurationError)
    assert raised.value.exit_code == 4


def test_a_secret_that_others_can_read_is_a_warning_or_a_fault(folder: Path) -> None:
    (folder / "secret").chmod(0o644)
    (warning, _) = built(SITE).notes
    assert warning.startswith("warning: the secret in secret can be read or changed by")
    assert "restrict it to its owner: chmod 600" in refused(f"strict_permissions = true\n{SITE}")


def test_without_a_file_the_first_fault_is_raised(folder: Path) -> None:
    with pytest.raises(UsageError, match="'a_chat' has no 'no'"):
        build(Configuration(serve=(Lines(listen=(), service="a_chat:no"),)))
    (part,) = build(Configuration(serve=(Echo(listen=()),))).parts
    assert part.endpoint.name == "echo"


def test_a_key_that_no_file_has_allows_no_transfer(folder: Path) -> None:
    text = """
[[serve]]
protocol = "dns"
zones = ["example.zone"]
keys = ["north.key"]
allow_transfer = ["key:NORTH", "192.0.2.0/24"]
listen = ["mem:c"]
"""
    secret = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"
    (folder / "north.key").write_text(f"hmac-sha256:north.:{secret}\n")
    (folder / "north.key").chmod(0o600)
    assert built(text).parts
    wrong = refused(text.replace("key:NORTH", "key:nroth"))
    assert "site.toml:6:18: no key file has the key nroth" in wrong
    assert wrong.endswith("add its file to the keys")
