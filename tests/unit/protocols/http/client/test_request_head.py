import pytest
from hypothesis import given
from hypothesis import strategies as st

from pierhead.protocols.http import Fields
from pierhead.protocols.http.client.request_head import Content, request_head, request_target

TEXT = st.characters(codec="utf-8")

h11 = pytest.importorskip("h11")


@pytest.mark.rfc("9112", "3")
@given(
    st.sampled_from(["GET", "POST", "PUT", "PURGE"]),
    st.from_regex(r"/[!-~]*", fullmatch=True).map(lambda path: path.replace("#", "%23")),
    st.dictionaries(st.text(TEXT, max_size=3), st.text(TEXT, max_size=3), max_size=2),
    st.one_of(st.none(), st.binary(max_size=5)),
)
def test_what_is_sent_is_read_by_others_as_it_was_meant(method, path, query, octets):
    """It is one request of h11's, with this content and nothing behind it."""
    target = request_target(path, query)
    sent = request_head(method, target, "h", Fields(), Content(octets, None))
    server = h11.Connection(h11.SERVER)
    server.receive_data(sent.head + (octets or b""))
    request = server.next_event()
    assert request.method == method.encode()
    assert request.target.startswith(path.encode())
    content = b""
    while not isinstance(event := server.next_event(), h11.EndOfMessage):
        content += event.data
    assert content == (octets or b"")
    assert server.trailing_data[0] == b""
