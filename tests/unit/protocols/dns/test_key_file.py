from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from pierhead.errors import ConfigError, UsageError
from pierhead.protocols import dns
from pierhead.protocols.dns.wire.tsig import bind_text

KEYS = dns.Key("north.example", b"one"), dns.Key("south.example", b"two", algorithm="hmac-sha1")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "keys.conf"
    path.touch(0o600)
    path.write_text("".join(bind_text(key) for key in KEYS))
    return path


def test_the_keys_of_a_file_are_read(file, caplog):
    assert dns.read_keys(file) == KEYS
    assert dns.read_keys(str(file), strict_permissions=True) == KEYS
    assert caplog.records == []


@pytest.mark.skipif(os.name == "nt", reason="modes mean nothing there")
def test_a_file_that_others_can_read_is_a_warning_or_an_error(file, caplog):
    file.chmod(0o644)
    with caplog.at_level(logging.WARNING):
        assert dns.read_keys(file) == KEYS
    assert "can be read or changed by everybody (mode 0644); restrict" in caplog.text
    assert f"chmod 600 {file}" in caplog.text
    with pytest.raises(UsageError, match="can be read or changed by everybody"):
        dns.read_keys(file, strict_permissions=True)
    file.chmod(0o600)
    assert dns.read_keys(file, strict_permissions=True) == KEYS


def test_what_cannot_be_read_is_named(tmp_path):
    for path, why in ((tmp_path / "none", "No such file"), (tmp_path, "a directory")):
        with pytest.raises(UsageError, match=why) as caught:
            dns.read_keys(path)
        assert str(path) in str(caught.value)


def test_what_is_no_key_is_named_with_its_line(file):
    file.write_text(bind_text(KEYS[0]) + "zone x {};\n")
    with pytest.raises(ConfigError, match=r"keys.conf:5:1: expected a key statement"):
        dns.read_keys(file)
    file.write_bytes(b"\xff\xfe\0key")
    with pytest.raises(ConfigError, match=r"keys.conf:1:1"):
        dns.read_keys(file)
