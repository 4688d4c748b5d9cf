"""Every feature of tokio-listener: how it is written here, and the test that shows it.

`docs/generate_addresses.py` puts the table on its page; it fails where a test does not exist or
an address does not parse.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["FEATURES", "Feature"]


class Feature(NamedTuple):
    """One feature of tokio-listener: how it is written here, and the test that shows it.

    ``written`` has addresses, separated by blanks; ``note`` says where the two differ.
    """

    name: str
    written: str
    note: str
    test: str


_UNIT = "tests/unit"
_GRAMMAR = f"{_UNIT}/address/test_grammar.py"
_OPEN = f"{_UNIT}/listener/test_open.py"
_UNIX = f"{_UNIT}/listener/bind/test_unix.py"
_SYSTEMD = f"{_UNIT}/listener/adopt/test_systemd.py"
_ADOPTED = f"{_UNIT}/listener/adopt/test_descriptors.py"
_LISTENER_OPTIONS = f"{_UNIT}/server/test_listener_options.py"
_UNUSUAL = f"{_UNIT}/listener/test_unusual.py"
_STREAM = f"{_UNIT}/listener/test_stream.py"
_INETD = f"{_UNIT}/listener/adopt/test_inetd.py"
_CLICK = f"{_UNIT}/integrations/test_click.py"
_ACTIVATION = "tests/interop/test_socket_activation.py"
_TABLE = f"{_UNIT}/address/test_table.py::test_a_table_reads_as_the_equivalent_address"
_CONFIGURED = "tests/examples/test_configuration.py"
_FORM = f"{_GRAMMAR}::test_a_form_parses_and_prints_canonically"
_SET = f"{_OPEN}::test_an_option_reaches_the_socket"

FEATURES = {
    "Addresses": (
        Feature("IPv4 and IPv6 with port", "127.0.0.1:8080 [::1]:8080", "", _FORM),
        Feature(
            "port 0",
            "tcp:127.0.0.1:0",
            "`server.addresses` has the port",
            f"{_OPEN}::test_a_listener_has_the_given_and_the_bound_address",
        ),
        Feature(
            "Unix path",
            "/run/app.sock ./app.sock ../app.sock",
            "removed when the server ends",
            f"{_UNIX}::test_a_socket_and_its_lock_come_and_go",
        ),
        Feature(
            "path that is not UTF-8",
            "/run/%FF.sock",
            "printed as written; refused there",
            f"{_UNIX}::test_a_path_is_octets",
        ),
        Feature(
            "abstract name",
            "@app @a%00b",
            "any octets; an empty name is refused",
            f"{_UNIX}::test_an_abstract_name_is_listened_on",
        ),
        Feature("`inetd`, `stdio`, `-`", "inetd stdio -", "", _FORM),
        Feature(
            "`sd-listen`: descriptor 3",
            "sd-listen sd:#0",
            "several passed sockets are an error; `sd:#0` takes the first without asking",
            f"{_SYSTEMD}::test_the_only_socket_needs_no_name",
        ),
        Feature(
            "`sd-listen:NAME`",
            "sd-listen:web sd:web#0",
            "every socket of that name; `#0` takes the first, as there",
            f"{_SYSTEMD}::test_sockets_are_chosen_by_name_index_and_pattern",
        ),
        Feature(
            "`sd-listen:*`",
            "sd-listen:*",
            "",
            f"{_ACTIVATION}::test_two_sockets_are_one_server",
        ),
        Feature(
            "a descriptor by number",
            "fd:5",
            "printed as written; there only in a program",
            f"{_ADOPTED}::test_a_listening_socket_is_served_under_its_own_address",
        ),
        Feature(
            "`vsock:CID:PORT` and its words",
            "vsock:any:5000 vsock:host:5000 vsock:local:5000",
            "also a port that the system chooses",
            f"{_UNUSUAL}::test_vsock_tells_the_port_that_the_system_chose",
        ),
        Feature(
            "equality and hash",
            "",
            "`ListenSpec.address` is the identity; no order",
            "tests/laws/test_address_laws.py::test_options_do_not_affect_the_identity_of_an_address",
        ),
        Feature(
            "text form, for configuration files",
            "",
            "`str(spec)` and `ListenSpec.parse`; options are part of it",
            "tests/laws/test_address_laws.py::test_a_printed_spec_parses_back_and_prints_the_same",
        ),
        Feature(
            "errors of the grammar",
            "",
            "point at the position, and suggest the closest valid form",
            f"{_UNIT}/address/test_invalid_input.py"
            "::test_invalid_input_is_refused_with_position_reason_and_remedy",
        ),
    ),
    "Options": (
        Feature(
            "`--unix-listen-unlink`",
            "unix:/run/app.sock?unlink=always",
            "an unserved socket is replaced without any option; where tokio-listener removes "
            "anything at the path, a file that is not a socket stays",
            f"{_UNIX}::test_a_dead_socket_is_replaced",
        ),
        Feature(
            "`--unix-listen-chmod`",
            "unix:/run/app.sock?mode=owner unix:/run/app.sock?mode=0660",
            "also octal; set before any client can connect",
            f"{_UNIX}::test_the_mode_is_never_wider_than_requested_not_even_at_bind",
        ),
        Feature(
            "`--unix-listen-uid`, `--unix-listen-gid`",
            "unix:/run/app.sock?user=app&group=80",
            "names or numbers; after a failure nothing is left",
            f"{_UNIX}::test_owner_and_group_are_set",
        ),
        Feature(
            "`--sd-accept-ignore-environment`",
            "sd:*?pid=ignore",
            "descriptor 3, even if the variables are missing or invalid",
            f"{_SYSTEMD}::test_pid_ignore_takes_the_first_descriptor_whatever_the_variables_say",
        ),
        Feature(
            "`--tcp-keepalive`",
            "tcp::80?keepalive-ms=60000:3:5000 tcp::80?keepalive=60s:5s:3",
            "`1500:3:500` is 2 s and 1 s: rounded up, since the system counts seconds",
            _SET,
        ),
        Feature(
            "`--tcp-reuse-port`", "tcp::80?reuseport", "refused where the system lacks it", _SET
        ),
        Feature(
            "`--tcp-only-v6`",
            "tcp:[::]:80?v6only",
            "refused on an IPv4 address",
            f"{_UNIT}/listener/bind/test_inet.py::test_v6only_is_set_as_the_address_says",
        ),
        Feature(
            "`--tcp-listen-backlog`",
            "tcp::80?backlog=512",
            "1024 where it is not given, for Unix sockets as well",
            f"{_UNIT}/listener/bind/test_inet.py::test_the_backlog_of_the_address_is_set",
        ),
        Feature(
            "`--recv-buffer-size`, `--send-buffer-size`",
            "tcp::80?rcvbuf=4MiB&sndbuf=256KiB",
            "set before listening, so that TCP's window scale includes it",
            _SET,
        ),
        Feature(
            "`nodelay`, in a program",
            "tcp::80?nodelay=off",
            "on unless switched off",
            f"{_STREAM}::test_nodelay_holds_on_the_attached_connection",
        ),
        Feature(
            "`sleep_on_errors`, in a program",
            "tcp::80?accept-backoff=500ms",
            "always on; the pause grows up to this value",
            f"{_LISTENER_OPTIONS}::test_the_pause_grows_up_to_the_limit_of_the_address",
        ),
    ),
    "Accepting": (
        Feature(
            "connection and peer address",
            "",
            "`context.peer`",
            f"{_STREAM}::test_a_connection_is_accepted_attached_and_served",
        ),
        Feature(
            "broken connections are skipped",
            "",
            "more kinds of them",
            f"{_STREAM}::test_connections_that_broke_before_they_were_accepted_are_skipped",
        ),
        Feature(
            "other errors: sleep or give up",
            "",
            "never gives up; one line in the log, and a metric",
            f"{_LISTENER_OPTIONS}::test_accepting_continues_whatever_it_raises",
        ),
        Feature(
            "out of descriptors",
            "",
            "waiting connections are closed rather than left waiting",
            f"{_UNUSUAL}::test_out_of_descriptors_waiting_connections_are_closed",
        ),
        Feature(
            "address as bound",
            "",
            "`context.via.local`: the very address that was reached, on a wildcard too",
            f"{_STREAM}::test_a_wildcard_listener_tells_which_address_was_reached",
        ),
        Feature(
            "several listeners as one",
            "",
            "any number of addresses, each with its own options and its own turn to accept",
            f"{_UNIT}/server/test_server.py::test_one_service_answers_on_tcp_and_udp",
        ),
        Feature(
            "an empty list is refused",
            "",
            "",
            f"{_UNIT}/server/test_server.py::test_a_server_without_an_address_is_refused",
        ),
        Feature(
            "a channel or a type of your own as listener",
            "",
            "any object with the methods of `StreamListener`, beside addresses",
            f"{_LISTENER_OPTIONS}::test_a_custom_listener_is_served",
        ),
        Feature(
            "a connection knows of which kind it is",
            "",
            "`context.via.scheme`; `get_extra_info` of a transport has the socket",
            "tests/unit/hosting/test_streams.py"
            "::test_facts_of_the_connection_are_known_to_the_writer",
        ),
        Feature(
            "several pieces written at once",
            "",
            "replies that are ready together leave in one write",
            f"{_UNIT}/server/test_framed.py::test_replies_of_one_loop_iteration_leave_in_one_write",
        ),
        Feature(
            "in-memory connections",
            "mem:app memgram:app",
            "also datagrams, delay and loss",
            f"{_UNIT}/net/memory/test_transport.py::test_bytes_go_both_ways",
        ),
        Feature(
            "errors when binding",
            "",
            "name address, step, reason and remedy; nothing stays open",
            f"{_OPEN}::test_all_or_nothing",
        ),
        Feature(
            "what a platform lacks",
            "",
            "refused by name; every form parses everywhere, with no compile-time features",
            f"{_UNIT}/listener/test_other_platforms.py::test_options_that_windows_lacks_are_refused_by_name",
        ),
    ),
    "Sockets passed by others": (
        Feature(
            "check of `LISTEN_PID` and `LISTEN_FDS`",
            "",
            "each fault has its own message",
            f"{_SYSTEMD}::test_a_wrong_environment_is_reported_with_the_remedy",
        ),
        Feature(
            "variables and descriptors afterwards",
            "",
            "unset, and closed on exec",
            f"{_SYSTEMD}::test_the_variables_are_unset_and_the_sockets_closed_on_exec",
        ),
        Feature(
            "the type of a passed socket",
            "sd:dns?type=dgram",
            "stream, datagram or seqpacket, of any family; other descriptors are refused",
            f"{_SYSTEMD}::test_kinds_may_be_mixed_and_are_checked",
        ),
        Feature(
            "one descriptor, asked for twice",
            "",
            "refused",
            f"{_ADOPTED}::test_a_descriptor_is_served_once",
        ),
        Feature(
            "inetd: one connection, then the end",
            "inetd",
            "the server ends with it, exit code 0",
            f"{_ACTIVATION}::test_inetd_serves_one_connection_and_ends",
        ),
        Feature(
            "inetd: the peer",
            "",
            "from the socket, `REMOTE_ADDR` or `TCPREMOTEIP`; there always `stdio`",
            f"{_INETD}::test_a_super_server_names_the_peer",
        ),
        Feature(
            "inetd beside other listeners",
            "",
            "its end is not an error; the server exits when every listener has ended",
            f"{_LISTENER_OPTIONS}::test_a_server_ends_when_every_listener_has_ended",
        ),
    ),
    "Programs": (
        Feature(
            "clap: `ListenerAddressLFlag`",
            "",
            "[`-l`, `--listen`, `--listen-address`](../howto/command-lines.md) for click, argparse "
            "and typer, with every flag, by one call; may be repeated",
            f"{_CLICK}::test_the_option_has_three_spellings_and_may_be_repeated",
        ),
        Feature(
            "clap: `ListenerAddressPositional`",
            "",
            "likewise; one address or many",
            f"{_CLICK}::test_the_argument_takes_one_or_many",
        ),
        Feature(
            "clap: `flatten`, every option as a flag",
            "",
            "[all eleven](command-line.md#flags-for-addresses)",
            f"{_CLICK}::test_every_flag_is_there",
        ),
        Feature(
            "clap: `-h` and `--help`",
            "",
            "a line for each option, or all of it with the kinds of address; for click, argparse "
            "and typer",
            f"{_CLICK}::test_the_short_help_has_a_line_for_each_flag_and_the_long_one_the_kinds_of_"
            "address",
        ),
        Feature(
            "a flag that applies to no address",
            "",
            "refused, with the reason for each address; there it is ignored, and so it is with "
            "`lenient=True`, but for a warning in the log",
            f"{_UNIT}/address/test_flags.py"
            "::test_a_flag_for_none_of_the_addresses_is_refused_with_each_reason",
        ),
        Feature(
            "another reader of command lines (`argh`)",
            "",
            "argparse, and `ListenSpec.parse` for any other",
            f"{_UNIT}/integrations/test_argparse.py"
            "::test_flags_are_filled_into_the_addresses_and_leave_the_namespace",
        ),
        Feature(
            "a program that is there already",
            "",
            "`pierhead serve` takes the same option and flags",
            f"{_UNIT}/cli/test_serving.py"
            "::test_every_server_takes_every_flag_in_a_section_of_its_own",
        ),
        Feature(
            "serde: an address is a string",
            "",
            "[msgspec, pydantic](../howto/configuration.md), or `ListenSpec.from_table` on what "
            "`tomllib` gives; options may stand in the string",
            f"{_UNIT}/integrations/test_msgspec.py"
            "::test_text_and_table_are_read_wherever_a_field_has_an_address",
        ),
        Feature(
            "serde: options with defaults",
            "",
            "a table with the address; `to_table` writes it, and JSON Schema describes it",
            _TABLE,
        ),
        Feature(
            "serde: keepalive and chmod are strings",
            "unix:/run/app.sock?mode=group tcp::80?keepalive=60s:5s:3",
            "so is every value, where you like",
            _TABLE,
        ),
        Feature(
            "serde: errors",
            "",
            "all at once, each pointing into its entry, with the path of the field",
            f"{_UNIT}/address/test_table.py::test_every_fault_of_a_table_is_reported_at_once",
        ),
        Feature(
            "example `serde_echo`",
            "",
            "[`echo_from_toml.py`](../../examples/echo_from_toml.py)",
            f"{_CONFIGURED}::test_echo_from_toml_listens_where_the_file_says",
        ),
        Feature(
            "example `custom_connection`: mock testing",
            "",
            "[`test_own_listener.py`](../../examples/test_own_listener.py)",
            "examples/test_own_listener.py::test_every_connection_is_served_and_has_its_peer",
        ),
        Feature(
            "example `custom_connection`: serving",
            "",
            "[`own_listener.py`](../../examples/own_listener.py): connections that another "
            "program passes on",
            f"{_CONFIGURED}::test_own_listener_serves_what_another_program_passes_on",
        ),
        Feature(
            "axum, hyper, tonic",
            "",
            "[uvicorn, hypercorn, aiohttp, granian, grpclib](../howto/other-servers.md)",
            "tests/interop/test_hosting_asgi.py"
            "::test_over_a_unix_socket_and_an_abstract_one_of_one_server",
        ),
        Feature(
            "tokio-util: its `Listener`",
            "",
            "callbacks and protocols of asyncio, likewise; `listening_sockets` for other servers",
            "tests/interop/test_hosting_asyncio.py"
            "::test_over_a_unix_socket_and_an_abstract_one_of_one_server",
        ),
        Feature(
            "the example session, five ways through Caddy",
            "",
            "[`five-ways`](../../examples/five-ways/README.md)",
            "tests/interop/test_five_ways.py"
            "::test_the_session_prints_what_the_page_says_and_leaves_nothing_behind",
        ),
    ),
    "What it leaves open": (
        Feature(
            "host names",
            "localhost:8080",
            "every address of the name",
            f"{_OPEN}::test_every_address_of_a_name_is_bound_and_reported",
        ),
        Feature(
            "IPv4 and IPv6 in one address",
            ":8080",
            "one port for both",
            f"{_OPEN}::test_the_wildcard_is_a_pair_on_one_port",
        ),
        Feature(
            "ranges of ports",
            "tcp:127.0.0.1:8000-8003",
            "",
            f"{_OPEN}::test_a_range_of_ports_is_a_listener_each",
        ),
        Feature(
            "UDP",
            "udp::5300",
            "",
            f"{_UNIT}/net/datagram/test_batch.py"
            "::test_a_batch_holds_the_datagrams_in_order_and_their_sender",
        ),
        Feature(
            "Unix datagrams",
            "unixgram:/run/log.sock",
            "",
            f"{_UNIT}/net/datagram/test_batch.py::test_unix_names_of_any_length_find_their_way_back",
        ),
        Feature(
            "seqpacket",
            "unixseq:/run/control.sock vsockseq:any:5000",
            "",
            f"{_UNUSUAL}::test_a_seqpacket_socket_has_its_place_in_the_file_system",
        ),
        Feature(
            "TLS",
            "tls+tcp::853?cert=dns.pem",
            "on any stream",
            f"{_UNIT}/listener/wrap/test_tls.py::test_a_stream_of_any_kind_carries_tls",
        ),
        Feature(
            "PROXY protocol",
            "proxy+tcp::80?proxy.from=10.0.0.0/8",
            "versions 1 and 2, from the networks you list",
            f"{_UNIT}/listener/wrap/test_proxy.py"
            "::test_the_client_is_whom_the_header_names_and_the_proxy_is_kept_apart",
        ),
        Feature(
            "the cost of a wrapper",
            "",
            "`benchmarks/echo_and_accept.py` measures it: a protocol on our listeners beside the "
            "same one on asyncio's",
            "tests/docs/test_benchmarks.py::test_echo_and_accept_measures_every_server",
        ),
        Feature(
            "a socket that is still served",
            "unix:/run/app.sock",
            "is left alone",
            f"{_UNIX}::test_a_live_server_keeps_its_socket",
        ),
        Feature(
            "who the client's process is",
            "unix:/run/app.sock?allow-uid=app",
            "",
            f"{_LISTENER_OPTIONS}::test_connections_of_other_users_are_closed_unread",
        ),
        Feature(
            "a limit of connections",
            "tcp::80?maxconn=1000",
            "",
            f"{_LISTENER_OPTIONS}::test_maxconn_is_a_limit_of_its_own_address",
        ),
        Feature(
            "a limit of connections in a second",
            "tcp::80?maxrate=200",
            "excess connections wait in the backlog, and are not dropped",
            "tests/unit/server/test_accept_rate.py::test_one_seconds_worth_is_accepted_at_once_then_the_rate_applies",
        ),
        Feature(
            "congestion marks of datagrams",
            "udp::53?ecn",
            "a service sees them: `context.via.ecn`",
            f"{_UNIT}/listener/test_ancillary_datagram.py"
            "::test_every_mark_is_seen_and_replies_find_back",
        ),
        Feature(
            "datagrams that the system has joined",
            "udp::53?gro",
            "taken apart again",
            f"{_UNIT}/listener/test_ancillary_datagram.py"
            "::test_coalesced_datagrams_arrive_as_they_were_sent",
        ),
        Feature(
            "launchd",
            "launchd:Listeners",
            "",
            f"{_UNIT}/listener/adopt/test_launchd.py"
            "::test_every_descriptor_of_a_name_is_taken_and_the_array_freed",
        ),
    ),
}
