"""Laws of addresses: what is printed parses back, and any text is an address or an error."""

from __future__ import annotations

import ipaddress
import json
import string
import tomllib

import tomlkit
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.laws.outcomes import met, shares

from pierhead.address import (
    OPTIONS,
    AbstractAddress,
    DescriptorAddress,
    InetAddress,
    InetdAddress,
    LaunchdAddress,
    ListenOptions,
    ListenSpec,
    MemoryAddress,
    SystemdAddress,
    UnixAddress,
    VsockAddress,
)
from pierhead.address.text import Span, escape
from pierhead.errors import AddressError, UsageError

MODEST = settings(max_examples=150, deadline=None)

# What `str.isprintable` accepts, without drawing what it refuses.
character = st.characters(exclude_categories=("C", "Z"), include_characters=" ")
printable = st.text(character, min_size=1, max_size=40)
label = st.text(string.ascii_letters + string.digits + "_", min_size=1, max_size=10)
names = st.lists(label, min_size=1, max_size=3).map(lambda labels: ".".join([*labels, "test"]))
zones = st.text(string.ascii_letters + string.digits + "%.-_:@", min_size=1, max_size=15)
hosts = st.one_of(
    st.just(""),
    names,
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(str),
    st.builds(
        lambda number, zone: f"{ipaddress.IPv6Address(0xFE80 << 112 | number)}%{zone}",
        st.integers(0, 2**64 - 1),
        zones,
    ),
)


@st.composite
def inet_addresses(draw: st.DrawFn) -> InetAddress:
    scheme = draw(st.sampled_from(["tcp", "udp", "quic", None]))
    port = draw(st.integers(0, 65535))
    last = draw(st.none() | st.integers(port, min(port + 1023, 65535))) if port else None
    return InetAddress(scheme, draw(hosts), port, last)


def _path(octets: bytes) -> bytes:
    return octets.replace(b"\0", b"0") + b"x"


unix_schemes = st.sampled_from(["unix", "unixgram", "unixseq"])
u32 = st.integers(0, 2**32 - 1)
fd_characters = [one for one in string.printable if one.isprintable() and one != ":"]
fd_name = st.text(st.sampled_from(fd_characters), max_size=20)
addresses = st.one_of(
    inet_addresses(),
    st.builds(UnixAddress, unix_schemes, st.binary(max_size=100).map(_path)),
    st.builds(AbstractAddress, unix_schemes, st.binary(min_size=1, max_size=107), st.booleans()),
    st.builds(
        DescriptorAddress,
        st.lists(st.integers(3, 2**31 - 1), min_size=1, max_size=5, unique=True).map(tuple),
    ),
    st.builds(
        SystemdAddress,
        st.none() | fd_name.filter(bool),
        st.none() | st.integers(0, 2**31 - 1),
    ),
    st.builds(SystemdAddress, fd_name, st.none(), st.just(True)),
    st.builds(LaunchdAddress, printable),
    st.just(InetdAddress()),
    st.builds(VsockAddress, st.sampled_from(["vsock", "vsockseq"]), u32, u32),
    st.builds(MemoryAddress, st.sampled_from(["mem", "memgram"]), printable),
)

milliseconds = st.integers(0, 10**10).map(lambda number: number / 1000)
seconds = st.none() | st.integers(1, 32_767).map(float)
octet_text = st.binary(min_size=1, max_size=30).map(
    lambda octets: octets.replace(b"\0", b"0").decode("utf-8", "surrogateescape")
)
# Values for any option type; each row of the table picks those it accepts.
values = st.one_of(
    st.booleans(),
    st.integers(0, 2**32),
    st.integers(0, 0o777),
    milliseconds,
    st.integers(0, 10**6).map(lambda number: round(number / 10**6, 6)),
    printable,
    st.sampled_from(["stale", "always", "never", "wait", "dgram", "join", "1.3", "ignore", "app"]),
    st.lists(st.sampled_from(["app", "0", "4294967294"]), min_size=1, max_size=3).map(tuple),
    st.tuples(seconds, seconds, st.none() | st.integers(1, 127)),
    st.lists(octet_text, min_size=1, max_size=3).map(tuple),
    st.lists(printable, min_size=1, max_size=3).map(tuple),
    st.lists(st.ip_addresses().map(lambda ip: f"{ip}/{ip.max_prefixlen}"), min_size=1).map(tuple),
)
rows = [option for option in OPTIONS if not option.stands_for and option.key != "pad"]


@st.composite
def option_sets(draw: st.DrawFn) -> ListenOptions:
    given: dict[str, object] = {}
    for option in draw(st.lists(st.sampled_from(rows), max_size=4)):
        value = draw(values)
        try:
            ListenOptions.of({option.key: value})
            met("drawn")
        except UsageError:
            met("example")
            value = ListenOptions.parse(option.example).get(option.key)
        given[option.key] = value
    return ListenOptions.of(given)


