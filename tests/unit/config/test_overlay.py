from __future__ import annotations

import pytest

from pierhead.config.configuration import Configuration, Dns, Lines
from pierhead.config.overlay import from_environment, from_option, variable
from pierhead.config.reading import ConfigurationError, Document, parse
from pierhead.errors import UsageError

TEXT = """\
limits.idle_timeout = "5s"
[[serve]]
protocol = "dns"
zones = ["zones/"]
listen = ["127.0.0.1:5300"]
[[serve]]
protocol = "lines"
service = "a:b"
listen = ["tcp:127.0.0.1:7"]
"""


def overlaid(environ: dict[str, str], *options: str) -> Document:
    settings = [*from_environment(environ), *map(from_option, options)]
    return parse(TEXT, "pierhead.toml", settings)


def refused(environ: dict[str, str], *options: str) -> str:
    with pytest.raises(ConfigurationError) as raised:
        overlaid(environ, *options)
    return str(raised.value)


def test_the_environment_goes_before_the_file_and_options_before_both() -> None:
    environ = {
        "PIERHEAD_LIMITS_IDLE_TIMEOUT": "6s",
        "PIERHEAD_LIMITS_MAX_PEERS": "6",
        "PIERHEAD_LOGGING_LEVEL": "info",
        "PIERHEAD_STRICT_PERMISSIONS": "true",
        "PIERHEAD_SERVE_0_NSID": "1234",
        "PIERHEAD_SERVE_0_LISTEN": "127.0.0.1:1 127.0.0.1:2",
        "PIERHEAD_SERVE_1_LIMITS_MAX_CONNECTIONS": "3",
        "PIERHEAD_LISTEN": "of no concern",
        "HOME": "/",
    }
    document = overlaid(environ, "limits.idle_timeout=7s", 'serve[0].zones=["a/", "b/"]')
    configuration: Configuration = document.configuration
    assert configuration.limits == {"idle_timeout": 7, "max_peers": 6}
    assert configuration.logging.level == "info"
    assert configuration.strict_permissions
    first, second = configuration.serve
    assert isinstance(first, Dns)
    assert isinstance(second, Lines)
    assert (first.nsid, first.zones) == ("1234", ("a/", "b/"))
    assert [str(one) for one in first.listen] == ["127.0.0.1:1", "127.0.0.1:2"]
    assert second.limits == {"max_connections": 3}
    origins = {
        ("limits", "idle_timeout"): "--set",
        ("limits", "max_peers"): "PIERHEAD_LIMITS_MAX_PEERS",
        ("serve", 0, "listen"): "PIERHEAD_SERVE_0_LISTEN",
        ("serve", 0, "listen", 1): "PIERHEAD_SERVE_0_LISTEN",
        ("serve", 1, "service"): "pierhead.toml:8",
    }
    for path, origin in origins.items():
        assert document.at(path).origin == origin
    assert variable(("serve", 0, "listen")) == "PIERHEAD_SERVE_0_LISTEN"


def test_a_fault_in_a_variable_or_an_option_is_shown_there() -> None:
    said = refused({"PIERHEAD_LIMITS_IDLE_TIMEOUT": "6"}, "serve[0].rate_limit=fast")
    assert "PIERHEAD_LIMITS_IDLE_TIMEOUT:1:30: 6 has no unit" in said
    assert "  PIERHEAD_LIMITS_IDLE_TIMEOUT=6\n  " + " " * 29 + "^" in said
    assert "--set:1:21: found the text 'fast'" in said


@pytest.mark.parametrize(
    ("environ", "options", "words"),
    [
        ({"PIERHEAD_LIMITS_IDEL_TIMEOUT": "6s"}, (), "did you mean idle_timeout?"),
        ({"PIERHEAD_SERVE_0_ZONE": "a"}, (), "did you mean zones?"),
        ({"PIERHEAD_SERVE_7_ZONES": "a"}, (), "serve has 2 elements"),
        ({}, ("server[0].zones=[]",), "did you mean serve?"),
        ({}, ("serve.x=1",), "serve has 2 elements"),
        ({}, ("limits.idle_timeout.x=1",), "limits.idle_timeout is no table"),
        ({}, ("serve[0].listen[3]=:1",), "serve[0].listen has 1 elements"),
        ({}, ("serve=1",), "serve is no array of tables"),
        ({}, ("limits[0]=1",), "limits has no key 0"),
    ],
)
def test_what_names_nothing_is_reported(
    environ: dict[str, str], options: tuple[str, ...], words: str
) -> None:
    assert words in refused(environ, *options)


@pytest.mark.parametrize("text", ["", "limits", "=5", "a[b]=1", "a..=1"])
def test_an_option_that_sets_nothing_is_a_mistake(text: str) -> None:
    with pytest.raises(UsageError, match="--set"):
        from_option(text)


def test_an_option_is_written_as_the_advice_says() -> None:
    with pytest.raises(UsageError, match=r"expected KEY=VALUE: limits\.idle_timeout=5s"):
        from_option("limits")
    assert from_option("limits.idle_timeout=5s").path == ("limits", "idle_timeout")
    with pytest.raises(UsageError, match=r"expected one as in serve\[0\]\.listen"):
        from_option("serve(0)=1")
    assert from_option("serve[0].listen=:1").path == ("serve", 0, "listen")
