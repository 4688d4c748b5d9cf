"""Options: typed values, one table, one order."""

from __future__ import annotations

import pytest

from pierhead.address import OPTIONS, KeepaliveTimes, ListenOptions, ListenSpec
from pierhead.address.listen_options import effect_of_change
from pierhead.address.option import Effect
from pierhead.errors import AddressError, UsageError

# The help message that tokio-listener's users know.
TOKIO_LISTENER_FLAGS = {
    "--unix-listen-unlink",
    "--unix-listen-chmod",
    "--unix-listen-uid",
    "--unix-listen-gid",
    "--sd-accept-ignore-environment",
    "--tcp-keepalive",
    "--tcp-reuse-port",
    "--recv-buffer-size",
    "--send-buffer-size",
    "--tcp-only-v6",
    "--tcp-listen-backlog",
}

VALUES = [
    ("backlog=512", 512, "backlog=512"),
    ("reuseport", True, "reuseport"),
    ("reuseport=on", True, "reuseport"),
    ("reuseport=No", False, "reuseport=off"),
    ("rcvbuf=512", 512, "rcvbuf=512B"),
    ("rcvbuf=2048B", 2048, "rcvbuf=2KiB"),
    ("rcvbuf=4MiB", 4 << 20, "rcvbuf=4MiB"),
    ("drain=500ms", 0.5, "drain=500ms"),
    ("drain=0s", 0.0, "drain=0s"),
    ("drain=5s", 5.0, "drain=5s"),
    ("drain=120s", 120.0, "drain=2m"),
    ("drain=90m", 5400.0, "drain=90m"),
    ("drain=60m", 3600.0, "drain=1h"),
    ("drain=24h", 86400.0, "drain=1d"),
    ("drain=1d", 86400.0, "drain=1d"),
    ("drain=1001ms", 1.001, "drain=1001ms"),
    ("mode=0660", 0o660, "mode=0660"),
    ("mode=600", 0o600, "mode=0600"),
    ("mode=owner", 0o600, "mode=0600"),
    ("mode=group", 0o660, "mode=0660"),
    ("mode=everybody", 0o666, "mode=0666"),
    ("mode=wait", "wait", "mode=wait"),
    ("user=app", "app", "user=app"),
    ("user=0", 0, "user=0"),
    ("allow-uid=app,0", ("app", "0"), "allow-uid=app,0"),
    ("allow-gid=007", ("7",), "allow-gid=7"),
    ("name=a%20b", "a b", "name=a%20b"),
    ("name=a%26b", "a&b", "name=a%26b"),
    ("cert=/etc/%FF", ("/etc/\udcff",), "cert=/etc/%FF"),
    ("cert=a&cert=b", ("a", "b"), "cert=a&cert=b"),
    ("alpn=h2,http/1.1", ("h2", "http/1.1"), "alpn=h2,http/1.1"),
    ("alpn=a%2Cb", ("a,b",), "alpn=a%2Cb"),
    ("keepalive", KeepaliveTimes(), "keepalive"),
    ("keepalive=60s", KeepaliveTimes(60.0), "keepalive=1m"),
    ("keepalive=60s::3", KeepaliveTimes(60.0, None, 3), "keepalive=1m::3"),
    ("keepalive=:5s", KeepaliveTimes(None, 5.0), "keepalive=:5s"),
    ("proxy.from=10.0.0.0/8,::1", ("10.0.0.0/8", "::1/128"), "proxy.from=10.0.0.0/8,::1/128"),
    ("loss=0.010", 0.01, "loss=0.01"),
    ("loss=1", 1.0, "loss=1"),
]


@pytest.mark.parametrize(("text", "value", "canonical"), VALUES)
def test_a_value_is_typed_and_printed_canonically(text, value, canonical) -> None:
    options = ListenOptions.parse(text)
    assert options.given[0][1] == value
    assert type(options.given[0][1]) is type(value)
    assert str(options) == canonical
    assert ListenOptions.parse(canonical) == options


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.key)
def test_every_row_of_the_table_is_complete(option) -> None:
    assert option.schemes or option.wrappers
    assert option.meaning
    assert not option.meaning.endswith(".")
    assert option.type.expected
    assert option.default is None or option.type.accepts(option.default)
    target = {"fd": "5", "sd": "", "unix": "@a" if option.abstract else "/a", "mem": "a"}
    scheme = min(option.schemes) if option.schemes else "tcp"
    wrapper = "" if option.schemes else f"{min(option.wrappers)}+"
    example = option.example if option.key != "key" else f"cert=a&{option.example}"
    place = target.get(scheme, {"memgram": "a", "inetd": ""}.get(scheme, "[::]:1"))
    spec = ListenSpec.parse(f"{wrapper}{scheme}:{place}?{example}")
    assert ListenSpec.parse(str(spec)) == spec


def test_every_flag_of_tokio_listener_has_a_key() -> None:
    assert {option.flag for option in OPTIONS if option.flag} == TOKIO_LISTENER_FLAGS