@st.composite
def specs(draw: st.DrawFn) -> ListenSpec:
    wrappers = draw(st.lists(st.sampled_from(["tls", "proxy"]), max_size=2, unique=True))
    address = draw(addresses)
    kept: dict[str, object] = {}
    for key, value in draw(option_sets()).given:  # those that apply to this address
        try:
            ListenSpec(tuple(wrappers), address, ListenOptions.of({**kept, key: value}))
        except UsageError:
            met("not_for_it")
            continue
        kept[key] = value
        met("for_it")
    try:
        found = ListenSpec(tuple(wrappers), address, ListenOptions.of(kept))
    except UsageError:
        return ListenSpec((), address)
    if wrappers:
        met("wrapped")
    return found


#: Of what is drawn for them: options of any value, options that an address takes, and wrappers.
OF_SPECS = {"drawn": 0.02, "example": 0.05, "for_it": 0.05, "not_for_it": 0.05, "wrapped": 0.02}


@MODEST
@given(addresses)
def test_a_printed_address_parses_back(address) -> None:
    assert ListenSpec.parse(str(address)).address == address


@shares(drawn=0.03, example=0.1)
@MODEST
@given(option_sets())
def test_printed_options_parse_back(options) -> None:
    assert ListenOptions.parse(str(options)) == options


@shares(**OF_SPECS)
@MODEST
@given(specs())
def test_a_printed_spec_parses_back_and_prints_the_same(spec) -> None:
    again = ListenSpec.parse(str(spec))
    assert again == spec
    assert hash(again) == hash(spec)
    assert str(again) == str(spec)


@shares(**OF_SPECS)
@MODEST
@given(specs())
def test_a_spec_survives_toml_and_json_as_text_and_as_a_table(spec) -> None:
    both = {"text": str(spec), "table": spec.to_table()}
    toml = tomlkit.dumps(both).encode().decode()  # strictly: UTF-8 only
    for read in (tomllib.loads(toml), json.loads(json.dumps(both))):
        assert ListenSpec.from_table(read["text"]) == spec
        assert ListenSpec.from_table(read["table"]) == spec


# The content of a file: any key, any value.
file_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | values,
    lambda below: (
        st.lists(below, max_size=3)
        | st.dictionaries(st.sampled_from(["from", "cert", "x"]), below, max_size=2)
    ),
    max_leaves=4,
)
file_keys = st.sampled_from([*sorted({row.key for row in OPTIONS}), "tls", "proxy", "adress", ""])


@shares(read=0.02, refused=0.1)
@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(st.just("address"), addresses.map(str) | file_values),
    st.dictionaries(file_keys, file_values, max_size=4),
)
def test_any_table_is_an_address_or_an_error_with_a_position(address, options) -> None:
    try:
        spec = ListenSpec.from_table({**address, **options})
    except AddressError as error:
        met("refused")
        for fault in getattr(error, "faults", [error]):
            assert 0 <= fault.position <= len(fault.text)
            assert fault.reason
            assert str(fault)
    else:
        met("read")
        assert ListenSpec.from_table(spec.to_table()) == spec


words = "tcp udp unix tls proxy sd fd vsock mem inetd sd-listen :// 127.0.0.1 ::1 80 backlog cert"
spans = st.sampled_from([*words.split(), *":+?&=#@*%[]/.-,0", "%25", "%00", "%FF"])


@shares(read=0.05, refused=0.1)
@settings(max_examples=250, deadline=None)
@given(
    st.one_of(st.text(max_size=60), st.lists(spans, max_size=9).map("".join), addresses.map(str))
)
@example("\ud800")
@example("[::1%25]:80")
def test_any_text_is_an_address_or_an_error_with_a_position(text) -> None:
    outcome = parsed(text)
    met("read" if isinstance(outcome, ListenSpec) else "refused")
    if isinstance(outcome, ListenSpec):
        assert ListenSpec.parse(str(outcome)) == outcome
    else:
        assert 0 <= outcome.position <= len(text)
        assert outcome.text == text
        assert outcome.reason


def parsed(text: str) -> ListenSpec | AddressError:
    try:
        return ListenSpec.parse(text)
    except AddressError as error:
        return error


@MODEST
@given(st.binary(max_size=60))
def test_escaped_octets_decode_to_themselves(octets) -> None:
    text = escape(octets, "?#")
    assert text.isprintable()
    assert not set(text) & set("?# ")
    assert Span.of(text).decode() == octets


@MODEST
@given(addresses)
def test_options_do_not_affect_the_identity_of_an_address(address) -> None:
    plain = ListenSpec((), address)
    named = ListenSpec((), address, ListenOptions.of({"name": "other"}))
    assert plain != named
    assert plain.address == named.address
