from __future__ import annotations

import base64
import subprocess

import pytest

from pierhead.errors import ConfigError, UsageError
from pierhead.protocols.dns.wire.name import from_text
from pierhead.protocols.dns.wire.tsig import Key, Keyring, bind_text, parse_key, parse_keys
from pierhead.protocols.dns.wire.tsig.key import ALGORITHMS

SECRET = b"the secret of the north, known to two"
TEXT = base64.b64encode(SECRET).decode()
KEY = Key("north.example", SECRET)


def test_a_key_does_not_show_its_secret():
    shown = f"{KEY} {KEY!r} {Keyring([KEY])!r} {[KEY]}"
    assert TEXT not in shown
    assert "secret" not in shown
    assert "north.example. hmac-sha256" in shown


def test_the_name_has_no_letter_case_and_needs_no_last_dot():
    assert Key("North.Example.", TEXT) == KEY
    assert hash(Key("North.Example.", TEXT)) == hash(KEY)
    assert KEY.name == from_text("north.example.")
    assert Key("north.example", b"another") != KEY
    assert KEY != "north.example."


@pytest.mark.rfc("8945", "6")
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_each_algorithm_is_known_by_its_name(algorithm):
    for text in (algorithm, algorithm.upper(), f"{algorithm}."):
        assert Key("a.", TEXT, algorithm=text).algorithm_text == algorithm


@pytest.mark.rfc("8945", "5.2.2.1")
@pytest.mark.parametrize(
    ("algorithm", "octets"),
    [("hmac-sha1-80", 10), ("hmac-sha256-128", 16), ("hmac-sha512-256", 32), ("hmac-sha1-160", 20)],
)
def test_an_algorithm_may_say_how_far_macs_are_truncated(algorithm, octets):
    key = Key("a.", TEXT, algorithm=algorithm)
    assert key.mac_octets == octets
    assert Key("a.", TEXT, algorithm=key.algorithm_text) == key


@pytest.mark.rfc("8945", "5.2.2.1")
@pytest.mark.parametrize(
    "algorithm",
    [
        "hmac-sha1-72",  # fewer than 10 octets
        "hmac-sha256-120",  # fewer than half
        "hmac-sha256-264",
        "hmac-sha256-129",
        "hmac-sha256-",
        "hmac-sha3",
        "",
        "sha256",
        "gss-tsig",
    ],
)
def test_other_algorithms_are_refused(algorithm):
    with pytest.raises(UsageError, match=r"hmac-sha256|whole octets"):
        Key("a.", TEXT, algorithm=algorithm)


@pytest.mark.rfc("8945", "6")
def test_md5_is_refused_by_name():
    with pytest.raises(UsageError, match="must not be used"):
        Key("a.", TEXT, algorithm="hmac-md5.sig-alg.reg.int.")


@pytest.mark.parametrize("secret", ["", b"", "not base64!", "c2Vj_mV0", "abc"])
def test_a_secret_that_is_none_is_refused_unseen(secret):
    with pytest.raises(UsageError, match="secret of key a") as caught:
        Key("a.", secret)
    assert not secret or str(secret) not in str(caught.value)


@pytest.mark.parametrize("name", ["", "a..b", "x" * 64])
def test_a_name_that_is_none_is_refused(name):
    with pytest.raises(UsageError, match="is not the name of a key"):
        Key(name, TEXT)


def test_a_keyring_has_one_key_of_a_name():
    with pytest.raises(UsageError, match="two keys are named"):
        Keyring([KEY, Key("NORTH.example", b"other")])
    with pytest.raises(UsageError, match=r"expected dns\.Key") as caught:
        Keyring([TEXT])
    assert TEXT not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "algorithm"),
    [
        (f"north.example:{TEXT}", "hmac-sha256"),
        (f"hmac-sha512:north.example.:{TEXT}\n", "hmac-sha512"),
        (f"hmac-sha256-128:north.example:{TEXT}", "hmac-sha256-128"),
    ],
)
def test_a_key_on_one_line(text, algorithm):
    assert parse_key(text) == Key("north.example", SECRET, algorithm=algorithm)


@pytest.mark.parametrize("text", ["", TEXT, f"a:b:c:{TEXT}", f"hmac-sha256:a.:{TEXT}!"])
def test_a_line_that_is_no_key_is_refused_unseen(text):
    with pytest.raises(UsageError) as caught:
        parse_key(text)
    assert TEXT not in str(caught.value)


STATEMENT = f"""
# comment
key "north.example." {{ // comment
    algorithm hmac-sha256; /* and
    another */
    secret "{TEXT}";
}};
key south {{ secret "{TEXT}"; algorithm HMAC-SHA1; }};
"""


def test_statements_of_bind():
    assert parse_keys(STATEMENT) == (KEY, Key("south", SECRET, algorithm="hmac-sha1"))


def test_lines_with_comments_as_keymgr_writes_them():
    assert parse_keys(f"; one\n\n# two\nnorth.example:{TEXT}\r\nhmac-sha1:b:{TEXT}\n") == (
        KEY,
        Key("b", SECRET, algorithm="hmac-sha1"),
    )


@pytest.mark.parametrize("algorithm", [*ALGORITHMS, "hmac-sha384-192"])
def test_what_is_written_reads_back(algorithm):
    key = Key("x-y.example", SECRET, algorithm=algorithm)
    assert parse_keys(bind_text(key)) == (key,)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_tsig_keygen_writes_is_read(algorithm):
    command = ["tsig-keygen", "-a", algorithm, "north.example"]
    written = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    (key,) = parse_keys(written.stdout)
    assert (key.text, key.algorithm_text) == ("north.example.", algorithm)


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("", "1:1", "no key"),
        ("# nothing\n", "1:1", "no key"),
        ('key "a" {', "1:10", "the file ends"),
        ('key "a" { algorithm hmac-sha1; };', "1:1", "no secret"),
        (f'key "a" {{ secret "{TEXT}"; }};', "1:1", "no algorithm"),
        (f'key "a" {{\n secret "{TEXT}"; secret "{TEXT}"; }};', "2:", "given twice"),
        (f'key "a" {{ secret {TEXT} }};', "1:", "expected ;"),
        (f'key "a" {{ sekret "{TEXT}"; }};', "1:11", "expected algorithm"),
        (f'key "a" {{ algorithm x; secret "{TEXT}"; }};', "1:1", "not an algorithm"),
        (f'key "a" {{ algorithm hmac-sha1; secret "{TEXT}!"; }};', "1:1", "not base64"),
        (f'key "a" {{ algorithm hmac-sha1; secret "{TEXT}"; }}', "1:", "the file ends"),
        (f'key "a" {{ algorithm hmac-sha1; secret "{TEXT}\n"; }};', "1:", "unexpected"),
        ("key { };", "1:5", "expected the name"),
        (STATEMENT + "zone x {};", "9:1", "expected a key statement"),
        (f"a:{TEXT}\n{TEXT}\n", "2:1", "expected [algorithm:]name:secret"),
        ("options { };", "1:1", "expected [algorithm:]name:secret"),
    ],
)
def test_a_file_that_is_wrong_says_where_and_shows_no_secret(text, where, what):
    with pytest.raises(ConfigError) as caught:
        parse_keys(text, "keys.conf")
    shown = str(caught.value)
    assert shown.startswith(f"keys.conf:{where}")
    assert what in shown
    assert TEXT not in shown
