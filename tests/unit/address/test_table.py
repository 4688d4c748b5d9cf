"""The table form: what configuration files contain, and how their faults are reported."""

from __future__ import annotations

import copy
import json
import pickle
import tomllib
from dataclasses import FrozenInstanceError, is_dataclass

import pytest

from pierhead.address import OPTIONS, ListenSpec
from pierhead.errors import AddressError, TableError, UsageError

READ = [
    ('address = "127.0.0.1:80"', "127.0.0.1:80"),
    ('address = "tcp::80"\nbacklog = 512', "tcp::80?backlog=512"),
    ('address = "tcp::80"\nbacklog = "512"', "tcp::80?backlog=512"),
    ('address = "tcp::80"\nreuseport = true', "tcp::80?reuseport"),
    ('address = "tcp::80"\nreuseport = false', "tcp::80?reuseport=off"),
    ('address = "tcp::80"\nreuseport = "no"', "tcp::80?reuseport=off"),
    ('address = "tcp::80"\nkeepalive = true', "tcp::80?keepalive"),
    ('address = "tcp::80"\nkeepalive = "60s:5s:3"', "tcp::80?keepalive=1m:5s:3"),
    ('address = "tcp::80"\nkeepalive-ms = "60000:3:5000"', "tcp::80?keepalive=1m:5s:3"),
    ('address = "tcp::80"\nrcvbuf = 65536', "tcp::80?rcvbuf=64KiB"),
    ('address = "tcp::80"\nrcvbuf = "64KiB"', "tcp::80?rcvbuf=64KiB"),
    ('address = "tcp::80"\ndrain = 30', "tcp::80?drain=30s"),
    ('address = "tcp::80"\ndrain = 0.5', "tcp::80?drain=500ms"),
    ('address = "tcp::80"\ndrain = "2m"', "tcp::80?drain=2m"),
    ('address = "tcp::80"\nname = "R&D #1"', "tcp::80?name=R%26D%20%231"),
    ('address = "memgram:a"\nloss = 0.01\nseed = 7', "memgram:a?loss=0.01&seed=7"),
    ('address = "unix:/x"\nmode = "0660"', "unix:/x?mode=0660"),
    ('address = "unix:/x"\nuser = 33\ngroup = "www"', "unix:/x?group=www&user=33"),
    ('address = "unix:/x"\nallow-uid = ["app", 0]', "unix:/x?allow-uid=app,0"),
    ('address = "unix:/x"\nallow-uid = 33', "unix:/x?allow-uid=33"),
    ('address = "@x"\npad = "full"', "unix:@x?pad=full"),
    ('address = "inetd"\nmode = "wait"', "inetd?mode=wait"),
    ('address = "tls+tcp::80"\ncert = "a.pem"', "tls+tcp::80?cert=a.pem"),
    ('address = "tls+tcp::80"\ncert = ["a", "b"]', "tls+tcp::80?cert=a&cert=b"),
    ('address = "tls+tcp::80?cert=a"\nmin = "1.3"', "tls+tcp::80?cert=a&min=1.3"),
    ('address = "tls+tcp::80"\ntls.cert = "a"', "tls+tcp::80?cert=a"),
    ('address = "tls+tcp::80"\n"tls.cert" = "a"', "tls+tcp::80?cert=a"),
    ('address = "tls+tcp::80"\nalpn = ["h2", "http/1.1"]', "tls+tcp::80?alpn=h2,http/1.1"),
    ('address = "tls+tcp::80"\nalpn = "h2,http/1.1"', "tls+tcp::80?alpn=h2,http/1.1"),
    ('address = "proxy+tcp::80"\nproxy.from = "::1"', "proxy+tcp::80?proxy.from=::1/128"),
    (
        'address = "proxy+tcp::80"\n"proxy.from" = ["10.0.0.0/8", "::1"]',
        "proxy+tcp::80?proxy.from=10.0.0.0/8,::1/128",
    ),
    (
        'address = "proxy+tcp::80"\n[proxy]\nfrom = "::1"\nversion = 2\ntimeout = 1.5',
        "proxy+tcp::80?proxy.from=::1/128&proxy.timeout=1500ms&proxy.version=2",
    ),
]


