"""Every form of an address: what it parses to, and the one spelling it prints as."""

from __future__ import annotations

import pytest

from pierhead.address import (
    ANY,
    AbstractAddress,
    DescriptorAddress,
    InetAddress,
    InetdAddress,
    LaunchdAddress,
    ListenSpec,
    MemoryAddress,
    SystemdAddress,
    UnixAddress,
    VsockAddress,
)
from pierhead.address.views import TlsOptions

FORMS = [
    # short forms of tokio-listener, and ours
    ("127.0.0.1:8080", InetAddress(None, "127.0.0.1", 8080), "127.0.0.1:8080"),
    ("[::]:80", InetAddress(None, "::", 80), "[::]:80"),
    ("[0:0::1]:80", InetAddress(None, "::1", 80), "[::1]:80"),
    ("[::FFFF:1.2.3.4]:80", InetAddress(None, "::ffff:1.2.3.4", 80), "[::ffff:1.2.3.4]:80"),
    (":8080", InetAddress(None, "", 8080), ":8080"),
    ("*:8080", InetAddress(None, "", 8080), ":8080"),
    ("localhost:0", InetAddress(None, "localhost", 0), "localhost:0"),
    ("Example.ORG.:80", InetAddress(None, "example.org.", 80), "example.org.:80"),
    ("[fe80::1%25eth0]:80", InetAddress(None, "fe80::1%eth0", 80), "[fe80::1%25eth0]:80"),
    ("[fe80::1%eth0]:80", InetAddress(None, "fe80::1%eth0", 80), "[fe80::1%25eth0]:80"),
    ("[fe80::1%2541]:80", InetAddress(None, "fe80::1%41", 80), "[fe80::1%2541]:80"),
    ("[fe80::1%2525]:80", InetAddress(None, "fe80::1%25", 80), "[fe80::1%2525]:80"),
    ("[fe80::1%25a@b]:80", InetAddress(None, "fe80::1%a@b", 80), "[fe80::1%25a@b]:80"),
    ("/run/x.sock", UnixAddress("unix", b"/run/x.sock"), "unix:/run/x.sock"),
    ("./x.sock", UnixAddress("unix", b"./x.sock"), "unix:./x.sock"),
    ("../x.sock", UnixAddress("unix", b"../x.sock"), "unix:../x.sock"),
    ("/run/a:b@c+d", UnixAddress("unix", b"/run/a:b@c+d"), "unix:/run/a:b@c+d"),
    ("/run/a%3Fb%23c%25", UnixAddress("unix", b"/run/a?b#c%"), "unix:/run/a%3Fb%23c%25"),
    ("/run/a b", UnixAddress("unix", b"/run/a b"), "unix:/run/a%20b"),
    ("/run/%FF", UnixAddress("unix", b"/run/\xff"), "unix:/run/%FF"),
    ("/run/\udcff", UnixAddress("unix", b"/run/\xff"), "unix:/run/%FF"),
    ("/run/\xe9", UnixAddress("unix", b"/run/\xc3\xa9"), "unix:/run/\xe9"),
    ("@abstract", AbstractAddress("unix", b"abstract"), "unix:@abstract"),
    ("@a%00%FF", AbstractAddress("unix", b"a\0\xff"), "unix:@a%00%FF"),
    ("@a?pad=full", AbstractAddress("unix", b"a", padded=True), "unix:@a?pad=full"),
    ("@a?pad=exact", AbstractAddress("unix", b"a"), "unix:@a"),
    ("sd-listen", SystemdAddress(), "sd:"),
    ("SD-LISTEN", SystemdAddress(), "sd:"),
    ("sd_listen", SystemdAddress(), "sd:"),
    ("sd-listen-unix", SystemdAddress(), "sd:"),
    ("sd_listen_unix", SystemdAddress(), "sd:"),
    ("sd-listen:web", SystemdAddress("web"), "sd:web"),
    ("sd_listen:web", SystemdAddress("web"), "sd:web"),
    ("sd-listen:*", SystemdAddress("", prefix=True), "sd:*"),
    ("launchd:My%3FJob", LaunchdAddress("My?Job"), "launchd:My%3FJob"),
    ("inetd", InetdAddress(), "inetd"),
    ("INETD", InetdAddress(), "inetd"),
    ("stdio", InetdAddress(), "inetd"),
    ("-", InetdAddress(), "inetd"),
    ("vsock:2:5000", VsockAddress("vsock", 2, 5000), "vsock:2:5000"),
    # schemes
    ("tcp:0.0.0.0:0", InetAddress("tcp", "0.0.0.0", 0), "tcp:0.0.0.0:0"),
    ("tcp://0.0.0.0:80", InetAddress("tcp", "0.0.0.0", 80), "tcp:0.0.0.0:80"),
    ("TCP:h:80", InetAddress("tcp", "h", 80), "tcp:h:80"),
    ("tcp:tcp:80", InetAddress("tcp", "tcp", 80), "tcp:tcp:80"),
    ("tcp::443", InetAddress("tcp", "", 443), "tcp::443"),
    ("tcp:*:443", InetAddress("tcp", "", 443), "tcp::443"),
    ("udp:[::]:8000-8003", InetAddress("udp", "::", 8000, 8003), "udp:[::]:8000-8003"),
    ("udp:h:80-80", InetAddress("udp", "h", 80), "udp:h:80"),
    ("quic://h:443", InetAddress("quic", "h", 443), "quic:h:443"),
    ("unix:/run/a", UnixAddress("unix", b"/run/a"), "unix:/run/a"),
    ("unixgram:./a", UnixAddress("unixgram", b"./a"), "unixgram:./a"),
    ("unixseq:../a", UnixAddress("unixseq", b"../a"), "unixseq:../a"),
    ("unixgram:@a", AbstractAddress("unixgram", b"a"), "unixgram:@a"),
    ("fd:7", DescriptorAddress((7,)), "fd:7"),
    ("fd:6,5", DescriptorAddress((6, 5)), "fd:6,5"),
    ("sd:", SystemdAddress(), "sd:"),
    ("sd:#1", SystemdAddress(index=1), "sd:#1"),
    ("sd:http", SystemdAddress("http"), "sd:http"),
    ("sd:http#1", SystemdAddress("http", 1), "sd:http#1"),
    ("sd:http*", SystemdAddress("http", prefix=True), "sd:http*"),
    ("sd:a%2A%23", SystemdAddress("a*#"), "sd:a%2A%23"),
    ("inetd:", InetdAddress(), "inetd"),
    ("vsock:any:any", VsockAddress("vsock", ANY, ANY), "vsock:any:any"),
    ("vsock:HOST:9", VsockAddress("vsock", 2, 9), "vsock:2:9"),
    ("vsock:local:9", VsockAddress("vsock", 1, 9), "vsock:1:9"),
    ("vsock://hypervisor:9", VsockAddress("vsock", 0, 9), "vsock:0:9"),
    ("vsock:4294967295:9", VsockAddress("vsock", ANY, 9), "vsock:any:9"),
    ("vsockseq:3:7", VsockAddress("vsockseq", 3, 7), "vsockseq:3:7"),
    ("mem:a:b", MemoryAddress("mem", "a:b"), "mem:a:b"),
    ("memgram:a%20b", MemoryAddress("memgram", "a b"), "memgram:a%20b"),
]


