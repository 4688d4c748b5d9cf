"""Every input that must be refused: where the error points, a word of its reason, a remedy."""

from __future__ import annotations

import pytest

from pierhead.address import ListenSpec
from pierhead.address.text import LONGEST_TEXT
from pierhead.errors import AddressError

LONG = "h" * (LONGEST_TEXT + 1)

# The groups are numbered as in the research that collected them; what only opening a socket can
# tell (most of 7, 9, 10 and 15) is in tests/unit/listener/test_refused_at_opening.py.
INVALID = [
    # 1 blanks, control characters, length
    (1, "", 0, "empty"),
    (1, "   ", 0, "blank"),
    (1, "\t", 0, "blank"),
    (1, " tcp:h:80", 0, "blanks"),
    (1, "tcp:h:80 ", 8, "blanks"),
    (1, "tcp:h:80\n", 8, "U+000A"),
    (1, "/run/a\0b", 6, "U+0000"),
    (1, "/run/a\u200bb", 6, "U+200B"),
    (1, "/run/a\ud800b", 6, "U+D800"),
    (1, LONG, LONGEST_TEXT, "characters"),
    # 2 hosts
    (2, "8080", 0, "port alone"),
    (2, "tcp:8080", 4, "port alone"),
    (2, "127.0.0.1", 9, "port is missing"),
    (2, "localhost", 9, "port is missing"),
    (2, "::1:80", 0, "brackets"),
    (2, "fe80::1:80", 0, "brackets"),
    (2, "tcp:::1:80", 4, "brackets"),
    (2, "fe80::1%eth0", 0, "brackets"),
    (2, "[::1]80", 5, "expected :PORT"),
    (2, "[::1]", 5, "expected :PORT"),
    (2, "[::1", 0, "never closed"),
    (2, "tcp:[::1:80", 4, "never closed"),
    (2, "[::1%25]:80", 4, "zone"),
    (2, "[::1%a/b]:80", 1, "zone"),
    (2, "[fe80::1%a b]:80", 1, "zone"),
    (2, "[1.2.3.4]:80", 1, "not an IPv6"),
    (2, "[::12345]:80", 1, "not an IPv6"),
    (2, "1.2.3.4:", 8, "port is missing"),
    (2, "1.2.3:80", 0, "not an IPv4"),
    (2, "01.2.3.4:80", 0, "not an IPv4"),
    (2, "1.2.3.256:80", 0, "not an IPv4"),
    (2, "tcp:127.1:80", 4, "not an IPv4"),
    (2, "0x7f.1:80", 0, "number"),
    (2, "tcp:0x7f000001:80", 4, "number"),
    (2, "h\N{LATIN SMALL LETTER E WITH ACUTE}:80", 1, "xn--"),
    (2, "-h:80", 0, "host name"),
    (2, "a..b:80", 0, "host name"),
    (2, f"{'a' * 64}.b:80", 0, "host name"),
    (2, f"{'a.' * 127}:80", 0, "253"),
    # 3 ports
    (3, "h:-1", 2, "not a port"),
    (3, "h:65536", 2, "above 65535"),
    (3, "h:80a", 4, "not a port"),
    (3, "tcp:h:80a", 8, "not a port"),
    (3, "h:+80", 2, "not a port"),
    (3, "h:\N{ARABIC-INDIC DIGIT EIGHT}", 2, "not a port"),
    (3, "h:http", 2, "not the name"),
    (3, "h:80-70", 2, "backwards"),
    (3, "h:1-1025", 2, "1025 ports"),
    (3, "h:0-5", 2, "port 0"),
    (3, "h:80-65536", 5, "above 65535"),
    (3, "h:80-", 4, "not a port"),
    # 4 what belongs to a URL, and unknown schemes
    (4, "tcp://h:80/path", 10, "path"),
    (4, "tcp://h:80/", 10, "path"),
    (4, "tcp:h/path:80", 5, "path"),
    (4, "http://h:80/", 0, "unknown scheme"),
    (4, "user@h:80", 4, "user"),
    (4, "tcp:user:pw@h:80", 11, "user"),
    (4, "h:80#top", 4, "#"),
    (4, "unix:/run/a#b", 11, "#"),
    (4, "h:80?name=a#b", 11, "#"),
    (4, "tpc:127.0.0.1:80", 0, "unknown scheme"),
    (4, "unxi:/run/a", 0, "unknown scheme"),
    (4, "tls+tpc:./a", 4, "unknown scheme"),
    (4, "tls:127.0.0.1:80", 0, "wrapper"),
    (4, "stdio:80", 0, "needs a scheme"),
    (4, "tcp", 0, "without an address"),
    # 5 options
    (5, "h:80?", 5, "option is expected"),
    (5, "h:80?nodelay&", 13, "option is expected"),
    (5, "h:80?=1", 5, "option is expected"),
    (5, "h:80?bcklog=1", 5, "unknown option"),
    (5, "h:80?xyzzy=1", 5, "unknown option"),
    (5, "h:80?proxy.form=::/0", 5, "unknown option"),
    (5, "h:80?tls.backlog=1", 5, "unknown option"),
    (5, "h:80?backlog=1&backlog=1", 15, "twice"),
    (5, "h:80?keepalive&keepalive-ms=1000", 15, "twice"),
    (5, "h:80?backlog=", 13, "empty"),
    (5, "h:80?backlog", 12, "needs a value"),
    (5, "/a?mode=888", 8, "mode"),
    (5, "/a?mode=rw", 8, "mode"),
    (5, "/a?mode=4755", 8, "mode"),
    (5, "/a?unlink=alway", 10, "unknown"),
    (5, "/a?user=a:b", 8, "user or group"),
    (5, "/a?group=4294967295", 9, "user or group"),
    (5, "h:80?backlog=-1", 13, "out of range"),
    (5, "h:80?backlog=2147483648", 13, "out of range"),
    (5, "h:80?backlog=ten", 13, "not a number"),
    (5, "h:80?rcvbuf=1Q", 12, "not a size"),
    (5, "h:80?rcvbuf=0", 12, "out of range"),
    (5, "h:80?maxseg=87", 12, "expected 88 to 32767 bytes"),
    (5, "h:80?maxseg=32768", 12, "expected 88 to 32767 bytes"),
    (5, "h:80?mtu-discover=never", 18, "expected dont, want, do, probe, interface or omit"),
    (6, "udp:h:80?maxseg=1220", 9, "not for udp"),
    (6, "/a?mtu-discover=do", 3, "not for unix"),
    (5, "h:80?keepalive=500ms", 15, "whole seconds"),
    (5, "h:80?keepalive=60s:1500ms", 19, "whole seconds"),
    (5, "h:80?keepalive=60s:5s:200", 22, "out of range"),
    (5, "h:80?keepalive=1s:1s:1:1", 23, "three parts"),
    (5, "h:80?keepalive-ms=0", 18, "whole seconds"),
    (5, "h:80?keepalive-ms=32767001", 18, "whole seconds"),
    (5, "h:80?keepalive-ms=1:1:0", 22, "whole seconds"),
    (5, "h:80?keepalive-ms=1s", 18, "milliseconds"),
    (5, "h:80?drain=30", 11, "no unit"),
    (5, "h:80?drain=1.5s", 11, "not a duration"),
    (5, "h:80?idle-timeout=1441m", 18, "out of range"),
    (5, "h:80?nodelay=maybe", 13, "not a switch"),
    (5, "/a?allow-uid=", 13, "empty"),
    (5, "/a?allow-uid=app,,0", 17, "user or group"),
    (5, "/a?allow-gid=4294967295", 13, "user or group"),
    (6, "tcp:h:80?allow-uid=0", 9, "not for tcp"),
    (5, "h:80?name=%0A", 10, "unprintable"),
    (5, "h:80?name=%zz", 10, "hexadecimal"),
    (5, "h:80?name=%FF", 10, "UTF-8"),
    (5, f"h:80?name={'n' * 65}", 10, "too long"),
    (5, "memgram:a?loss=1.5", 15, "fraction"),
    # 6 options of other schemes
    (6, "tcp:h:80?mode=0600", 9, "not for tcp"),
    (6, "h:80?mode=0600", 5, "not for host:port"),
    (6, "@a?mode=0600", 3, "abstract"),
    (6, "@a?unlink=never", 3, "abstract"),
    (6, "/a?pad=full", 3, "abstract"),
    (6, "fd:5?mode=0600", 5, "not for fd"),
    (6, "127.0.0.1:80?v6only", 13, "IPv4"),
    (6, ":80?v6only", 4, "wildcard"),
    (6, "/a?nodelay", 3, "not for unix"),
    (6, "udp:h:80?nodelay", 9, "not for udp"),
    (6, "udp:h:80?backlog=5", 9, "not for udp"),
    (6, "unixgram:/a?backlog=5", 12, "not for unixgram"),
    (6, "memgram:a?backlog=5", 10, "not for memgram"),
    (6, "fd:5?backlog=5", 5, "not for fd"),
    (6, "udp:h:80?maxconn=5", 9, "not for udp"),
    (6, "vsock:2:1?sndbuf=4KiB", 10, "not for vsock"),
    (6, "inetd?mode=0600", 11, "unknown"),
    (6, "h:80?cert=a", 5, "not for"),
    (6, "h:80?proxy.version=2", 5, "not for"),
    # 7 paths
    (7, f"unix:/{'p' * 107}", 5, "108 octets"),
    (7, f"/{'%41' * 107}", 0, "108 octets"),
    (7, "/run/", 0, "directory"),
    (7, "..", 0, "directory"),
    (7, "/run/..", 0, "directory"),
    (7, "/run/%00", 5, "NUL"),
    (7, "/run/%4", 5, "hexadecimal"),
    # 8 names without a path
    (8, "@", 1, "empty"),
    (8, "unixgram:@", 10, "empty"),
    (8, f"@{'n' * 108}", 1, "108 octets"),
    (8, "unix:", 5, "no path"),
    (8, "unix:a.sock", 5, "starts with"),
    (8, "unix:.hidden", 5, "starts with"),
    (8, "a.sock", 0, "starts with"),
    (8, "run/a", 0, "starts with"),
    (8, "~/a.sock", 0, "shell"),
    (8, "unix:~/a.sock", 5, "starts with"),
    # 9 descriptors
    (9, "fd:0", 0, "standard input"),
    (9, "fd:7,2", 0, "descriptor 2"),
    (9, "fd:-1", 3, "number from 0"),
    (9, "fd:x", 3, "number from 0"),
    (9, "fd:", 3, "nothing"),
    (9, "fd:3,", 5, "nothing"),
    (9, "fd:2147483648", 3, "2147483647"),
    (9, "fd:5,5", 5, "twice"),
    # 10 names of passed sockets
    (10, "sd-listen:", 10, "empty"),
    (10, "sd-listen-unix:web", 14, "takes no name"),
    (10, "sd:a:b", 4, "without :"),
    (10, "sd:#x", 4, "number from 0"),
    (10, "sd:web#", 7, "nothing"),
    (10, "sd:a*b", 4, "end of a name"),
    (10, "sd:web*#1", 7, "pattern"),
    (10, "sd:w\N{LATIN SMALL LETTER E WITH ACUTE}b", 3, "ASCII"),
    (10, f"sd:{'n' * 256}", 3, "255"),
    # 11 standard input
    (11, "inetd:web", 6, "nothing may follow"),
    (11, "quic+inetd", 0, "not a wrapper"),
    # 12 virtual machines
    (12, "vsock:4294967296:1", 6, "32 bits"),
    (12, "vsock:-1:1", 6, "32 bits"),
    (12, "vsock:2:4294967296", 8, "32 bits"),
    (12, "vsock:2:host", 8, "32 bits"),
    (12, "vsock:2", 7, "missing"),
    (12, "vsock:gest:1", 6, "CID"),
    # 13 wrappers
    (13, "tls+tcp:h:1?alpn=", 17, "empty"),
    (13, "tls+tcp:h:1?alpn=h2,", 20, "empty"),
    (13, f"tls+tcp:h:1?alpn=h2,{'p' * 256}", 20, "too long"),
    (13, "tls+tcp:h:1?cert=a&key=1&key=2", 19, "2 keys for 1"),
    (13, "tls+tcp:h:1?cert=%00", 17, "NUL"),
    (13, "tls+tcp:h:1?min=1.1", 16, "unknown"),
    (13, "tls+udp:h:1", 0, "DTLS"),
    (13, "tls+unixgram:/a", 0, "DTLS"),
    (13, "tls+unixseq:/a", 0, "borders"),
    (13, "tls+fd:5?type=dgram", 0, "DTLS"),
    (13, "proxy+tls+sd:?type=seqpacket", 0, "streams and datagrams"),
    (13, "tls+quic:h:1", 0, "TLS inside"),
    (13, "proxy+quic:h:1", 0, "version 2"),
    (13, "proxy+udp:h:1?proxy.version=1", 0, "version 1"),
    (13, "proxy+vsockseq:2:1", 0, "streams and datagrams"),
    (13, "quic+tcp:h:1", 0, "not a wrapper"),
    (13, "tls+tls+tcp:h:1", 4, "twice"),
    (13, "proxy+tls+proxy+tcp:h:1", 10, "twice"),
    (13, "tsl+tcp:h:1", 0, "unknown wrapper"),
    (13, "tls+", 4, "no address"),
    (13, "?nodelay", 0, "no address"),
    (13, "proxy+tcp:h:1?proxy.from=10.0.0.1/8", 25, "behind the prefix"),
    (13, "proxy+tcp:h:1?proxy.from=::/0,x", 30, "not a network"),
    # 14 options that cannot be
    (14, "unix:/a?reuseport", 8, "not for unix"),
    (14, "fd:5?optional", 5, "not for fd"),
    # memory networks
    (15, "mem:", 4, "empty"),
    (15, "memgram:%00", 8, "unprintable"),
    (15, f"mem:{'n' * 256}", 4, "255"),
]


