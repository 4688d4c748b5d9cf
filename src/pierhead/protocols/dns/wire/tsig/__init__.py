"""TSIG: messages signed with a shared secret (RFC 8945); pure.

    key.py        a key, a keyring                  stream.py     messages that follow one another
    key_text.py   keys as text: BIND's, dig's       last_times.py when a key was last used
    record.py     the TSIG record in a message      signature.py  one message: `sign`, `verify`

Time is an argument everywhere: seconds since 1970.
"""

from pierhead.protocols.dns.wire.tsig.key import Key, Keyring
from pierhead.protocols.dns.wire.tsig.key_text import bind_text, parse_key, parse_keys
from pierhead.protocols.dns.wire.tsig.record import TsigRecord, find_tsig
from pierhead.protocols.dns.wire.tsig.signature import BadTsig, Signed, Verified, sign, verify
from pierhead.protocols.dns.wire.tsig.stream import StreamSigner, StreamVerifier

__all__ = [
    "BadTsig",
    "Key",
    "Keyring",
    "Signed",
    "StreamSigner",
    "StreamVerifier",
    "TsigRecord",
    "Verified",
    "bind_text",
    "find_tsig",
    "parse_key",
    "parse_keys",
    "sign",
    "verify",
]
