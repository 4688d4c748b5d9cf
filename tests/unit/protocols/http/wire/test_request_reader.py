"""Requests are read strictly: what could be read in two ways is refused."""

from __future__ import annotations

import pytest

from pierhead.errors import DecodeError, UsageError
from pierhead.protocols.http.wire.head_rules import Head, check_trailers
from pierhead.protocols.http.wire.limits import LIMITS, RequestLimits
from pierhead.protocols.http.wire.refusal import BadMessage
from pierhead.protocols.http.wire.request_reader import RequestReader

HOST = b"Host: example.org\r\n"


def reader(**limits: float) -> RequestReader:
    return RequestReader(RequestLimits.of(limits))


def read(octets: bytes, **limits: float) -> tuple[Head, bytes, RequestReader]:
    """Read one whole request."""
    it = reader(**limits)
    it.feed(octets)
    head = it.head()
    assert head is not None
    return head, it.body() if it.is_in_body else b"", it


def refused(octets: bytes, **limits: float) -> int:
    """Return the status that a request is refused with."""
    try:
        read(octets, **limits)
    except DecodeError as error:
        return getattr(error, "status", 0)
    return 200


def get(fields: bytes = HOST, line: bytes = b"GET / HTTP/1.1\r\n") -> bytes:
    return line + fields + b"\r\n"


def post(fields: bytes, content: bytes = b"") -> bytes:
    return b"POST / HTTP/1.1\r\n" + HOST + fields + b"\r\n" + content


def chunked(content: bytes) -> bytes:
    return post(b"Transfer-Encoding: chunked\r\n", content)


@pytest.mark.rfc("9112", "3")
def test_a_head_has_its_parts() -> None:
    head, _, it = read(get(HOST + b"X-One:  a b \t\r\nx-one:\r\n", b"PUT /p?q=1 HTTP/1.1\r\n"))
    assert (head.method, head.target, head.version) == ("PUT", "/p?q=1", "1.1")
    assert list(head.fields) == [("Host", "example.org"), ("X-One", "a b"), ("x-one", "")]
    assert (head.authority, head.length, head.keeps_alive) == ("example.org", 0, True)
    assert it.buffered == 0


@pytest.mark.rfc("9112", "6.2")
def test_content_has_the_length_that_is_given() -> None:
    head, content, it = read(post(b"Content-Length: 5\r\n", b"helloGET"))
    assert (head.length, content, it.is_in_body, it.buffered) == (5, b"hello", False, 3)


@pytest.mark.rfc("9112", "7.1")
def test_chunks_are_joined_and_trailers_read() -> None:
    it = reader()
    it.feed(chunked(b"3;a=b\r\nabc\r\nA\r\n0123456789\r\n0\r\nT: 1\r\n\r\nGET"))
    head = it.head()
    assert head is not None
    assert head.length is None
    assert it.body() == b"abc0123456789"
    assert list(it.trailers) == [("T", "1")]
    assert (it.is_in_body, it.buffered) == (False, 3)


@pytest.mark.rfc("9112", "2.2")
def test_one_empty_line_before_a_request_is_ignored_and_no_more() -> None:
    assert read(b"\r\n" + get())[0].method == "GET"
    assert refused(b"\r\n\r\n" + get()) == 400


@pytest.mark.rfc("9112", "9.3")
def test_only_http_1_0_closes_unless_asked() -> None:
    assert not read(get(HOST + b"Connection: x, Close\r\n"))[0].keeps_alive
    assert not read(get(b"", b"GET / HTTP/1.0\r\n"))[0].keeps_alive
    assert read(get(b"Connection: keep-alive\r\n", b"GET / HTTP/1.0\r\n"))[0].keeps_alive


def test_many_requests_on_one_connection() -> None:
    it = reader()
    it.feed(get() + post(b"Content-Length: 2\r\n", b"ab") + get(HOST + b"Upgrade: x\r\n") + get())
    seen = []
    while (head := it.head()) is not None:
        seen.append((head.method, it.body() if it.is_in_body else b""))
    assert seen == [("GET", b""), ("POST", b"ab"), ("GET", b""), ("GET", b"")]


@pytest.mark.rfc("9110", "7.8")
def test_an_upgrade_that_nobody_takes_is_an_ordinary_request() -> None:
    fields = HOST + b"Connection: upgrade\r\nUpgrade: x\r\n"
    it = reader()
    it.feed(get(fields) + get())
    first, second = it.head(), it.head()
    assert first is not None
    assert second is not None


@pytest.mark.rfc("9112", "3.2.2")
def test_the_authority_of_an_absolute_target_wins() -> None:
    head, _, _ = read(get(HOST, b"GET http://other:81/p HTTP/1.1\r\n"))
    assert head.authority == "other:81"