@pytest.mark.parametrize(("toml", "canonical"), READ, ids=[toml for toml, _ in READ])
def test_a_table_reads_as_the_equivalent_address(toml: str, canonical: str) -> None:
    spec = ListenSpec.from_table(tomllib.loads(toml))

    assert str(spec) == canonical
    assert ListenSpec.from_table(spec.to_table()) == spec == ListenSpec.parse(canonical)


def test_a_text_is_read_as_an_address() -> None:
    assert ListenSpec.from_table("tcp::80?backlog=5") == ListenSpec.parse("tcp::80?backlog=5")


def test_a_table_is_written_in_types_that_files_have() -> None:
    spec = ListenSpec.parse(
        "proxy+tls+tcp::443?backlog=5&cert=a&drain=30s&keepalive&nodelay=off"
        "&proxy.from=::1&rcvbuf=4MiB"
    )

    assert spec.to_table() == {
        "address": "proxy+tls+tcp::443",
        "backlog": 5,
        "cert": ["a"],
        "drain": "30s",
        "keepalive": True,
        "nodelay": False,
        "proxy.from": ["::1/128"],
        "rcvbuf": "4MiB",
    }


REFUSED = [
    ('address = "tcp::80"\nbacklog = 0', "backlog = 0", 10, "0 is not a value of backlog"),
    ('address = "tcp::80"\nbacklog = "x"', 'backlog = "x"', 11, "'x' is not a number"),
    ('address = "tcp::80"\nbacklog = 1.5', "backlog = 1.5", 10, "1.5 is not a value of backlog"),
    ('address = "tcp::80"\nbacklog = true', "backlog = true", 10, "true is not a value of backlog"),
    ('address = "tcp::80"\nbacklog = [1]', "backlog = [1]", 10, "one value, not a list"),
    ('address = "tcp::80"\nbacklog = {}', "backlog = {…}", 10, "{…} is not a value of backlog"),
    ('address = "tcp::80"\nbacklog = 1e400', "backlog = inf", 10, "inf is not a value"),
    ('address = "tcp::80"\ndrain = nan', "drain = nan", 8, "nan is not a value of drain"),
    ('address = "tcp::80"\ndrain = 2000-01-01', "drain = date", 8, "date is not a value of drain"),
    ('address = "tcp::80"\ndrain = "5"', 'drain = "5"', 9, "5 has no unit"),
    ('address = "tcp::80"\ndrain = -1', "drain = -1", 8, "-1 is not a value of drain: expected 0s"),
    ('address = "tcp::80"\nname = ""', 'name = ""', 8, "the value of name is empty"),
    ('address = "tcp::80"\nname = 5', "name = 5", 7, "5 is not a value of name"),
    ('address = "tcp::80"\nname = "100%"', 'name = "100%"', 11, "two hexadecimal digits"),
    ('address = "tcp::80"\nname = "a\\tb"', 'name = "a\tb"', 9, "unprintable character U+0009"),
    ('address = "tcp::80"\nbakclog = 5', "bakclog = 5", 0, "unknown option 'bakclog'"),
    ('address = "tcp::80"\nproxy = true', "proxy = true", 0, "unknown option 'proxy'"),
    ('address = "tcp::80"\ntls.backlog = 5', "tls.backlog = 5", 0, "unknown option"),
    ('address = "tcp::80"\nmode = "0660"', 'mode = "0660"', 0, "mode is not for tcp"),
    ('address = "tcp:1.2.3.4:80"\nv6only = true', "v6only = true", 0, "IPv4 address 1.2.3.4"),
    ('address = "unix:/x"\nmode = 0o660', "mode = 432", 7, "may or may not have been octal"),
    ('address = "unix:/x"\nallow-uid = []', "allow-uid = []", 12, "the list of allow-uid is empty"),
    (
        'address = "unix:/x"\nallow-uid = ["app", -1]',
        'allow-uid = ["app", -1]',
        20,
        "-1 is not a value of allow-uid",
    ),
    (
        'address = "proxy+tcp::80"\nproxy.from = ["::1", "10.0.0.1/8"]',
        'proxy.from = ["::1", "10.0.0.1/8"]',
        22,
        "bits set behind the prefix",
    ),
    (
        'address = "tcp::80?backlog=5"\nbacklog = 5',
        "backlog = 5",
        0,
        "backlog is given twice: here, and in the address",
    ),
    (
        'address = "tcp::80"\nkeepalive = true\nkeepalive-ms = "1000"',
        'keepalive-ms = "1000"',
        0,
        "keepalive-ms says again what keepalive says",
    ),
    (
        'address = "@x?pad=full"\npad = "exact"',
        'pad = "exact"',
        0,
        "pad is given twice: here, and in the address",
    ),
    (
        'address = "tls+tcp::80"\ncert = "a"\nkey = ["a", "b"]',
        'key = ["a", "b"]',
        0,
        "there are 2 keys for 1 certificates",
    ),
    ('address = "tls+udp::80"', "tls+udp::80", 0, "TLS needs a stream"),
    ('address = "127.0.0.1"', "127.0.0.1", 9, "the port is missing"),
    ("address = 80", "address = 80", 10, "80 is not an address: expected text"),
    ("backlog = 5", "{ backlog }", 0, "the table has no address"),
    ('backlog = 5\nadress = ":80"', "{ backlog, adress }", 11, "the table has no address"),
    ("", "{  }", 0, "the table has no address"),
]


