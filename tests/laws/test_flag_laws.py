"""Laws of flags: they mean what the option in the address means, and never override it."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.laws.outcomes import met, shares

from pierhead.address import ListenSpec
from pierhead.address.flags import FLAGS, fill_in
from pierhead.errors import AddressError, UsageError

MODEST = settings(max_examples=150, deadline=None)

ADDRESSES = (
    "127.0.0.1:80",
    "[::1]:80?v6only=off",
    "localhost:80?backlog=5",
    "tcp::80?reuseport=off&keepalive",
    "udp:[::]:53?rcvbuf=1MiB",
    "tls+tcp::443?cert=a.pem",
    "/run/a.sock",
    "unixgram:./a.sock?mode=0600&user=app",
    "@a",
    "sd-listen",
    "sd:web?pid=check",
    "fd:7",
    "inetd",
    "vsock:any:5000",
    "mem:a",
)
VALUES = {
    "--send-buffer-size": "256KiB",
    "--recv-buffer-size": "65536",
    "--tcp-listen-backlog": "512",
    "--tcp-keepalive": "60000:3:5000",
    "--unix-listen-chmod": "group",
    "--unix-listen-uid": "app",
    "--unix-listen-gid": "33",
}

specs = st.lists(st.sampled_from(ADDRESSES).map(ListenSpec.parse), min_size=1, max_size=4)
flags = st.lists(st.sampled_from(sorted(FLAGS)), unique=True, max_size=5)


def value_of(name: str):
    flag = FLAGS[name]
    return flag.option.flag_value if flag.is_switch else flag.read(VALUES[name])


def written_out(spec: ListenSpec, name: str) -> ListenSpec | None:
    """Return the address with the option written into it as text; None if it is not allowed."""
    flag = FLAGS[name]
    if flag.key in spec.options:
        return spec
    said = flag.option.key if flag.is_switch else f"{flag.option.key}={VALUES[name]}"
    if isinstance(flag.option.flag_value, str):
        said = f"{flag.option.key}={flag.option.flag_value}"
    text = str(spec)
    try:
        return ListenSpec.parse(f"{text}{'&' if '?' in text else '?'}{said}")
    except AddressError:
        return None


@shares(filled_in=0.3, refused=0.02)
@MODEST
@given(specs, st.sampled_from(sorted(FLAGS)))
def test_a_flag_is_the_option_written_into_every_address_that_takes_it(
    several: list[ListenSpec], name: str
) -> None:
    expected = [written_out(spec, name) for spec in several]
    try:
        found = fill_in(several, {name: value_of(name)})
    except UsageError:
        met("refused")
        assert not any(expected)
    else:
        met("filled_in")
        assert any(expected)
        assert list(found) == [
            after or before for before, after in zip(several, expected, strict=True)
        ]


@shares(filled_in=0.2, refused=0.02)
@MODEST
@given(specs, flags)
def test_the_order_of_flags_is_irrelevant_and_applying_them_twice_changes_nothing(
    several: list[ListenSpec], names: list[str]
) -> None:
    given_flags = {name: value_of(name) for name in names}
    try:
        found = fill_in(several, given_flags)
    except UsageError:
        met("refused")
        return
    met("filled_in")
    assert fill_in(several, dict(reversed(given_flags.items()))) == found
    assert fill_in(found, given_flags) == found
    for before, after in zip(several, found, strict=True):
        assert (after.wrappers, after.address) == (before.wrappers, before.address)
        assert set(before.options.given) <= set(after.options.given)
        assert ListenSpec.parse(str(after)) == after


@shares(read=0.1, refused=0.1)
@MODEST
@given(
    st.sampled_from(sorted(VALUES)),
    st.one_of(st.text(max_size=20), st.sampled_from(sorted(VALUES.values()))),
)
def test_any_text_is_a_value_or_a_pierhead_error(name: str, text: str) -> None:
    try:
        value = FLAGS[name].read(text)
    except AddressError as error:
        met("refused")
        position = error.position
    else:
        met("read")
        position = 0
        assert FLAGS[name].option.type.accepts(value)
    assert 0 <= position <= len(text)
