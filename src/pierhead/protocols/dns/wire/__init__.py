"""DNS messages as bytes: names, records, headers, EDNS (RFC 1035 §4, RFC 6891).

`tsig` below signs messages, and verifies signed ones. Pure: no I/O, no clock, no randomness.
"""
