from types import SimpleNamespace

import pytest

from pierhead.server.by_alpn import ByAlpn


@pytest.mark.rfc("7301", "3.1")
@pytest.mark.parametrize(
    ("tls", "expected"),
    [
        (None, "usual"),
        (SimpleNamespace(alpn=None), "usual"),
        (SimpleNamespace(alpn="dot"), "usual"),
        (SimpleNamespace(alpn="http/1.1"), "web"),
    ],
)
def test_what_tls_has_negotiated_chooses(tls, expected):
    by_alpn = ByAlpn(lambda scope: "usual", {"http/1.1": lambda scope: "web"})
    assert by_alpn(SimpleNamespace(via=SimpleNamespace(tls=tls))) == expected
