import pytest

from pierhead.errors import UsageError
from pierhead.protocols.http.client.base_address import BaseAddress


@pytest.mark.rfc("9110", "7.2")
@pytest.mark.parametrize(
    ("text", "spec", "authority", "prefix"),
    [
        ("http://h", "tcp:h:80", "h", ""),
        ("HTTP://h:8080/", "tcp:h:8080", "h:8080", ""),
        ("https://h/api/", "tls+tcp:h:443", "h", "/api"),
        ("https://[::1]:8443", "tls+tcp:[::1]:8443", "[::1]:8443", ""),
        ("unix:/run/app.sock", "unix:/run/app.sock", "localhost", ""),
        ("@app", "unix:@app", "localhost", ""),
        ("mem:app", "mem:app", "localhost", ""),
        ("tcp:127.0.0.1:80", "tcp:127.0.0.1:80", "127.0.0.1", ""),
        ("tls+tcp:[::1]:80", "tls+tcp:[::1]:80", "[::1]:80", ""),
    ],
)
def test_a_base_address(text, spec, authority, prefix):
    base = BaseAddress.parse(text)
    assert base.scheme == ("https" if "tls" in spec else "http")
    assert (str(base.spec.to_dial()), base.authority, base.prefix) == (spec, authority, prefix)
    assert BaseAddress.parse(text, "other").authority == "other"


@pytest.mark.parametrize(
    "text", ["http://", "http://h:x", "http://u@h", "http://h?q", "http://h#f", "http://[::1"]
)
def test_what_is_no_base_address(text):
    with pytest.raises(UsageError, match="URL"):
        BaseAddress.parse(text)