@pytest.mark.parametrize(
    ("toml", "text", "position", "reason"), REFUSED, ids=[toml for toml, *_ in REFUSED]
)
def test_an_error_points_into_the_entry(toml: str, text: str, position: int, reason: str) -> None:
    with pytest.raises(AddressError) as caught:
        ListenSpec.from_table(tomllib.loads(toml))

    assert type(caught.value) is AddressError
    assert caught.value.text == text
    assert caught.value.position == position
    assert reason in caught.value.reason


REMEDIES = [
    ("backlog = 0", "write backlog = 512"),
    ("backlog = [1]", "write backlog = 512"),
    ('drain = "5"', "did you mean 5s? (units: ms, s, m, h, d)"),
    ("name = 5", 'write name = "5"'),
    ("reuseport = 1", "write reuseport = true"),
    ("allow-uid = -1", 'write allow-uid = "app,0"'),
    ("mode = 0o660", 'write mode = "0660"'),
    ("mode = 660", 'write mode = "0660"'),
    ("min = 1.3", 'write min = "1.3"'),
    ('unlink = "allways"', "did you mean always?"),
    ('adress = ":80"', "did you mean address?"),
    ("address = 80", 'write address = "127.0.0.1:80"'),
    ("address = 66000", 'write address = "HOST:PORT"'),
]


@pytest.mark.parametrize(("entry", "remedy"), REMEDIES, ids=[entry for entry, _ in REMEDIES])
def test_an_error_says_what_to_write_instead(entry: str, remedy: str) -> None:
    key = entry.partition(" ")[0]
    for address in ("tls+tcp:[::]:80", "tls+unix:/x"):
        table = tomllib.loads(entry)
        if key not in ("address", "adress"):
            table["address"] = address
        with pytest.raises(AddressError) as caught:
            ListenSpec.from_table(table)
        if "is not for" not in caught.value.reason:
            assert caught.value.remedy == remedy
            return
    pytest.fail(f"{entry} is for none of the addresses")