@pytest.mark.parametrize(
    ("text", "position", "word"),
    [pytest.param(*case, id=f"{group}-{case[0][:40]!a}") for group, *case in INVALID],
)
def test_invalid_input_is_refused_with_position_reason_and_remedy(text, position, word) -> None:
    with pytest.raises(AddressError) as caught:
        ListenSpec.parse(text)
    error = caught.value
    assert error.text == text
    assert (error.position, word in error.reason) == (position, True), error
    assert error.remedy, error
    assert error.remedy not in error.reason


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("8080", ":8080"),
        ("127.0.0.1", "127.0.0.1:PORT"),
        ("::1:80", "[::1]:80"),
        ("::1", "[::1]:PORT"),
        ("fe80::1:80", "[fe80::1]:80"),
        ("[::1]80", "[::1]:80"),
        ("h:80-70", "70-80"),
        ("tpc:127.0.0.1:80", "tcp:"),
        ("http://h/", "tcp:"),
        ("https://h/", "tls+tcp:"),
        ("TLS:h:443", "tls+tcp:h:443"),
        ("tsl+tcp:h:1", "tls+"),
        ("h:80?bcklog=1", "backlog"),
        ("h:80?drain=30", "30s"),
        ("/a?unlink=alway", "always"),
        ("unix:a.sock", "unix:./a.sock"),
        ("a.sock", "./a.sock"),
        ("inted", "inetd"),
        ("sdlisten", "sd-listen"),
        (":80?v6only", "[::]:80"),
        ("proxy+quic:h:1", "proxy.version=2"),
        ("proxy+tcp:h:1?proxy.from=10.0.0.1/8", "10.0.0.0/8"),
        ("1.2.3:80", "192.0.2.1"),
        ("0x7f.1:80", "192.0.2.1"),
        ("[::12345]:80", "[2001:db8::1]"),
        ("[fe80::1%a b]:80", "[fe80::1%25eth0]"),
        ("h:65536", "0 for any free port"),
        ("h:1-1025", "several addresses"),
        ("tcp://h:80/path", "leave it out"),
        ("stdio:80", "tcp:stdio:80"),
        ("/a?mode=888", "mode=0660"),
        ("h:80?rcvbuf=1Q", "rcvbuf=4MiB"),
        ("fd:x", "fd:3"),
        ("sd:a:b", "FileDescriptorName="),
        (".hidden", "did you mean ./.hidden?"),
        ("tls+.hidden", "did you mean ./.hidden?"),
        (".hidden?mode=group", "did you mean ./.hidden?"),
        ("two words", "did you mean ./two words?"),
        ("app-", "did you mean ./app-?"),
        ("...", "did you mean ./...?"),
        (".hidden:80", "did you mean ./.hidden:80?"),
        (".hidden/app:80", "did you mean ./.hidden/app:80?"),
        (".hidden:web", "did you mean ./.hidden:web?"),
        (".1.2:80", "did you mean ./.1.2:80?"),
        (".a:b:c", "did you mean ./.a:b:c?"),
        ("..:80", "did you mean ./..:80?"),
        ("proxy+.hidden:80?proxy.from=10.0.0.0/8", "did you mean ./.hidden:80?"),
        ("tcp:.hidden", "did you mean ./.hidden?"),
        ("tls+tcp:.hidden?mode=group", "did you mean ./.hidden?"),
        ("udp:.hidden", "did you mean unixgram:./.hidden?"),
        ("tcp:app", "write app:PORT"),
        ("app", "write app:PORT, or ./app for a path"),
        ("vsock:gest:1", "any"),
    ],
)
def test_an_error_names_the_nearest_valid_form(text, remedy) -> None:
    with pytest.raises(AddressError) as caught:
        ListenSpec.parse(text)
    assert remedy in caught.value.remedy


