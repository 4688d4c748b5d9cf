import pytest

from pierhead.errors import UsageError
from pierhead.protocols import http
from pierhead.protocols.http.client.options import HttpClientOptions


def test_an_http_client_has_the_limits_of_clients_and_its_own():
    options = HttpClientOptions.of({"connect_timeout": 3, "max_head_bytes": 512})
    assert (options.usual.connect_timeout, options.max_head_bytes) == (3, 512)
    assert options.usual.max_connections == 10
    assert HttpClientOptions.of({"max_connections": 2}).usual.max_connections == 2


@pytest.mark.parametrize("limits", [{"max_head_bytes": 1}, {"max_haed_bytes": 512}])
def test_a_wrong_limit_is_refused(limits):
    with pytest.raises(UsageError, match="head_bytes"):
        http.Client("mem:web", **limits)