def test_every_fault_of_a_table_is_reported_at_once() -> None:
    with pytest.raises(TableError) as caught:
        ListenSpec.from_table({"address": "127.0.0.1", "backlog": 0, "bakclog": 1, "mode": 432})

    # mode is not checked: only an address that parses determines which of its two meanings applies.
    assert [fault.text for fault in caught.value.faults] == [
        "127.0.0.1",
        "backlog = 0",
        "bakclog = 1",
    ]
    assert caught.value.position == 9
    assert str(caught.value).splitlines() == [
        "the port is missing",
        "  127.0.0.1",
        "           ^",
        "  write 127.0.0.1:PORT",
        "0 is not a value of backlog: expected a whole number from 1 to 2147483647",
        "  backlog = 0",
        "            ^",
        "  write backlog = 512",
        "unknown option 'bakclog'",
        "  bakclog = 1",
        "  ^",
        "  did you mean backlog?",
    ]


def test_every_conflict_is_reported_at_once() -> None:
    with pytest.raises(TableError, match=r"TLS needs a stream[^!]*2 keys for 1 cert"):
        ListenSpec.from_table({"address": "tls+udp::1", "cert": "a", "key": ["a", "b"]})


@pytest.mark.parametrize("value", [80, None, 1.5, [":80"], True, b":80"])
def test_a_value_that_is_neither_text_nor_table_is_refused(value: object) -> None:
    with pytest.raises(AddressError, match="is not an address: expected text, or a table"):
        ListenSpec.from_table(value)  # type: ignore[arg-type]


def test_numbers_without_end_are_refused_in_one_line() -> None:
    with pytest.raises(AddressError, match="a number of 40001 bits is not a value of backlog"):
        ListenSpec.from_table({"address": ":80", "backlog": 1 << 40_000})


def test_an_entry_without_end_is_refused() -> None:
    with pytest.raises(AddressError, match="at most 4096"):
        ListenSpec.from_table({"address": ":80", "name": "x" * 5000})


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.example)
def test_the_example_of_every_option_is_good_in_a_table(option) -> None:
    key, _, text = option.example.partition("=")
    scheme = min(option.schemes, default="tcp")
    target = {"quic": ":1", "tcp": ":1", "udp": ":1", "fd": "3", "inetd": "", "launchd": "x"}
    head = f"{next(iter(option.wrappers))}+" if option.wrappers and scheme == "tcp" else ""
    if scheme in ("unix", "unixgram", "unixseq"):
        address = f"{scheme}:@x" if option.abstract else f"{scheme}:/x"
    else:
        address = f"{head}{scheme}:{target.get(scheme, 'x')}"
    if key == "v6only":
        address = "tcp:[::]:1"
    table: dict[str, object] = {"address": address, key: text or True}
    if key == "key":
        table["cert"] = "a.pem"

    spec = ListenSpec.from_table(table)

    assert (option.stands_for or key) in spec.options or spec.address != ListenSpec.parse(address)
    assert ListenSpec.from_table(json.loads(json.dumps(spec.to_table()))) == spec


def test_several_faults_are_one_error_that_can_be_pickled() -> None:
    with pytest.raises(UsageError) as caught:
        ListenSpec.from_table({"address": 1, "x": 2})

    again = pickle.loads(pickle.dumps(caught.value))

    assert str(again) == str(caught.value)
    assert again.exit_code == 2


# -- a spec is one value, whatever reads or writes its program's configuration ------------------


def test_a_spec_is_not_a_dataclass_and_is_immutable() -> None:
    spec = ListenSpec.parse("tcp::80")

    assert not is_dataclass(spec)
    with pytest.raises(FrozenInstanceError, match="address"):
        spec.address = spec.address  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError, match="options"):
        del spec.options


def test_a_spec_is_copied_pickled_matched_and_shown() -> None:
    spec = ListenSpec.parse("tls+tcp::80?cert=a")

    assert pickle.loads(pickle.dumps(spec)) == copy.deepcopy(spec) == copy.copy(spec) == spec
    assert spec != "tls+tcp::80?cert=a"
    match spec:
        case ListenSpec(wrappers, address, options):
            assert ListenSpec(wrappers, address, options) == spec
    assert repr(spec).startswith("ListenSpec(wrappers=('tls',), address=InetAddress(scheme='tcp'")