@pytest.mark.parametrize(("text", "address", "canonical"), FORMS, ids=lambda case: ascii(case))
def test_a_form_parses_and_prints_canonically(text, address, canonical) -> None:
    spec = ListenSpec.parse(text)
    assert spec.address == address
    assert str(spec) == str(spec.address) == canonical
    assert ListenSpec.parse(canonical) == spec


@pytest.mark.parametrize(
    ("text", "wrappers", "canonical"),
    [
        ("tls+127.0.0.1:853", ("tls",), "tls+127.0.0.1:853"),
        ("TLS+TCP::443", ("tls",), "tls+tcp::443"),
        ("tls+/run/t.sock", ("tls",), "tls+unix:/run/t.sock"),
        ("tls+@t", ("tls",), "tls+unix:@t"),
        ("tls+sd-listen:web", ("tls",), "tls+sd:web"),
        ("tls+inetd", ("tls",), "tls+inetd"),
        ("tls+-", ("tls",), "tls+inetd"),
        ("tls+vsock:2:1", ("tls",), "tls+vsock:2:1"),
        ("tls+mem:a", ("tls",), "tls+mem:a"),
        ("tls+fd:5?type=stream", ("tls",), "tls+fd:5?type=stream"),
        ("proxy+tls+tcp:h:1", ("proxy", "tls"), "proxy+tls+tcp:h:1"),
        ("tls+proxy+tcp:h:1", ("tls", "proxy"), "tls+proxy+tcp:h:1"),
        ("proxy+udp:h:1", ("proxy",), "proxy+udp:h:1"),
        ("proxy+unixgram:/a", ("proxy",), "proxy+unixgram:/a"),
        ("proxy+quic:h:1?proxy.version=2", ("proxy",), "proxy+quic:h:1?proxy.version=2"),
    ],
)
def test_wrappers_are_kept_in_wire_order(text, wrappers, canonical) -> None:
    spec = ListenSpec.parse(text)
    assert spec.wrappers == wrappers
    assert str(spec) == canonical


