"""Every remedy for an address that is refused is one: it is followed, and the address parses."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from tests.remedies import remedies_of
from tests.unit.address.test_invalid_input import INVALID, LONG

from pierhead.address import AbstractAddress, ListenOptions, ListenSpec, explain
from pierhead.address.flags import FLAGS, fill_in
from pierhead.errors import AddressError, UsageError

#: What stands for something that only the reader knows.
FILLED = {
    "HOST:PORT": "h:80",
    "[ADDRESS]": "[::1]",
    "PORT": "80",
    "CID": "2",
    "NAME": "web",
    "scheme:target": "unix:/run/a",
    "quic:… with wrappers, if any, in front": "quic:h:1",
}
#: What is offered in words of its own: how an address looks that follows it.
IN_WORDS = {
    "a path": r"/run/a",
    "HOST:PORT or scheme:target": r"tls+h:80|h:80|tls+unix:/run/a|unix:/run/a",
    "a number": r"1.2.3.4:1|vsock:2:1",
    "0 takes any free port": r"1.2.3.4:0",
    "0 for any free port": r"h:0",
    "a number from 1 to 65535": r"h:1|h:65535|h:80-81|h:65534-65535|tcp:h:65535",
    "its number": r"h:80",
    "several addresses": r"h:1-1024|h:1025",
    "0 alone for a free port": r"h:0",
    "begin with another": r"h:1-5",
    "four decimal numbers, like 192.0.2.1": r"192.0.2.1:80",
    "a name like dns.example.org": r"dns.example.org:80",
    "an IP address": r"192.0.2.1:80|[::1]:80",
    "the interface's name: [fe80::1%25eth0]:PORT": r"[fe80::1%25eth0]:80",
    "the interface's name: [::1%25eth0]:PORT": r"[::1%25eth0]:80",
    "brackets are for IPv6": r"[::1]:80",
    "IPv4 addresses and names without": r"1.2.3.4:80",
    "up to eight groups of up to four hexadecimal digits: [2001:db8::1]:PORT": r"[2001:db8::1]:80",
    "shorten its names and paths": f"{LONG[:63]}:80",
    "such an address ends with its port": r"tcp://h:80|tcp:h:80",
    "where a path has it": r"/run/a%0A|/run/a%E2%80%8Bb|/run/a%ED%A0%80b",
    "where a path or name has it": r"unix:/run/a%23b|h:80?name=a%23b",
    "key=value, with & between options": r"h:80?nodelay&backlog=5",
    "the name in UTF-8": r"h:80?name=%C3%A9",
    "use a shorter path": f"unix:/{'p' * 106}",
    "one relative to the directory": f"unix:./{'p' * 105}",
    "name the socket in it": r"/run/a|../a",
    "use a shorter name": f"@{'n' * 107}|mem:{'n' * 255}",
    "the whole path": r"/root/a.sock|unix:/root/a.sock",
    "add force to take it anyway": r"fd:0?force|fd:7,2?force",
    "inetd": r"inetd",
    "sd-listen for the only socket there is": r"sd-listen",
    "the name that FileDescriptorName= gives in the .socket unit": r"sd:web",
    "#0 for the first of them": r"sd:#0|sd:web#0",
    "%2A for a star": r"sd:a%2Ab",
    "leave out the * or the #": r"sd:web#1|sd:web*",
    "%25 for a percent sign": r"/run/%254|h:80?name=%25zz",
    "any for any of them": r"vsock:any:1|vsock:2:any",
    "fd:3,4 for two": r"fd:3,4",
    "give one key for each cert, in order": "tls+tcp:h:1?cert=a&key=1|"
    "tls+tcp:h:1?cert=a&cert=b&key=1&key=2",
    "none": r"tls+tcp:h:1?cert=a",
    "add proxy.version=2": r"proxy+quic:h:1?proxy.version=2",
    "proxy.version=2": r"proxy+udp:h:1?proxy.version=2",
    "quic: without tls+": r"quic:h:1",
    "type=stream": r"tls+fd:5?type=stream|proxy+tls+sd:?type=stream",
}
#: A remedy for what is blamed first, where something else is wrong as well: what both lead to.
WRONG_TWICE = {
    "http://h:80/": "tcp://h:80",
    "h:80?proxy.form=::/0": "proxy+tcp:h:80?proxy.from=::/0",
    "h:80?name=%0A": "h:80?name=a",
    "memgram:%00": "memgram:a",
    "/run/%00": "/run/a",
    "tls+unixgram:/a": "tls+unix:/a",
}
_REMOVES = re.compile(r"leave (it|one of them) out|take it out|it is for ")
_WRITES = re.compile(r"^(did you mean |write it like |write |use )")


def alternatives(remedy: str) -> list[str]:
    """Return each thing that a remedy offers, without the verb."""
    offered = re.sub(r" \(units: .*\)$", "", remedy).removesuffix("?")
    if offered in IN_WORDS or (_REMOVES.match(offered) and "such" not in offered):
        return [part for part in re.split(r"; ", offered) if not part.startswith("where a path")]
    parts = re.split(r", or |; |: (?=such)|, (?=a path|write %)", offered)
    return [_WRITES.sub("", part) if part not in IN_WORDS else part for part in parts]


def written(text: str, position: int, words: str) -> Iterator[str]:
    """Give what somebody writes who puts these words where the blame is."""
    for placeholder, value in FILLED.items():
        words = words.replace(placeholder, value)
    words = words.strip("'")
    yield words
    yield text[:position] + words
    for stop in (r"[&,]", r"[&,?:+]", r"[&=]", r"[?&]"):
        rest = re.search(stop, text[position:])
        yield text[:position] + words + (text[position + rest.start() :] if rest else "")
        before = [match.end() for match in re.finditer(r"[&?+:]", text[:position])]
        for begin in (0, *before):
            yield text[:begin] + words + (text[position + rest.start() :] if rest else "")
            yield text[:begin] + words + text[position:].partition(":")[2]


def removed(text: str, position: int) -> Iterator[str]:
    """Give the text without the option, the wrapper or the character that is blamed."""
    end = next((n for n in range(position, len(text)) if text[n] in "&+,"), len(text))
    begin = max(text.rfind(mark, 0, position) for mark in "&?+,:") + 1
    yield text[:begin] + text[end + 1 :]
    yield text[: begin - 1] + text[end:] if begin else ""
    yield text[:position] + text[position + 1 :]
    yield text[:position]


def parses(text: str) -> bool:
    try:
        ListenSpec.parse(text)
    except AddressError:
        return False
    return True


@pytest.mark.parametrize("text", [case[1] for case in INVALID], ids=lambda text: f"{text[:40]!a}")
def test_a_remedy_mends(text: str) -> None:
    with pytest.raises(AddressError) as caught:
        ListenSpec.parse(text)
    error = caught.value
    for words in alternatives(error.remedy):
        if text in WRONG_TWICE:
            tried = [WRONG_TWICE[text]]
        elif words in IN_WORDS:
            tried = IN_WORDS[words].split("|")
            assert all(map(parses, tried)), (words, tried)
        elif _REMOVES.match(words):
            tried = list(removed(text, error.position))
        else:
            tried = list(written(text, error.position, words))
        assert any(map(parses, tried)), (error.remedy, words, tried)


@pytest.mark.parametrize(
    ("refused", "written"),
    [
        ("tls+udp:h:1", "tls+tcp:h:1"),
        ("tls+unixgram:/a", "tls+unix:/a"),
        ("tls+unixseq:/a", "tls+unix:/a"),
        ("tls+vsockseq:2:1", "tls+vsock:2:1"),
        ("tls+memgram:a", "tls+mem:a"),
        ("proxy+unixseq:/a", "proxy+unix:/a"),
        ("proxy+vsockseq:2:1", "proxy+vsock:2:1"),
        ("tls+fd:5?type=dgram", "tls+fd:5?type=stream"),
        ("tls+sd:?type=seqpacket", "tls+sd:?type=stream"),
        ("proxy+sd:?type=seqpacket", "proxy+sd:?type=stream"),
    ],
)
def test_the_suggested_stream_scheme_is_for_the_same_address(refused: str, written: str) -> None:
    with pytest.raises(AddressError) as caught:
        ListenSpec.parse(refused)
    offered = caught.value.remedy.removeprefix("write ")
    assert written.startswith(offered) or written.endswith(offered)
    assert parses(written)


@pytest.mark.parametrize(
    ("refused", "offered", "written"),
    [
        ("tpc:./a", "unix:", "unix:./a"),
        ("tls+tpc:/run/a", "unix:", "tls+unix:/run/a"),
        ("unxgram:@a", "unixgram:", "unixgram:@a"),
        ("http:/run/a", "unix:", "unix:/run/a"),
        ("https:/run/a", "tls+unix:", "tls+unix:/run/a"),
        ("unixpacket:/run/a", "unixseq:", "unixseq:/run/a"),
        ("unixx:h:80", "schemes are", "tcp:h:80"),
        ("ucp:h:80", "udp:", "udp:h:80"),
        ("http://h:80", "tcp:", "tcp://h:80"),
        ("tls:/run/a", "tls+unix:/run/a", "tls+unix:/run/a"),
        ("proxy:unix:/run/a", "proxy+unix:/run/a", "proxy+unix:/run/a"),
        ("tls:udp.example:80", "tls+tcp:udp.example:80", "tls+tcp:udp.example:80"),
    ],
)
def test_a_suggested_scheme_fits_the_target(refused: str, offered: str, written: str) -> None:
    with pytest.raises(AddressError) as caught:
        ListenSpec.parse(refused)
    assert offered in caught.value.remedy
    assert parses(written)


def test_only_standard_input_can_come_from_a_super_server() -> None:
    for text, is_offered in (("fd:0", True), ("fd:1", False), ("fd:2", False)):
        with pytest.raises(AddressError) as caught:
            ListenSpec.parse(text)
        assert ("inetd" in caught.value.remedy) is is_offered
        assert parses(f"{text}?force")


def test_no_escape_is_suggested_where_none_is_decoded() -> None:
    for text in ("/run/a\0b", "unix:/run/a\0"):
        with pytest.raises(AddressError) as caught:
            ListenSpec.parse(text)
        assert caught.value.remedy == "take it out"
        assert parses(text.replace("\0", ""))


@pytest.mark.parametrize("flag", [flag for flag in FLAGS.values() if not flag.is_switch])
def test_the_value_that_is_advised_for_an_empty_flag_is_taken(flag) -> None:
    try:
        flag.read("")
    except AddressError as error:
        remedy = error.remedy
    else:
        return  # it may be empty
    assert remedy.startswith(f"write {flag.name} ")
    assert flag.read(remedy.removeprefix(f"write {flag.name} ")) is not None


@pytest.mark.parametrize("flag", FLAGS.values(), ids=lambda flag: flag.name)
def test_a_flag_without_effect_is_left_out_or_gets_an_address_that_it_is_for(flag) -> None:
    value = flag.option.flag_value
    if value is None:
        value = True if flag.is_switch else flag.read(flag.example)
    spec = ListenSpec.parse("mem:a")
    with pytest.raises(UsageError) as caught:
        fill_in([spec], {flag.name: value})
    message = str(caught.value)
    assert message.endswith(f"leave {flag.name} out, or give an address that it is for")
    assert fill_in([spec], {}) == (spec,)
    schemes = re.search(r"it is for ([\w, +]+)", message)[1].split(", ")
    for address in (f"{ONE_OF[scheme]}" for scheme in schemes if scheme in ONE_OF):
        (filled,) = fill_in([ListenSpec.parse(address)], {flag.name: value})
        assert flag.key in filled.options


#: An address of each scheme that a flag may be for.
ONE_OF = {
    "tcp": "tcp:h:1",
    "udp": "udp:h:1",
    "unix": "unix:/a",
    "unixgram": "unixgram:/a",
    "unixseq": "unixseq:/a",
    "sd": "sd:",
    "fd": "fd:3",
}


class Datagrams:
    """What a short form means to a protocol without streams."""

    short_form = ("udp",)


@pytest.mark.parametrize(
    ("refused", "remedy", "ways"),
    [
        ("tls+h:1?cert=a", "leave tls+ out", ["h:1"]),
        ("h:1?nodelay", "leave it out, or write a scheme", ["h:1", "tcp:h:1?nodelay"]),
    ],
)
def test_a_short_form_that_a_protocol_cannot_have_is_mended(refused, remedy, ways) -> None:
    with pytest.raises(AddressError) as caught:
        ListenSpec.parse(refused).resolve(Datagrams())
    assert caught.value.remedy == remedy
    for way in ways:
        assert ListenSpec.parse(way).resolve(Datagrams())


def test_padding_that_is_given_as_an_option_is_mended() -> None:
    name = AbstractAddress("unix", b"a")
    with pytest.raises(AddressError) as caught:
        ListenSpec((), name, ListenOptions((("pad", "full"),)))
    assert caught.value.remedy == "write AbstractAddress(padded=True)"
    padded = ListenSpec((), AbstractAddress("unix", b"a", padded=True), ListenOptions())
    assert str(padded) == "unix:@a?pad=full"


def test_a_certificate_that_is_missing_is_added() -> None:
    with pytest.raises(AddressError) as caught:
        explain("tls+tcp:h:1")
    assert caught.value.remedy == "add cert=FILE, and key=FILE if apart"
    for written in ("cert=FILE", "cert=FILE&key=FILE"):
        assert explain(f"tls+tcp:h:1?{written}").listeners


#: What no text of an address alone leads to; the functions above follow these, and
#: test_dialling.py those of clients.
BY_OTHER_MEANS = (
    "write AbstractAddress(padded=True)",
    "add cert=FILE, and key=FILE if apart",
    "schemes are",
    "leave tls+ out",
    "leave it out, or write a scheme",
    "write the address itself, such as tcp:HOST:PORT",
    ":2:PORT for the host of this machine",
    "add server-name=NAME",
    "write one port",
)


def test_every_remedy_of_an_address_is_given_for_one_that_is_tried() -> None:
    """`test_a_remedy_mends` follows each; tables and flags have tests of their own."""
    given = []
    for case in INVALID:
        with pytest.raises(AddressError) as caught:
            ListenSpec.parse(case[1])
        given.append(caught.value.remedy)
    found = remedies_of("address", positions={"AddressError": 3, "error": 1, "Conflict": 2})
    assert len(found) >= 75
    untested = [
        str(one)
        for one in found
        if one.module not in ("address/table.py", "address/flags.py")
        and one.words not in BY_OTHER_MEANS
        and not any(one.matches(remedy) for remedy in given)
    ]
    assert untested == []