AMBIGUOUS = {
    "both lengths": post(b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
    "both lengths, the other way": post(
        b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", b"0\r\n\r\n"
    ),
    "two lengths": post(b"Content-Length: 3\r\nContent-Length: 4\r\n", b"abcd"),
    "the same length twice": post(b"Content-Length: 3\r\nContent-Length: 3\r\n", b"abc"),
    "a list of lengths": post(b"Content-Length: 3, 3\r\n", b"abc"),
    "a signed length": post(b"Content-Length: +3\r\n", b"abc"),
    "a negative length": post(b"Content-Length: -3\r\n", b"abc"),
    "a hexadecimal length": post(b"Content-Length: 0x3\r\n", b"abc"),
    "a length with underscore": post(b"Content-Length: 1_0\r\n", b"abcdefghij"),
    "no length": post(b"Content-Length:\r\n", b""),
    "an endless length": post(b"Content-Length: 99999999999999999999\r\n", b""),
    "a length of other digits": post("Content-Length: ٣\r\n".encode(), b"abc"),
    "chunked twice": post(b"Transfer-Encoding: chunked, chunked\r\n", b"0\r\n\r\n"),
    "chunked in two fields": post(
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"
    ),
    "chunked and not last": post(b"Transfer-Encoding: chunked, gzip\r\n", b"0\r\n\r\n"),
    "an empty coding": post(b"Transfer-Encoding: \r\n", b""),
    "a vertical tab": post(b"Transfer-Encoding: \x0bchunked\r\n", b"0\r\n\r\n"),
    "chunked of HTTP/1.0": b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "space before the colon": post(b"Content-Length : 3\r\n", b"abc"),
    "tab before the colon": post(b"Transfer-Encoding\t: chunked\r\n", b"0\r\n\r\n"),
    "a folded field": post(b"X: a\r\n b\r\n"),
    "a folded length": post(b"Content-Length:\r\n 3\r\n", b"abc"),
    "space before the first field": b"GET / HTTP/1.1\r\n Host: a\r\n\r\n",
    "a bare LF": b"GET / HTTP/1.1\nHost: a\r\n\r\n",
    "a bare LF after a field": b"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n",
    "a bare CR": post(b"X: a\rContent-Length: 3\r\n", b"abc"),
    "NUL in a value": post(b"X: a\0b\r\n"),
    "NUL in a name": post(b"X\0: b\r\n"),
    "no colon": post(b"X\r\n"),
    "no name": post(b": b\r\n"),
    "a name that is no token": post(b"X(: b\r\n"),
    "no target": b"GET HTTP/1.1\r\nHost: a\r\n\r\n",
    "two spaces": b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
    "a tab in the line": b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "space at the end of the line": b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
    "no version": b"GET /\r\nHost: a\r\n\r\n",
    "a small http": b"GET / http/1.1\r\nHost: a\r\n\r\n",
    "a version of many digits": b"GET / HTTP/1.10\r\nHost: a\r\n\r\n",
    "an octet above ASCII in the target": b"GET /\xe4 HTTP/1.1\r\nHost: a\r\n\r\n",
    "a fragment": b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n",
    "a relative target": b"GET a HTTP/1.1\r\nHost: a\r\n\r\n",
    "a star for GET": b"GET * HTTP/1.1\r\nHost: a\r\n\r\n",
    "an authority for GET": b"GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n",
    "a path for CONNECT": b"CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n",
    "a user": b"GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "no host": get(b""),
    "two hosts": get(b"Host: a\r\nHost: b\r\n"),
    "the same host twice": get(b"Host: a\r\nHost: a\r\n"),
    "an empty host": get(b"Host:\r\n"),
    "a host with a path": get(b"Host: a/b\r\n"),
    "a host with a user": get(b"Host: u@a\r\n"),
    "two hosts in one field": get(b"Host: a, b c\r\n"),
    "a port that is none": get(b"Host: a:b\r\n"),
}


@pytest.mark.rfc("9112", "6.3")
@pytest.mark.parametrize("octets", AMBIGUOUS.values(), ids=AMBIGUOUS.keys())
def test_what_could_be_read_in_two_ways_is_refused(octets: bytes) -> None:
    assert refused(octets) == 400


BAD_CHUNKS = {
    "no size": b"\r\nabc\r\n0\r\n\r\n",
    "a sign": b"+3\r\nabc\r\n0\r\n\r\n",
    "a prefix": b"0x3\r\nabc\r\n0\r\n\r\n",
    "space before the size": b" 3\r\nabc\r\n0\r\n\r\n",
    "space after the size": b"3 \r\nabc\r\n0\r\n\r\n",
    "seventeen digits": b"00000000000000003\r\nabc\r\n0\r\n\r\n",
    "a bare LF after the size": b"3\nabc\r\n0\r\n\r\n",
    "a bare LF in an extension": b"3;a\nb\r\nabc\r\n0\r\n\r\n",
    "a bare CR in an extension": b"3;a\rb\r\nabc\r\n0\r\n\r\n",
    "too short": b"2\r\nabc\r\n0\r\n\r\n",
    "too long": b"4\r\nabc\r\n0\r\n\r\n",
    "LF after the data": b"3\r\nabc\n0\r\n\r\n",
    "a folded trailer": b"0\r\nA: b\r\n c\r\n\r\n",
    "a length among the trailers": b"0\r\nContent-Length: 3\r\n\r\n",
    "a host among the trailers": b"0\r\nHost: a\r\n\r\n",
    "bare LF in the trailers": b"0\r\nA: b\nC: d\r\n\r\n",
}


@pytest.mark.rfc("9112", "7.1")
@pytest.mark.parametrize("content", BAD_CHUNKS.values(), ids=BAD_CHUNKS.keys())
def test_malformed_chunks_are_refused(content: bytes) -> None:
    assert refused(chunked(content)) == 400


@pytest.mark.rfc("9112", "6.1")
@pytest.mark.parametrize("coding", [b"gzip", b"gzip, chunked", b"identity", b"xchunked"])
def test_an_unknown_transfer_coding_is_501(coding: bytes) -> None:
    assert refused(post(b"Transfer-Encoding: " + coding + b"\r\n")) == 501


@pytest.mark.rfc("9110", "15.6.2")
def test_an_unknown_method_is_501() -> None:
    assert refused(get(line=b"BREW / HTTP/1.1\r\n")) == 501


@pytest.mark.rfc("9110", "9.3.6")
def test_a_tunnel_is_501() -> None:
    assert refused(get(line=b"CONNECT a:443 HTTP/1.1\r\n")) == 501


@pytest.mark.rfc("9110", "15.6.6")
@pytest.mark.parametrize(
    "line", [b"GET / HTTP/2.0\r\n", b"PRI * HTTP/2.0\r\n", b"G / HTTP/0.9\r\n"]
)
def test_another_version_is_505(line: bytes) -> None:
    assert refused(get(line=line)) == 505


@pytest.mark.rfc("9110", "10.1.1")
def test_an_unknown_expectation_is_417() -> None:
    assert refused(get(HOST + b"Expect: more\r\n")) == 417


@pytest.mark.rfc("9110", "15.5.15")
def test_a_long_request_line_is_414_whether_or_not_it_has_ended() -> None:
    line = b"GET /" + b"a" * 100 + b" HTTP/1.1\r\n"
    assert refused(get(line=line), max_request_line_bytes=64) == 414
    assert refused(line[:65], max_request_line_bytes=64) == 414


@pytest.mark.rfc("6585", "5")
def test_a_long_head_or_many_fields_are_431() -> None:
    long = get(HOST + b"X: " + b"a" * 300 + b"\r\n")
    assert refused(long, max_head_bytes=256) == 431
    assert refused(long[:280], max_head_bytes=256) == 431
    assert refused(get(HOST + b"X: a\r\n" * 10), max_fields=10) == 431
    assert read(get(HOST + b"X: a\r\n" * 9), max_fields=10)


@pytest.mark.rfc("9110", "15.5.14")
def test_long_content_is_413_before_it_is_read() -> None:
    assert refused(post(b"Content-Length: 11\r\n"), max_body_bytes=10) == 413
    assert refused(chunked(b"8\r\n01234567\r\n3\r\nabc"), max_body_bytes=10) == 413


def test_chunk_extensions_have_a_limit_together() -> None:
    content = b"1;a=b\r\nx\r\n" * 10
    assert refused(chunked(content + b"0\r\n\r\n"), max_chunk_extension_bytes=39) == 400
    assert read(chunked(content + b"0\r\n\r\n"), max_chunk_extension_bytes=40)
    assert refused(chunked(b"1;" + b"a" * 1100)) == 400


def test_a_bare_line_end_is_refused_before_the_head_is_whole() -> None:
    assert refused(b"GET / HTTP/1.1\n") == 400


def test_limits_are_checked_and_their_table_has_the_defaults() -> None:
    assert RequestLimits.of({"max_body_bytes": "off"}).max_body_bytes == float("inf")
    with pytest.raises(UsageError, match="max_fields is 0"):
        RequestLimits.of({"max_fields": 0})
    with pytest.raises(UsageError, match="did you mean max_fields"):
        RequestLimits.of({"max_field": 1})
    for limit in LIMITS:
        assert getattr(RequestLimits(), limit.name) == limit.default


def test_trailers_that_say_where_a_message_goes_are_refused() -> None:
    check_trailers([("Digest", "x")])
    with pytest.raises(BadMessage, match="Host is not allowed"):
        check_trailers([("Host", "x")])