def test_an_error_points_below_the_text() -> None:
    with pytest.raises(AddressError) as caught:
        ListenSpec.parse("tcp:h:80a")
    assert str(caught.value).splitlines()[1:3] == ["  tcp:h:80a", "          ^"]


@pytest.mark.parametrize(
    ("host", "reason", "remedy"),
    [
        (".x", "begins with a dot", "write x"),
        ("..x.example", "begins with a dot", "write x.example"),
        ("a..b", "two dots in a row", "write a.b"),
        ("a..", "two dots in a row", "write a"),
        (".", "begins with a dot", "write a name like dns.example.org"),
        ("..-", "begins with a dot", "write a name like dns.example.org"),
    ],
)
@pytest.mark.parametrize("scheme", ["tcp", "udp"])
def test_an_extra_dot_is_reported_and_the_text_without_it_is_a_host(
    host: str, reason: str, remedy: str, scheme: str
) -> None:
    with pytest.raises(AddressError, match=reason) as caught:
        ListenSpec.parse(f"{scheme}:{host}:80")
    assert caught.value.remedy.startswith(remedy)
    if "name like" not in remedy:
        assert ListenSpec.parse(f"{scheme}:{remedy.removeprefix('write ')}:80")


@pytest.mark.parametrize(
    "text",
    [
        ".hidden",
        ".hidden:80",
        ".hidden/app:80",
        "..:80",
        ".a:b:c",
        "tcp:.hidden",
        "udp:.hidden",
        "two words",
        "app-",
        "...",
    ],
)
def test_the_path_suggested_for_an_invalid_host_is_an_address(text):
    with pytest.raises(AddressError) as caught:
        ListenSpec.parse(text)
    offered = caught.value.remedy.removeprefix("did you mean ").removesuffix("?")
    assert ListenSpec.parse(offered)
