from __future__ import annotations

import ssl
import struct

import pytest

from pierhead.codec.client_hello import ClientHello, read_client_hello


def hello(name=None, protocols=(), version=ssl.TLSVersion.TLSv1_3):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.maximum_version = version
    if protocols:
        context.set_alpn_protocols(list(protocols))
    if name is None:
        context.check_hostname = False
    outgoing = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


@pytest.mark.rfc("6066", "3")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_the_hello_of_openssl_is_read(version):
    data = hello("DNS.Example", ["dot", "h2"], version)
    assert read_client_hello(data) == ClientHello("dns.example", (b"dot", b"h2"))
    assert read_client_hello(hello(version=version)) == ClientHello()


def test_an_incomplete_hello_waits_for_more():
    data = hello("dns.example")
    for end in range(len(data)):
        assert read_client_hello(data[:end]) is None
    assert read_client_hello(data + b"more") == ClientHello("dns.example")


def in_records(data, sizes):
    """Cut the one record of a hello into several."""
    body, records = data[5:], b""
    for size in (*sizes, len(body)):
        part, body = body[:size], body[size:]
        records += data[:3] + struct.pack("!H", len(part)) + part
    return records


def test_a_hello_in_a_few_records_is_read_and_one_in_many_is_given_up():
    data = hello("dns.example")
    assert read_client_hello(in_records(data, [1, 2, 30])) == ClientHello("dns.example")
    assert read_client_hello(in_records(data, [1] * 10)) == ClientHello()
    assert read_client_hello(in_records(data, [0] * 10)) == ClientHello()


def with_extensions(extensions):
    body = b"\3\3" + bytes(32) + b"\0" + b"\0\2\x13\1" + b"\1\0"
    if extensions is not None:
        body += struct.pack("!H", len(extensions)) + extensions
    message = b"\1" + len(body).to_bytes(3, "big") + body
    return b"\x16\3\1" + struct.pack("!H", len(message)) + message


def extension(kind, value):
    return struct.pack("!HH", kind, len(value)) + value


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1",
        b"\x17\3\3\0\1x",  # a record of another type
        b"\x16\3\1\0\4\2\0\0\0",  # a server's hello
        b"\x16\3\1\xff\xff",  # longer than a record may be
        with_extensions(None),
        with_extensions(b""),
        with_extensions(b"\0"),
        with_extensions(extension(0, b"\0")),
        with_extensions(extension(0, b"\0\5\0\0\5ab")),
        with_extensions(extension(0, b"\0\0")),
        with_extensions(extension(0, b"\0\5\1\0\2ab")),  # a name of no known type
        with_extensions(extension(0, b"\0\5\0\0\2\xff\xfe")),  # none that DNS could have
        with_extensions(extension(16, b"\0\2\5a")),
    ],
)
def test_an_empty_or_malformed_hello_reads_as_one_without_names(data):
    assert read_client_hello(data) == ClientHello()