def test_options_are_typed_and_printed_in_the_order_of_their_keys() -> None:
    spec = ListenSpec.parse("tcp:h:1?reuseport&backlog=512&nodelay=off&rcvbuf=4MiB&drain=90s")
    assert dict(spec.options.given) == {
        "backlog": 512,
        "drain": 90.0,
        "nodelay": False,
        "rcvbuf": 4 << 20,
        "reuseport": True,
    }
    assert str(spec) == "tcp:h:1?backlog=512&drain=90s&nodelay=off&rcvbuf=4MiB&reuseport"


def test_the_first_question_mark_starts_the_options_wherever_it_is() -> None:
    spec = ListenSpec.parse("/run/a?name=what?")
    assert spec.address == UnixAddress("unix", b"/run/a")
    assert spec.options.get("name") == "what?"


def test_a_key_that_two_schemes_share_is_read_as_the_scheme_means_it() -> None:
    assert ListenSpec.parse("/a?mode=group").options.get("mode") == 0o660
    assert ListenSpec.parse("inetd:?mode=wait").options.get("mode") == "wait"


def test_padding_is_part_of_the_address_and_keeps_its_place_among_the_options() -> None:
    spec = ListenSpec.parse("@a?rcvbuf=1KiB&pad=full&name=x")
    assert spec.address == AbstractAddress("unix", b"a", padded=True)
    assert "pad" not in spec.options
    assert str(spec) == "unix:@a?name=x&pad=full&rcvbuf=1KiB"


def test_keepalive_in_milliseconds_is_kept_as_keepalive() -> None:
    spec = ListenSpec.parse("tcp:h:1?keepalive-ms=60000:3:5000")
    assert spec.options.get("keepalive") == (60.0, 5.0, 3)
    assert str(spec) == "tcp:h:1?keepalive=1m:5s:3"


@pytest.mark.parametrize(
    ("text", "times"),
    [
        ("1500:3:500", (2.0, 1.0, 3)),
        ("1", (1.0, None, None)),
        ("1000", (1.0, None, None)),
        ("1001", (2.0, None, None)),
        ("32766001::32767000", (32767.0, 32767.0, None)),
    ],
)
def test_keepalive_in_milliseconds_is_rounded_up_to_the_seconds_of_the_system(text, times) -> None:
    assert ListenSpec.parse(f"tcp:h:1?keepalive-ms={text}").options.get("keepalive") == times


def test_a_wrapper_s_key_may_carry_the_wrapper_s_name() -> None:
    assert ListenSpec.parse("tls+tcp:h:1?tls.cert=a") == ListenSpec.parse("tls+tcp:h:1?cert=a")


def test_several_certificates_keep_their_order() -> None:
    spec = ListenSpec.parse("tls+tcp:h:1?cert=b&key=1&cert=a&key=2")
    assert TlsOptions.of(spec.options).certificates == (("b", "1"), ("a", "2"))
    assert str(spec) == "tls+tcp:h:1?cert=b&cert=a&key=1&key=2"


def test_the_key_is_in_the_file_of_the_certificate_unless_given() -> None:
    options = ListenSpec.parse("tls+h:1?cert=a").options
    assert TlsOptions.of(options).certificates == (("a", "a"),)
    assert TlsOptions.of(ListenSpec.parse("tls+h:1").options).certificates == ()
