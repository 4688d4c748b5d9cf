"""What every metric means: the rows of the page of metrics, and the help of their exposition.

A metric that src makes has a row here; docs/generate_metrics.py refuses one without, and a row
without a metric.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = ["METRICS", "OWNERS", "REASONS", "Row"]

#: Whose metric it is, and the label that every metric of the kind has.
OWNERS = {
    "server": "listener",
    "client": "client",
    "balance": "upstream",
    "room": "room",
    "layer": "",
    "process": "",
}


class Row(NamedTuple):
    """What a metric means.

    Attributes:
        owners: keys of `OWNERS`.
        meaning: one sentence.
        joined: how a gauge of several processes becomes one; counters and histograms are added.
    """

    owners: tuple[str, ...]
    meaning: str
    joined: Literal["added", "least"] = "added"


SERVER, CLIENT, BOTH = ("server",), ("client",), ("server", "client")

METRICS = {
    "connections_accepted_total": Row(SERVER, "Connections that have been accepted."),
    "connections_open": Row(BOTH, "Connections that are open now."),
    "connections_closed_total": Row(BOTH, "Connections that have ended."),
    "handshakes_failed_total": Row(
        SERVER, "Handshakes (TLS, PROXY header) that failed; each is also a closed connection."
    ),
    "accepts_paused_total": Row(
        SERVER, "Pauses of accepting, for `maxrate` or because `when_full` is `wait`."
    ),
    "accepts_paused_seconds_total": Row(SERVER, "How long they were, in seconds."),
    "accept_errors_total": Row(SERVER, "Errors while accepting."),
    "datagrams_received_total": Row(SERVER, "Datagrams that have been received."),
    "datagrams_sent_total": Row(SERVER, "Datagrams that the system has taken."),
    "batches_total": Row(SERVER, "Calls that received datagrams, up to `batch_size` each."),
    "receive_errors_total": Row(SERVER, "Errors of the system while receiving datagrams."),
    "bytes_received_total": Row(BOTH, "Octets received, TLS and PROXY headers not included."),
    "bytes_sent_total": Row(BOTH, "Octets sent, TLS not included."),
    "frames_received_total": Row(BOTH, "Whole frames that arrived."),
    "frames_sent_total": Row(BOTH, "Frames that the system has taken."),
    "reads_paused_total": Row(BOTH, "Times that reading stopped: too much was in flight."),
    "writes_paused_total": Row(BOTH, "Times that a peer did not keep up with what it was sent."),
    "unsent_bytes": Row(SERVER, "Octets that the system has not taken yet."),
    "requests_in_flight": Row(SERVER, "Requests that have been accepted and have not ended."),
    "requests_total": Row(CLIENT, "Requests that were made."),
    "requests_answered_total": Row(BOTH, "Requests with a reply, or with the last of many."),
    "requests_silent_total": Row(SERVER, "Requests that the service intentionally did not answer."),
    "requests_failed_total": Row(BOTH, "Requests without the service's reply."),
    "requests_lost_total": Row(SERVER, "Requests that will not be answered; see `Server.lost`."),
    "request_seconds": Row(
        SERVER,
        "Time from receipt until the reply is ready; `failed` are those that waited in vain.",
    ),
    "ready_answers_total": Row(SERVER, "Requests answered with octets that had been sent before."),
    "dropped_total": Row(BOTH, "Connections, frames and datagrams that were turned away."),
    "messages_received_total": Row(BOTH, "Messages that conversations have received."),
    "messages_sent_total": Row(BOTH, "Messages that conversations have sent."),
    "pings_sent_total": Row(BOTH, "Pings that `Liveness` has sent."),
    "signs_of_life_received_total": Row(
        BOTH, "Pings of the peer, and answers to ours, which no handler receives."
    ),
    "backplane_links_up": Row(
        ("room",), "Other servers that this one follows; with a broker, 1 while it is connected."
    ),
    "backplane_received_total": Row(("room",), "Messages from other servers."),
    "backplane_missed_total": Row(
        ("room",), "Messages of other servers that were forgotten before they arrived here."
    ),
    "room_members": Row(("room",), "Members who are present."),
    "room_messages_total": Row(("room",), "Messages to the room."),
    "room_members_cut_total": Row(("room",), "Members that did not keep up."),
    "room_messages_dropped_total": Row(
        ("room",), "Messages that a member missed since it did not keep up."
    ),
    "messages_lost_total": Row(
        BOTH, "Messages that nothing received (`in`), or that were sent in vain (`out`)."
    ),
    "conversations_opened_total": Row(SERVER, "Conversations with peers of a datagram socket."),
    "conversations_open": Row(SERVER, "How many of these are in the table now."),
    "conversations_closed_total": Row(SERVER, "How many of these have ended."),
    "conversations_cancelled_total": Row(
        SERVER, "Handlers that were cancelled because they did not return after their conversation."
    ),
    "connects_total": Row(CLIENT, "Connections that the client has opened."),
    "connects_failed_total": Row(CLIENT, "Attempts to open one that failed."),
    "upstream_requests_total": Row(("balance",), "Requests sent to this upstream."),
    "upstream_answered_total": Row(("balance",), "Requests that it answered."),
    "upstream_failed_total": Row(("balance",), "Requests that failed there."),
    "upstream_hedges_total": Row(("balance",), "Requests that another upstream had too."),
    "upstream_checks_failed_total": Row(("balance",), "Health checks that failed."),
    "upstream_ejections_total": Row(("balance",), "Times that it was taken out of service."),
    "upstream_in_flight": Row(("balance",), "Requests that it has now."),
    "upstream_share": Row(
        ("balance",), "Its share: 1 in service, 0 while ejected, between while it returns.",
        joined="least",
    ),
    "loop_blocked_total": Row(
        ("process",), "Times that a service held the event loop for a second or longer."
    ),
    "loop_blocked_seconds_total": Row(("process",), "How long these were, in seconds."),
    "retries_total": Row(("layer",), "Requests that `middleware.retry` sent again."),
    "retries_refused_total": Row(("layer",), "Failed requests that it did not send again."),
    "responses_limited_total": Row(
        ("layer",), "DNS responses over the limit of `dns.rate_limit`, by what became of them."
    ),
    "tsig_refused_total": Row(
        ("layer",), "Signed DNS questions that `dns.tsig` refused, by the error that they got."
    ),
}  # fmt: skip

_DEADLINES = {
    "idle": "nothing was received or sent for `idle_timeout`",
    "message": "a message was not complete within `message_timeout`",
    "write": "the peer did not take what it was sent within `write_timeout`",
}

#: The values of the label `reason` that Pierhead itself uses; a check of yours may add others.
REASONS = {
    "dropped_total": {
        "undecodable": "a frame is not a message",
        "framing": "the input cannot be split into frames",
        "truncated": "a datagram is larger than the buffer",
        "source_rate": "the source is over the rate of `per_source_rate`",
        "max_requests": "that many requests are in flight",
        "max_connections": "all connections are taken",
        "maxconn": "all connections of this address are taken",
        "max_connections_per_network": "the network has its share of the connections",
        "no_descriptor": "the process has no descriptor left",
        "on_accept": "`on_accept` closed the connection",
        "on_accept_error": "`on_accept` raised",
        "admission_error": "a check raised",
        "own_address": "a datagram claims to be from this server itself",
        "port_zero": "a datagram claims to be from port 0",
        "small_service": "a datagram is from port 7, 13, 17, 19 or 37",
        "reflected": "the same octets from the same sender within a second",
        "unnamed": "a datagram is from a socket without a name, so it cannot be answered",
        "proxy_untrusted": "a datagram is not from within `proxy.from`",
        "proxy_header": "a datagram has no valid PROXY header",
        "reply_too_large": "the system refuses a datagram of this size",
        "send_buffer_full": "the system had no room for a datagram in time",
        "peer_gone": "the peer of a datagram has gone",
        "send_error": "the system refused a datagram for another reason",
        "http": "aiohttp could not parse the request",
        "error": "a conversation could not begin",
        "late": "client: a reply came after its request had been given up",
        "unexpected": "client: a reply belongs to no request",
        "unreachable": "client: the system reports that the peer cannot be reached",
    },
    "connections_closed_total": {
        "eof": "the peer has ended its side",
        "first_byte": "nothing was received within `first_byte_timeout`",
        **_DEADLINES,
        "handshake": "the handshake was not complete within `handshake_timeout`",
        "tls": "the TLS handshake failed",
        "proxy_header": "there was no valid PROXY header",
        "proxy_untrusted": "the connection is not from within `proxy.from`",
        "framing": "the input cannot be split into frames",
        "evicted": "it gave way to another connection",
        "drain": "the server stopped",
        "forced": "the server was told to stop at once",
        "peer_gone": "the peer has reset the connection",
        "max_unsent_bytes": "a hosted program wrote more than its peer read",
        "after_close_timeout": "a hosted program went on after its connection had closed",
        "error": "a bug of the program ended it",
        "closed": "the program closed its conversation, or the client",
        "aborted": "the program aborted its conversation",
        "liveness": "the peer did not answer a ping",
        "slow": "the peer of a conversation did not keep up with a `sender`",
        "cancelled": "the program cancelled its task",
        "late_reply": "client: the reply to a request that was given up is still to come",
        "given_up": "client: as `late_reply`, before its time had passed",
        "answered": "client: the last request of a socket that takes no more has been answered",
        "truncated": "client: a datagram is larger than the buffer",
        "asked": "HTTP: the request or its response said so, or its version is 1.0",
        "unread": "client: the program did not read the content of a response in time; "
        "HTTP: nor the service that of a request, of which much was left",
    },
    "requests_failed_total": {
        "error": "the service raised; of a client, any other error",
        "deadline": "the service did not answer within `request_timeout`",
        "limit": "a layer `limit` was full",
        "timeout": "a layer `timeout`, or of a client, no reply within `request_timeout`",
        "threads": "all threads of `threaded` were busy",
        "max_replies_per_datagram": "there were more replies than that",
        "protocol": "a hosted program broke the rules of its protocol",
        "max_waiting_requests": "client: too many requests were waiting",
        "closed": "client: it was closed before the reply",
        "connect": "client: the server cannot be reached",
        "ended": "client: the connection ended before the reply",
        "undecodable": "client: the reply is not a message",
        "framing": "client: the server's stream cannot be split into frames",
        "usage": "client: the request cannot be encoded",
        "cancelled": "client: the caller was cancelled",
    },
    "handshakes_failed_total": {
        "tls": "the client does it wrong, or is refused",
        "proxy_header": "there is no valid PROXY header",
        "proxy_untrusted": "the connection is not from within `proxy.from`",
        "handshake": "it was not complete within `handshake_timeout`",
        "peer_gone": "the client left",
    },
    "messages_lost_total": {
        "unread": "in: the conversation had ended when it arrived, or too many waited",
        "max_unread_datagram_bytes": "in: too much was waiting to be received",
        "error": "in: the codec failed",
        "reply_too_large": "out: the system refuses a datagram of this size",
        "send_buffer_full": "out: the system had no room for a datagram in time",
        "peer_gone": "out: the peer of a datagram has gone",
        "send_error": "out: the system refused a datagram for another reason",
    },
    "conversations_closed_total": {
        "closed": "the handler has returned, or the program closed it",
        "idle": "the peer sent nothing for `idle_timeout`",
        "evicted": "it gave way to another peer",
        "drain": "the server stopped",
        "aborted": "the program aborted it",
        "liveness": "the peer did not answer a ping",
        "peer_gone": "the peer's Unix socket is closed",
        "replaced": "another handler was put in its place",
        "error": "the handler raised",
        "cancelled": "the handler was cancelled",
        "slow": "the peer did not keep up with a `sender`",
    },
    "connects_failed_total": {
        "resolve": "the name could not be resolved",
        "connect": "nothing answered, or the system refused",
        "proxy": "the PROXY header could not be sent",
        "tls": "the TLS handshake failed",
    },
    "upstream_failed_total": {
        "connect": "it cannot be reached",
        "ended": "the connection ended before the reply",
        "timeout": "no reply within the `timeout` of `Balance`",
        "undecodable": "the reply is not a message",
        "framing": "its stream cannot be split into frames",
    },
    "retries_refused_total": {
        "attempts": "it had been sent `attempts` times",
        "budget": "too many of the recent requests were retries",
    },
}