def test_only_given_options_are_held_and_looked_up_with_a_default() -> None:
    options = ListenOptions.of({"reuseport": True, "backlog": 512})
    assert options.get("backlog", 1024) == 512
    assert options.get("nodelay", False) is False
    assert options.get("nodelay") is None
    assert "backlog" in options
    assert "nodelay" not in options
    assert options.given == (("backlog", 512), ("reuseport", True))
    assert options.without("backlog") == ListenOptions.of({"reuseport": True})
    assert not ListenOptions()
    assert ListenOptions.parse("") == ListenOptions()


@pytest.mark.parametrize(
    "given",
    [
        {"bcklog": 1},
        {"backlog": "1"},
        {"backlog": True},
        {"backlog": 0},
        {"nodelay": 1},
        {"drain": 0.0001},
        {"drain": float("nan")},
        {"drain": True},
        {"rcvbuf": 0},
        {"mode": 0o1777},
        {"mode": "rw"},
        {"user": "1000"},
        {"user": -1},
        {"name": "a\nb"},
        {"name": ""},
        {"cert": "a"},
        {"cert": ()},
        {"cert": ("a\0",)},
        {"cert": ("\ud800",)},
        {"alpn": ()},
        {"alpn": ("",)},
        {"keepalive": (60.5, None, None)},
        {"keepalive": (60.0,)},
        {"keepalive": 60},
        {"keepalive-ms": (60.0, None, None)},
        {"proxy.from": ("10.0.0.1/8",)},
        {"proxy.from": ("10.0.0.1",)},
        {"proxy.from": ()},
        {"loss": 0.00000001},
        {"loss": True},
    ],
    ids=str,
)
def test_a_value_of_another_type_or_range_cannot_be_given(given) -> None:
    with pytest.raises(UsageError):
        ListenOptions.of(given)


def test_a_key_cannot_be_given_twice() -> None:
    with pytest.raises(UsageError, match="twice"):
        ListenOptions((("backlog", 1), ("backlog", 2)))


def test_an_error_in_options_alone_points_into_them() -> None:
    with pytest.raises(AddressError) as caught:
        ListenOptions.parse("reuseport&mode=rw")
    assert caught.value.position == 15


@pytest.mark.parametrize(
    ("before", "after", "effect"),
    [
        ("", "", None),
        ("backlog=7&nodelay", "nodelay&backlog=7", None),
        ("", "drain=1s", Effect.AT_ONCE),
        ("drain=1s", "", Effect.AT_ONCE),
        ("drain=1s", "drain=2s", Effect.AT_ONCE),
        ("drain=1s&maxconn=3", "drain=2s&maxconn=4", Effect.NEW_CONNECTIONS),
        ("maxconn=3", "maxconn=3&reuseport", Effect.NEW_LISTENER),
        ("", "keepalive=60s", Effect.NEW_CONNECTIONS),
        ("nodelay=off", "", Effect.NEW_CONNECTIONS),
        ("cert=a", "cert=a&cert=b", Effect.NEW_CONNECTIONS),
        # Nobody knows how large the system would have made the buffer.
        ("rcvbuf=4MiB", "", Effect.NEW_LISTENER),
        ("mode=wait", "mode=0660", Effect.NEW_LISTENER),
    ],
)
def test_a_change_takes_effect_when_its_last_option_does(before, after, effect) -> None:
    given = ListenOptions.parse(before), ListenOptions.parse(after)
    assert effect_of_change(*given) is effect


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("idle", "idle-timeout"),
        ("idle_timeout", "idle-timeout"),
        ("Idle-Timeout", "idle-timeout"),
        ("handshake", "handshake-timeout"),
        ("rate_limit", "maxrate"),
        ("rate-limit", "maxrate"),
        ("max_connections", "maxconn"),
        ("max-connections-per-network", "maxconn-per-network"),
        ("tcp_nodelay", "nodelay"),
        ("ipv6only", "v6only"),
        ("chmod", "mode"),
        ("owner", "user"),
        ("certfile", "cert"),
        ("keyfile", "key"),
        ("cafile", "ca"),
        ("sni", "server-name"),
        ("interface", "iface"),
        ("backlgo", "backlog"),
    ],
)
def test_the_key_that_was_probably_meant_is_suggested(written, meant):
    with pytest.raises(AddressError) as caught:
        ListenSpec.parse(f"tcp:h:1?{written}=5")
    assert caught.value.remedy == f"did you mean {meant}?"
    with pytest.raises(UsageError, match=f"did you mean {meant}"):
        ListenOptions(((written, 5),))


def test_what_other_programs_call_an_option_is_no_key_and_means_one_option():
    elsewhere = [name for option in OPTIONS for name in option.elsewhere]
    assert not {*elsewhere} & {option.key for option in OPTIONS}
    assert len({*elsewhere}) == len(elsewhere) >= 10
