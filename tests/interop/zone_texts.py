"""Zone texts and what becomes of them here; `test_zone_checkers` asks four other programs.

Each text follows `HEAD` in the file, unless it is ``whole``. ``unlike`` names the programs that
decide otherwise, and ``why`` says what speaks for our side: B named-checkzone 9.18,
N nsd-checkzone 4.6, K kzonecheck 3.2, L ldns-read-zone 1.8, which reads one record after the
other and never looks at what they make together.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CASES", "HEAD", "Case"]

HEAD = """\
$ORIGIN example.
$TTL 300
@ SOA ns hm 1 7200 900 1209600 300
@ NS ns
ns A 192.0.2.1
"""

_YOUNG = "NSD 4.6, Knot 3.2 and ldns 1.8 do not know the type"
_OLD = "an old type, whose text the others do not read, or not in full"


@dataclass(frozen=True, slots=True)
class Case:
    """One text, our verdict, and which programs disagree."""

    title: str
    text: str
    accepted: bool
    unlike: str
    why: str


def accepted(
    title: str, text: str, *, whole: bool = False, unlike: str = "", why: str = ""
) -> Case:
    """Return a case that is a zone."""
    return _case(title, text, True, whole, (unlike, why))


def refused(title: str, text: str, *, whole: bool = False, unlike: str = "", why: str = "") -> Case:
    """Return a case that is refused."""
    return _case(title, text, False, whole, (unlike, why))


def _case(title: str, text: str, verdict: bool, whole: bool, others: tuple[str, str]) -> Case:
    if not whole:
        text = HEAD + text + ("\n" if title != "no final newline" else "")
    return Case(title, text, verdict, *others)


CASES = [
    # The zone as a whole
    accepted("plain", "www A 192.0.2.2"),
    refused("empty file", "", whole=True, unlike="L"),
    refused("only comments", "; nothing\n\n", whole=True, unlike="L"),
    refused("no soa", "$TTL 300\n@ NS ns\nns A 192.0.2.1\n", whole=True, unlike="L"),
    refused(
        "no ns",
        "$TTL 300\n@ SOA ns hm 1 2 3 4 5\nns A 192.0.2.1\n",
        whole=True,
        unlike="NL",
        why="RFC 1034 §4.2.1 wants name servers at the top; NSD serves the zone without",
    ),
    refused(
        "second soa",
        "@ SOA ns hm 2 7200 900 1209600 300",
        unlike="KL",
        why="RFC 1035 §5.2: one SOA record; Knot keeps the last",
    ),
    accepted(
        "same soa twice",
        "@ SOA ns hm 1 7200 900 1209600 300",
        unlike="N",
        why="a record written twice is one record (RFC 2181 §5)",
    ),
    refused(
        "soa below",
        "a SOA ns hm 1 7200 900 1209600 300",
        unlike="KL",
        why="RFC 1035 §5.2: one SOA record, at the top",
    ),
    accepted(
        "soa not first",
        "$ORIGIN example.\n$TTL 300\nwww A 192.0.2.2\n@ SOA ns hm 1 2 3 4 5\n@ NS ns\n"
        "ns A 192.0.2.1\n",
        whole=True,
    ),
    refused(
        "out of zone",
        "www.other. A 192.0.2.2",
        unlike="BKL",
        why="BIND and Knot leave such records out; a typing error should not pass unseen",
    ),
    accepted(
        "no ttl anywhere",
        "@ SOA ns.example. hm.example. 1 2 3 4 5\n@ NS ns.example.\nns A 192.0.2.1\n",
        whole=True,
    ),
    accepted("no final newline", "www A 192.0.2.2"),
    accepted(
        "crlf",
        "www A 192.0.2.2\r\nb A 192.0.2.3\r",
        unlike="K",
        why="files come from other systems, too",
    ),
    accepted("blank lines", "\n \n\t\nwww A 192.0.2.2"),
    # Control characters: part of their field, but for what ends lines
    *[
        accepted(
            f"control {ord(octet):02x} {where}",
            text.replace("?", octet),
            unlike=unlike,
            why="an octet as good as any other; BIND and NSD take it for part of the field",
        )
        for octet, unlike in [
            ("\x01", "K"),
            ("\v", "KL"),
            ("\f", "KL"),
            ("\x1b", "K"),
            ("\x1c", "K"),
            ("\x1f", "K"),
            ("\x7f", "K"),
        ]
        for where, text in [
            ("before the owner", "?www A 192.0.2.2"),
            ("in the owner", "w?w A 192.0.2.2"),
            ("in a field", "www TXT a?b"),
            ("in a string", 'www TXT "a?b"'),
        ]
    ],
    *[
        refused(f"control {ord(octet):02x} {where}", text.replace("?", octet), unlike=unlike)
        for octet, unlike in [("\x01", ""), ("\v", "L"), ("\f", "L"), ("\x1b", ""), ("\x7f", "")]
        for where, text in [
            ("between owner and type", "www?A 192.0.2.2"),
            ("in the type", "www A? 192.0.2.2"),
            ("behind an address", "www A 192.0.2.2?"),
            ("alone", "?"),
        ]
    ],
    accepted("control in a comment", "www A 192.0.2.2 ; \x00\x01\v\f\x1b\x7f\r."),
    refused(
        "nul in a field",
        "www TXT a\x00b",
        unlike="NL",
        why="a hole in the file, more likely than a name or text with NUL: write \\000",
    ),
    refused("nul before the owner", "\x00www A 192.0.2.2", unlike="L"),
    refused("nul in the owner", "w\x00w A 192.0.2.2", unlike="NL", why="as in a field"),
    refused("nul before a name", "www CNAME \x00a", unlike="L"),
    refused("nul alone", "\x00\x00\x00\x00", unlike="L"),
    accepted("nul in a string", 'www TXT "a\x00b"', unlike="K", why="BIND and NSD read it"),
    accepted("nul written out", "\\000www TXT a\\000b"),
    # A carriage return ends a line, in parentheses it is a blank
    *[
        accepted(
            f"cr {where}",
            text,
            unlike=f"K{unlike}",
            why="a line ends in LF, CR or both, as BIND and NSD have it",
        )
        for where, text, unlike in [
            ("twice", "www A 192.0.2.2\r\r", ""),
            ("lines alone", "www A 192.0.2.2\rb A 192.0.2.3\r", "L"),
            ("before the owner", "\rwww A 192.0.2.2", ""),
            ("before a blank", "www A 192.0.2.2\r  ", ""),
            ("before a comment", "www A 192.0.2.2\r; comment", ""),
            ("before the blank that repeats", "www A 192.0.2.2\r A 192.0.2.3", "L"),
            ("in parentheses", "www A ( \r 192.0.2.2 )", ""),
            ("lf in parentheses", "www A (\r\n192.0.2.2\r\n)\r", ""),
            ("in a string", 'www TXT "a\rb"', ""),
            ("behind a directive", "$TTL 300\r", ""),
        ]
    ],
    *[
        refused(f"cr {where}", text, unlike="L")
        for where, text in [
            ("for a blank", "www\rA 192.0.2.2"),
            ("behind the type", "www A\r 192.0.2.2"),
            ("between strings", "www TXT a\rb"),
            ("between quoted strings", 'www TXT "a"\r"b"'),
            ("in a directive", "$TTL\r300"),
        ]
    ],
    refused("cr in the owner", "w\rw A 192.0.2.2"),
    refused(
        "cr escaped",
        "www TXT a\\\r\nb TXT c",
        unlike="NL",
        why="a backslash at the end of a line, whatever ends it",
    ),
    accepted("utf-8 in txt", "www TXT é", unlike="K", why="octets above 127 are octets"),
    accepted("utf-8 owner", "é A 192.0.2.2", unlike="K", why="octets above 127 are octets"),
    # Records that depend on each other
    refused("cname and other", "www CNAME ns\nwww A 192.0.2.2", unlike="L"),
    refused("two cnames", "www CNAME ns\nwww CNAME @", unlike="L"),
    accepted("same cname twice", "www CNAME ns\nwww CNAME ns"),
    refused("cname at the top", "@ CNAME ns", unlike="L"),
    accepted("cname beside rrsig nsec", "www CNAME ns\nwww NSEC z CNAME RRSIG NSEC"),
    accepted("cname loop", "a CNAME b\nb CNAME a"),
    refused("dname and cname", "a DNAME x.test.\na CNAME y.test.", unlike="L"),
    refused("two dnames", "a DNAME x.test.\na DNAME y.test.", unlike="L"),
    refused(
        "below dname",
        "a DNAME x.test.\nb.a A 192.0.2.2",
        unlike="BL",
        why="RFC 6672 §2.4: what is below a DNAME is never answered",
    ),
    refused("dname at the top", "@ DNAME x.test.", unlike="L"),
    refused(
        "dname beside delegation",
        "a DNAME x.test.\na NS ns",
        unlike="BNL",
        why="RFC 6672 §2.3; other versions of Knot refuse it as well",
    ),
    accepted("dname with others", "a DNAME x.test.\na A 192.0.2.2"),
    accepted(
        "ns at wildcard",
        "*.a NS ns",
        unlike="B",
        why="RFC 4592 §4.2: discouraged, but not barred; a warning here",
    ),
    refused(
        "ds at top",
        "@ DS 1 8 2 " + "ab" * 32,
        unlike="NKL",
        why="RFC 4035 §2.4: DS belongs to the parent",
    ),
    accepted("ds without ns", "a DS 1 8 2 " + "ab" * 32),
    accepted("ds with ns", "a NS ns\na DS 1 8 2 " + "ab" * 32),
    accepted("glue missing", "sub NS ns.sub", unlike="K", why="unwise, and a warning here"),
    accepted("ns is alias", "al CNAME ns\nsub NS al", unlike="K", why="unwise, and a warning here"),
    accepted("mx is alias", "al CNAME ns\n@ MX 1 al"),
    accepted("a below delegation", "sub NS ns.sub\nns.sub A 192.0.2.2\nwww.sub A 192.0.2.3"),
    accepted("duplicate record", "www A 192.0.2.2\nwww A 192.0.2.2"),
    accepted("ttl differs in set", "www 60 A 192.0.2.2\nwww 70 A 192.0.2.3"),
    accepted("wildcard", "* A 192.0.2.2\n*.w TXT x"),
    # Names
    accepted("label of 63", "a" * 63 + " A 192.0.2.2"),
    refused("label of 64", "a" * 64 + " A 192.0.2.2"),
    accepted("name of 255", ".".join(["a" * 49] * 4) + "." + "a" * 45 + ".example. A 192.0.2.2"),
    refused("name of 256", ".".join(["a" * 49] * 4) + "." + "a" * 46 + ".example. A 192.0.2.2"),
    refused("name too long", ".".join(["a" * 60] * 5) + " A 192.0.2.2"),
    refused("empty label", "a..b A 192.0.2.2"),
    refused("leading dot", ".a A 192.0.2.2"),
    refused(
        "root owner",
        ". A 192.0.2.2",
        unlike="BKL",
        why="BIND and Knot leave it out; out of the zone all the same",
    ),
    accepted("escaped dot", r"a\.b A 192.0.2.2"),
    accepted("escape ddd", r"a\065b A 192.0.2.2"),
    refused(
        "escape 256",
        r"a\256 A 192.0.2.2",
        unlike="NK",
        why="RFC 1035 §5.1: DDD is an octet; others take it for 0 or drop a bit",
    ),
    refused(
        "escape two digits",
        r"a\06 A 192.0.2.2",
        unlike="N",
        why="RFC 1035 §5.1: DDD is three digits",
    ),
    refused("escape at end of line", "a\\\nA 192.0.2.2"),
    accepted("escaped blank", r"a\ b A 192.0.2.2"),
    accepted("escaped semicolon", r"a\;b TXT x"),
    accepted("underscore a", "_a A 192.0.2.2"),
    accepted("underscore mx target", "@ MX 1 _x\n_x A 192.0.2.2"),
    accepted("hyphen first", "-a A 192.0.2.2"),
    accepted(
        "quoted owner",
        '"www" A 192.0.2.2',
        unlike="K",
        why="harmless, and in the files of two others",
    ),
    accepted(
        "quoted name in rdata", 'www CNAME "ns"', unlike="BK", why="harmless; NSD and ldns read it"
    ),
    accepted("at in rdata", "www CNAME @"),
    accepted("escaped at", r"\@ A 192.0.2.2"),
    accepted(
        "at inside",
        "a@b A 192.0.2.2",
        unlike="K",
        why="RFC 1035 §5.1: only a free-standing @ is the origin",
    ),
    accepted("slash in name", "0/25 CNAME ns"),
    accepted("star inside", "a.*.b A 192.0.2.2"),
    refused(
        "dollar name",
        "$x A 192.0.2.2",
        unlike="NL",
        why="an unknown directive is more likely than such a name; write \\$x",
    ),
    accepted("nul label", r"\000 A 192.0.2.2"),
    accepted("digits owner", "1 A 192.0.2.2"),
    accepted("owner named a", "a A 192.0.2.2\nA A 192.0.2.3"),
    accepted("owner named in", "IN A 192.0.2.2"),
    # TTLs and classes
    accepted("ttl units", "a 1h30m A 192.0.2.2\nb 1W2D A 192.0.2.2"),
    accepted("ttl unit upper", "a 1H A 192.0.2.2"),
    refused("ttl lone unit", "a h A 192.0.2.2", unlike="N", why="no number, no TTL"),
    refused(
        "ttl number after units",
        "a 1h30 A 192.0.2.2",
        unlike="NL",
        why="1h30 may mean seconds or minutes",
    ),
    accepted("ttl repeated unit", "a 1h1h A 192.0.2.2"),
    accepted("ttl units any order", "a 1m1h A 192.0.2.2"),
    accepted("ttl max", "a 2147483647 A 192.0.2.2"),
    accepted("ttl over 31 bits", "a 2147483648 A 192.0.2.2"),
    refused(
        "ttl over 32 bits",
        "a 4294967296 A 192.0.2.2",
        unlike="NL",
        why="RFC 2181 §8: 31 bits; NSD takes what is left of it",
    ),
    refused("ttl negative", "a -1 A 192.0.2.2"),
    refused("ttl plus", "a +1 A 192.0.2.2"),
    refused("ttl hex", "a 0x10 A 192.0.2.2", unlike="L"),
    accepted("ttl zero", "a 0 A 192.0.2.2"),
    accepted("ttl leading zeros", "a 000300 A 192.0.2.2"),
    accepted("class then ttl", "a IN 300 A 192.0.2.2", unlike="L"),
    accepted("ttl then class", "a 300 IN A 192.0.2.2"),
    refused("two ttls", "a 300 300 A 192.0.2.2"),
    refused("two classes", "a IN IN A 192.0.2.2"),
    refused("other class", "a CH A 192.0.2.2", unlike="L"),
    accepted("class1", "a CLASS1 A 192.0.2.2", unlike="K", why="RFC 3597 §5: CLASS1 is IN"),
    refused("class 32", "a CLASS32 A 192.0.2.2", unlike="L"),
    accepted("class lower", "a in a 192.0.2.2"),
    accepted("$ttl units", "$TTL 1h\na A 192.0.2.2"),
    refused("$ttl bad", "$TTL x\na A 192.0.2.2", unlike="L"),
    refused("$ttl missing", "$TTL\na A 192.0.2.2"),
    refused("$ttl too much", "$TTL 1 2\na A 192.0.2.2", unlike="L"),
    accepted("$ttl lower", "$ttl 60\na A 192.0.2.2", unlike="L"),
    accepted(
        "soa units", "$TTL 300\n@ SOA ns hm 1 2h 15m 2w 5m\n@ NS ns\nns A 192.0.2.1\n", whole=True
    ),
    refused(
        "soa serial too large",
        "$TTL 300\n@ SOA ns hm 4294967296 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n",
        whole=True,
        unlike="NL",
        why="32 bits; NSD takes what is left of it",
    ),
    refused(
        "soa serial with unit",
        "$TTL 300\n@ SOA ns hm 1h 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n",
        whole=True,
    ),
    refused("soa short", "$TTL 300\n@ SOA ns hm 1 2 3 4\n@ NS ns\nns A 192.0.2.1\n", whole=True),
    # Directives
    accepted(
        "$origin relative",
        "$ORIGIN sub\nwww A 192.0.2.2",
        unlike="NK",
        why="RFC 1035 §5.1 allows it: relative names continue with the origin",
    ),
    accepted("$origin absolute", "$ORIGIN sub.example.\nwww A 192.0.2.2"),
    accepted("$origin out of zone unused", "$ORIGIN other."),
    refused("$origin missing", "$ORIGIN"),
    refused("$origin twice", "$ORIGIN a.example. b", unlike="L"),
    refused("$include missing", "$INCLUDE"),
    refused("$include absent", "$INCLUDE nowhere.txt"),
    refused("$unknown", "$FOO bar", unlike="L"),
    accepted("$generate", "$GENERATE 1-3 h$ A 192.0.2.$", unlike="NKL", why="$GENERATE is BIND's"),
    accepted(
        "$generate step", "$GENERATE 1-9/4 h$ A 192.0.2.$", unlike="NKL", why="$GENERATE is BIND's"
    ),
    accepted(
        "$generate modifiers",
        "$GENERATE 1-3 h${10,3,x} CNAME t${-1}",
        unlike="NKL",
        why="$GENERATE is BIND's",
    ),
    accepted(
        "$generate nibble",
        "$GENERATE 1-3 ${0,3,n}.r PTR h$",
        unlike="NKL",
        why="$GENERATE is BIND's",
    ),
    accepted(
        "$generate ttl class",
        "$GENERATE 1-3 h$ 60 IN A 192.0.2.$",
        unlike="NKL",
        why="$GENERATE is BIND's",
    ),
    refused("$generate bad range", "$GENERATE 3-1 h$ A 192.0.2.$"),
    refused("$generate no range", "$GENERATE x h$ A 192.0.2.$"),
    accepted(
        "$generate escaped",
        r"$GENERATE 1-2 a\$$ A 192.0.2.$",
        unlike="NKL",
        why="$GENERATE is BIND's",
    ),
    refused("$generate bad data", "$GENERATE 255-256 h$ A 192.0.2.$"),
    refused("$generate indented", " $GENERATE 1-3 h$ A 192.0.2.$"),
    # Parentheses, quotes, comments
    accepted("parentheses", "www ( A\n 192.0.2.2 )"),
    accepted("paren comment", "www TXT ( a ; c )\n b )"),
    accepted(
        "paren owner inside",
        "( www A 192.0.2.2 )",
        unlike="NKL",
        why="parentheses group fields of any kind",
    ),
    refused(
        "unclosed", "www A ( 192.0.2.2", unlike="NL", why="NSD forgives it at the end of the file"
    ),
    refused("unopened", "www A 192.0.2.2 )", unlike="L"),
    accepted("nested", "www TXT ( a ( b ) c )", unlike="NK", why="BIND and ldns read it"),
    accepted("two pairs", "www TXT ( a ) ( b )"),
    accepted("paren glued", "www TXT (a)b"),
    accepted("paren in quotes", 'www TXT "(" b'),
    refused(
        "string over lines",
        'www TXT "a\nb"',
        unlike="N",
        why="a quote that is forgotten would swallow the records below",
    ),
    refused("unclosed quote", 'www TXT "a', unlike="L"),
    accepted("semicolon in quotes", 'www TXT "a;b"'),
    accepted("comment glued", "www A 192.0.2.2;c"),
    accepted("leading blank repeats", " TXT again"),
    refused("rdata missing", "www A"),
    refused("type missing", "www"),
    refused("too much", "www A 192.0.2.2 x"),
    refused("unknown type", "www FOO bar"),
    # Character-strings
    accepted("txt empty", 'www TXT ""'),
    refused("txt none", "www TXT"),
    accepted("txt 255", "www TXT " + "a" * 255),
    refused(
        "txt 256",
        "www TXT " + "a" * 256,
        unlike="K",
        why="RFC 1035 §3.3: 255 octets; Knot splits it",
    ),
    accepted("txt escapes", r'www TXT "\"\\\000\255" a\ b'),
    refused("txt 256 escape", r'www TXT "\256"', unlike="N", why="RFC 1035 §5.1: DDD is an octet"),
    refused(
        "txt two digit escape",
        r'www TXT "\12"',
        unlike="N",
        why="RFC 1035 §5.1: DDD is three digits",
    ),
    accepted(
        "txt glued quotes",
        'www TXT "a""b"',
        unlike="K",
        why="a quotation mark ends the string before it",
    ),
    refused("txt quote inside bare", 'www TXT a"b', unlike="L"),
    accepted(
        "txt quote then bare",
        'www TXT "a"b',
        unlike="K",
        why="a quotation mark ends the string before it",
    ),
    # Addresses
    refused("a short", "www A 192.0.2"),
    refused("a leading zero", "www A 192.0.2.01"),
    refused("a 256", "www A 192.0.2.256"),
    refused("a hex", "www A 0xC0000201"),
    accepted("aaaa", "www AAAA 2001:DB8::1"),
    accepted("aaaa v4 tail", "www AAAA ::ffff:192.0.2.1"),
    refused("aaaa two gaps", "www AAAA 1::2::3"),
    refused("aaaa 9 groups", "www AAAA 1:2:3:4:5:6:7:8:9"),
    accepted("aaaa gap of one", "www AAAA 1:2:3:4:5:6:7::"),
    refused("aaaa gap of none", "www AAAA 1:2:3:4:5:6:7:8::"),
    refused("aaaa zone id", "www AAAA fe80::1%eth0"),
    refused("aaaa brackets", "www AAAA [::1]"),
    # Other types
    refused("mx no preference", "@ MX mail.test."),
    refused(
        "mx too large",
        "@ MX 65536 mail.test.",
        unlike="NL",
        why="16 bits; NSD takes what is left of it",
    ),
    accepted("mx null", "@ MX 0 ."),
    accepted("mx address", "@ MX 10 192.0.2.1"),
    accepted(
        "ns address", "sub NS 192.0.2.1", unlike="K", why="a name all the same, and a warning here"
    ),
    accepted("srv", "_s._tcp SRV 0 0 53 ns"),
    refused("srv port name", "_s._tcp SRV 0 0 domain ns"),
    refused("srv short", "_s._tcp SRV 0 0 53"),
    accepted("caa", '@ CAA 0 issue "ca.test"'),
    accepted("caa unquoted", "@ CAA 0 issue ca.test", unlike="L"),
    refused(
        "caa bad tag", '@ CAA 0 is-sue "x"', unlike="K", why="RFC 8659 §4.1: letters and digits"
    ),
    refused(
        "caa flags 256",
        '@ CAA 256 issue "x"',
        unlike="NL",
        why="8 bits; NSD takes what is left of it",
    ),
    refused(
        "ds digest short", "a NS ns\na DS 1 8 2 abcd", unlike="NL", why="RFC 4509 §2.1: 32 octets"
    ),
    accepted("ds mnemonic", "a NS ns\na DS 1 RSASHA256 2 " + "ab" * 32),
    accepted("dnskey", "@ DNSKEY 256 3 8 AwEAAag="),
    refused("dnskey bad base64", "@ DNSKEY 256 3 8 !!!!"),
    accepted("dnskey spaced", "@ DNSKEY 256 3 8 AwEA Aag="),
    accepted("tlsa", "_443._tcp TLSA 3 1 1 " + "ab" * 32),
    refused("tlsa odd", "_443._tcp TLSA 3 1 1 abc", unlike="L"),
    accepted("sshfp", "www SSHFP 4 2 " + "ab" * 32),
    accepted("naptr", '@ NAPTR 100 50 "s" "x" "" _a'),
    accepted("naptr unquoted", '@ NAPTR 100 50 s x "" _a'),
    refused("hinfo one", "www HINFO cpu"),
    accepted("hinfo two", "www HINFO cpu os"),
    accepted("loc", "www LOC 52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m"),
    accepted("loc short", "www LOC 52 N 4 E 0m"),
    refused("loc bad", "www LOC 91 N 4 E 0m", unlike="NL", why="RFC 1876 §3: 90 degrees at most"),
    accepted("apl", "www APL 1:192.0.2.0/24 !2:2001:db8::/32"),
    refused("apl bad", "www APL 1:192.0.2.0/33", unlike="L"),
    accepted("rp", "www RP hm.example. txt"),
    accepted("uri", 'www URI 1 2 "https://x/"'),
    accepted("uri empty", 'www URI 1 2 ""'),
    accepted("eui48", "www EUI48 00-00-5e-00-53-2a"),
    refused("eui48 colons", "www EUI48 00:00:5e:00:53:2a"),
    refused("null type", "www NULL abcd"),
    refused("any type", "www ANY x", unlike="L"),
    refused("opt type", "www OPT x"),
    refused("axfr type", "www AXFR x"),
    refused("type0", r"www TYPE0 \# 0", unlike="KL", why="RFC 6895 §3.1: reserved"),
    accepted("spf", 'www SPF "v=spf1"'),
    accepted(
        "nsec3 owner",
        "2t7b4g4vsa5smi47k61mv5bv1a22bojr NSEC3 1 0 0 - 2t7b4g4vsa5smi47k61mv5bv1a22bojr A",
    ),
    accepted("csync", "@ CSYNC 1 3 A NS"),
    accepted("zonemd", "@ ZONEMD 1 1 1 " + "ab" * 48),
    refused("zonemd short", "@ ZONEMD 1 1 1 abab", unlike="NKL", why="RFC 8976 §2.2.3: 48 octets"),
    accepted("openpgpkey", "www OPENPGPKEY AQID"),
    accepted("smimea", "www SMIMEA 3 0 0 aabb"),
    accepted("dhcid", "www DHCID AAIBY2/AuCccgoJbsaxcQc9TUapptP69lOjxfNuVAA2kjEA="),
    accepted(
        "ipseckey",
        "www IPSECKEY 10 1 2 192.0.2.38 AQNRU3mG7TVTO2BkR47usntb102uFJtugbo6BSGvgqt4AQ==",
    ),
    accepted(
        "hip",
        "www HIP 2 200100107B1A74DF365639CC39F1D578 AQID",
        unlike="NK",
        why="NSD 4.6 and Knot 3.2 do not know the type",
    ),
    accepted("amtrelay", "www AMTRELAY 10 0 1 203.0.113.15", unlike="NKL", why=_YOUNG),
    accepted("amtrelay none", "www AMTRELAY 10 1 0 .", unlike="NKL", why=_YOUNG),
    accepted("amtrelay ipv6", "www AMTRELAY 10 0 2 2001:db8::15", unlike="NKL", why=_YOUNG),
    accepted("amtrelay name", "www AMTRELAY 10 0 3 relay", unlike="NKL", why=_YOUNG),
    refused("amtrelay unknown", "www AMTRELAY 10 0 4 ."),
    refused("amtrelay discovery", "www AMTRELAY 10 2 0 ."),
    refused("amtrelay short", "www AMTRELAY 10 0 0"),
    accepted(
        "amtrelay 3597 unknown",
        r"www AMTRELAY \# 4 0a04 abcd",
        unlike="NK",
        why=f"{_YOUNG}; under its number they take it",
    ),
    refused("amtrelay 3597 long", r"www AMTRELAY \# 7 0a01c000020100", unlike="L"),
    accepted("wks", "www WKS 192.0.2.1 6 25 80", unlike="K", why=_OLD),
    accepted("wks words", "www WKS 192.0.2.1 tcp smtp http", unlike="K", why=_OLD),
    accepted(
        "wks upper words",
        "www WKS 192.0.2.1 TCP SMTP",
        unlike="NK",
        why=f"{_OLD}; BIND and ldns read words in either letter case",
    ),
    accepted(
        "wks no port",
        "www WKS 192.0.2.1 tcp",
        unlike="NKL",
        why=f"{_OLD}; RFC 1035 §3.4.2: the map of ports has any length",
    ),
    accepted("wks repeated", "www WKS 192.0.2.1 6 80 25 25", unlike="K", why=_OLD),
    refused("wks no protocol", "www WKS 192.0.2.1"),
    refused("wks protocol 256", "www WKS 192.0.2.1 256 25", unlike="L"),
    refused("wks port 65536", "www WKS 192.0.2.1 6 65536"),
    refused("wks unknown word", "www WKS 192.0.2.1 6 nosuch", unlike="L"),
    refused(
        "wks signed",
        "www WKS 192.0.2.1 +6 +25",
        unlike="BNL",
        why="a number is digits, here as everywhere; it is C that reads signs",
    ),
    accepted("wks 3597", r"www WKS \# 5 c000020106", unlike="K", why=_OLD),
    refused("wks 3597 short", r"www WKS \# 4 c0000201", unlike="NL", why="RFC 1035 §3.4.2"),
    accepted("nsap", "www NSAP 0x47.0005.80.005a00", unlike="K", why=_OLD),
    accepted("nsap upper", "www NSAP 0XAB", unlike="KL", why=_OLD),
    accepted(
        "nsap full stops",
        "www NSAP 0x.a..b.",
        unlike="NK",
        why=f"{_OLD}; RFC 1706 §6: full stops are there for readers",
    ),
    refused("nsap without 0x", "www NSAP 47"),
    refused("nsap empty", "www NSAP 0x", unlike="NL", why="no address"),
    refused("nsap odd", "www NSAP 0xabc", unlike="L"),
    refused("nsap two fields", "www NSAP 0xaa bb"),
    refused("nsap 3597 empty", r"www NSAP \# 0", unlike="NL", why="no address"),
    accepted("nsap-ptr", "www NSAP-PTR foo", unlike="NK", why=_OLD),
    accepted("nxt", "www NXT host A MX", unlike="KL", why=_OLD),
    accepted("nxt no type", "www NXT host", unlike="NKL", why=_OLD),
    refused("nxt type 128", "www NXT host TYPE128"),
    accepted("eid", "www EID aabb cc", unlike="NK", why=_OLD),
    refused("eid odd", "www EID abc", unlike="L"),
    accepted("nimloc", "www NIMLOC aabb", unlike="NK", why=_OLD),
    refused("nimloc with 0x", "www NIMLOC 0xaabb"),
    accepted("atma number", "www ATMA +1.5551234", unlike="NKL", why=_OLD),
    accepted("atma system", "www ATMA 39.246f.00", unlike="NK", why=_OLD),
    refused("atma empty", "www ATMA +"),
    refused("atma odd", "www ATMA 3", unlike="L"),
    accepted("a6", "www A6 64 ::1 prefix", unlike="NKL", why=_OLD),
    accepted("a6 whole", "www A6 0 2001:db8::1", unlike="NKL", why=_OLD),
    accepted("a6 name alone", "www A6 128 prefix", unlike="NKL", why=_OLD),
    refused("a6 too long", "www A6 129 prefix"),
    refused("a6 whole with name", "www A6 0 2001:db8::1 prefix"),
    refused("a6 3597 pad bits", r"www A6 \# 11 3f800000000000000001 00", unlike="L"),
    accepted("sink", "www SINK 1 0 0 AQID", unlike="NKL", why=_OLD),
    accepted("sink empty", "www SINK 1 0 0", unlike="NKL", why=_OLD),
    refused("sink short", "www SINK 1 0 AQID"),
    accepted("doa", 'www DOA 0 1 2 "text/html" AQID', unlike="NKL", why=_OLD),
    accepted("doa empty", 'www DOA 0 1 2 "" -', unlike="NKL", why=_OLD),
    refused("doa short", "www DOA 0 1 2 x"),
    accepted("talink", "www TALINK a b", unlike="NK", why=_OLD),
    accepted("ninfo", "www NINFO x", unlike="NKL", why=_OLD),
    accepted("rkey", "www RKEY 0 0 1 AQID", unlike="NKL", why=_OLD),
    accepted("ta", "www TA 1 8 2 " + "ab" * 32, unlike="NKL", why=_OLD),
    accepted("dlv", "www DLV 1 8 2 " + "ab" * 32, unlike="K", why=_OLD),
    accepted("dsync", "www DSYNC CDS NOTIFY 53 a", unlike="NKL", why=_YOUNG),
    accepted("hhit", "www HHIT AAEC", unlike="NKL", why=_YOUNG),
    accepted("brid", "www BRID AAEC", unlike="NKL", why=_YOUNG),
    accepted("resinfo", "www RESINFO qnamemin", unlike="NKL", why=_YOUNG),
    accepted("wallet", "www WALLET BTC x", unlike="NKL", why=_YOUNG),
    accepted("avc", "www AVC x", unlike="KL", why="Knot 3.2 and ldns 1.8 do not know the type"),
    accepted("gpos", "www GPOS -32.6882 116.8652 10.0", unlike="NK", why=_OLD),
    refused("gpos short", "www GPOS 1 1"),
    refused("loc upper m", "www LOC 1 N 1 E 1M", unlike="L"),
    refused("apl other family", "www APL 3:aabb/16"),
    accepted("apl empty", "www APL"),
    accepted("apl 3597 other family", r"www APL \# 5 0003 ff 01 c0"),
    refused(
        "apl 3597 trailing zero",
        r"www APL \# 6 0001 18 02 c000",
        unlike="NKL",
        why="RFC 3123 §4: trailing zero octets must not be there",
    ),
    accepted("loc 3597 other version", r"www LOC \# 16 01121613 80000000 80000000 00989680"),
    refused(
        "loc 3597 size",
        r"www LOC \# 16 00a21613 80000000 80000000 00989680",
        unlike="NKL",
        why="RFC 1876 §2: values above 9 are undefined",
    ),
    refused(
        "loc 3597 latitude",
        r"www LOC \# 16 00121613 00000000 80000000 00989680",
        unlike="NKL",
        why="RFC 1876 §3: 90 degrees at most",
    ),
    accepted(
        "ipseckey 3597 unknown",
        r"www IPSECKEY \# 5 0a0402 abcd",
        unlike="B",
        why="a gateway of a type yet to be defined is none of ours to judge",
    ),
    refused(
        "hip 3597 empty key",
        r"www HIP \# 5 01020000 aa",
        unlike="L",
    ),
    refused(
        "sshfp short",
        "www SSHFP 4 2 ab",
        unlike="NKL",
        why="RFC 6594 §4: 32 octets; resolvers that check throw it away",
    ),
    accepted("sshfp unknown", "www SSHFP 99 9 ab"),
    accepted("tlsa private", "www TLSA 255 255 255 ab"),
    accepted("nid", "www NID 10 0014:4fff:ff20:ee64"),
    accepted("l32", "www L32 10 10.1.2.0"),
    # Unknown types (RFC 3597)
    accepted("3597 unknown", r"www TYPE65280 \# 3 aabbcc"),
    accepted("3597 empty", r"www TYPE65280 \# 0"),
    accepted("3597 split", r"www TYPE65280 \# 4 aa bbcc dd"),
    accepted(
        "3597 split odd",
        r"www TYPE65280 \# 4 aab bcc dd",
        unlike="K",
        why="RFC 3597 §5: white space may stand anywhere between the digits",
    ),
    accepted("3597 lower type", r"www type65280 \# 3 aabbcc"),
    accepted("3597 known a", r"www A \# 4 c0000202"),
    accepted("3597 known as typeNN", "www TYPE1 192.0.2.2"),
    accepted("3597 type1 generic", r"www TYPE1 \# 4 c0000202"),
    refused(
        "3597 known wrong",
        r"www A \# 3 c00002",
        unlike="K",
        why="RFC 3597 §5: known types must be right in this form too",
    ),
    accepted("3597 cname", r"www CNAME \# 4 02 6e73 00"),
    refused(
        "3597 pointer",
        r"www CNAME \# 2 c00c",
        why="RFC 3597 §5: names are uncompressed; Knot 3.2 ends by a signal",
    ),
    refused(
        "3597 length short",
        r"www TYPE65280 \# 2 aabbcc",
        unlike="N",
        why="RFC 3597 §5: the length must be right",
    ),
    refused(
        "3597 length long",
        r"www TYPE65280 \# 4 aabbcc",
        unlike="N",
        why="RFC 3597 §5: the length must be right",
    ),
    refused("3597 no length", r"www TYPE65280 \#"),
    refused("3597 odd", r"www TYPE65280 \# 2 aabbc"),
    refused("3597 no hash", "www TYPE65280 aabb"),
    refused(
        "3597 length not number",
        r"www TYPE65280 \# x aabb",
        unlike="N",
        why="RFC 3597 §5: the length must be right",
    ),
    refused("3597 quoted hash", r'www TYPE65280 "\#" 2 aabb'),
    refused("3597 type too large", r"www TYPE65536 \# 1 aa", unlike="L"),
    accepted(
        "3597 class", r"www CLASS1 TYPE65280 \# 1 aa", unlike="K", why="RFC 3597 §5: CLASS1 is IN"
    ),
    accepted("3597 escaped hash txt", r'www TXT "\#"'),
    accepted("3597 txt bare hash", r"www TXT \# 2 0161"),
    # Service bindings (RFC 9460)
    accepted("svcb none", "www HTTPS 1 . "),
    accepted("svcb alpn", "www HTTPS 1 . alpn=h2"),
    accepted("svcb alpn quoted", 'www HTTPS 1 . alpn="h2,h3"'),
    refused(
        "svcb alpn all quoted",
        'www HTTPS 1 . "alpn=h2"',
        unlike="N",
        why="RFC 9460 §2.1: quotes go around the value",
    ),
    refused("svcb alpn blank", 'www HTTPS 1 . alpn= "h2"'),
    refused("svcb alpn blank before", 'www HTTPS 1 . alpn ="h2"'),
    refused("svcb alpn empty", "www HTTPS 1 . alpn="),
    refused("svcb alpn empty quoted", 'www HTTPS 1 . alpn=""'),
    refused("svcb alpn alone", "www HTTPS 1 . alpn", unlike="L"),
    refused(
        "svcb alpn empty item",
        "www HTTPS 1 . alpn=h2,,h3",
        unlike="N",
        why="RFC 9460 §7.1.1: protocols are 1 to 255 octets",
    ),
    refused(
        "svcb alpn trailing comma",
        "www HTTPS 1 . alpn=h2,",
        unlike="N",
        why="RFC 9460 §7.1.1: protocols are 1 to 255 octets",
    ),
    accepted("svcb alpn escaped comma", r'www HTTPS 1 . alpn="f\\\\oo\\,bar,h2"'),
    accepted("svcb alpn escaped comma bare", r"www HTTPS 1 . alpn=f\\\092oo\092,bar,h2"),
    refused("svcb alpn upper key", "www HTTPS 1 . ALPN=h2"),
    refused("svcb twice", "www HTTPS 1 . alpn=h2 alpn=h3", unlike="L"),
    refused(
        "svcb no-default alone",
        "www HTTPS 1 . no-default-alpn",
        unlike="NKL",
        why="RFC 9460 §7.1.1: alpn must be there",
    ),
    accepted("svcb no-default", "www HTTPS 1 . alpn=h2 no-default-alpn"),
    refused("svcb no-default value", "www HTTPS 1 . alpn=h2 no-default-alpn=1"),
    accepted(
        "svcb no-default empty value",
        "www HTTPS 1 . alpn=h2 no-default-alpn=",
        unlike="KL",
        why="RFC 9460 §2.1: an empty value is not a value",
    ),
    accepted(
        "svcb no-default empty quoted",
        'www HTTPS 1 . alpn=h2 no-default-alpn=""',
        unlike="KL",
        why="RFC 9460 §2.1: an empty value is not a value",
    ),
    accepted("svcb port", "www HTTPS 1 . port=443"),
    accepted("svcb port quoted", 'www HTTPS 1 . port="443"'),
    refused("svcb port too large", "www HTTPS 1 . port=65536", unlike="L"),
    refused("svcb port empty", "www HTTPS 1 . port="),
    refused("svcb port alone", "www HTTPS 1 . port", unlike="L"),
    refused(
        "svcb port signed",
        "www HTTPS 1 . port=+1",
        unlike="NL",
        why="RFC 9460 §7.2: a number of digits",
    ),
    accepted("svcb port leading zeros", "www HTTPS 1 . port=0443"),
    accepted("svcb ipv4hint", "www HTTPS 1 . ipv4hint=192.0.2.1,192.0.2.2"),
    accepted("svcb ipv4hint quoted", 'www HTTPS 1 . ipv4hint="192.0.2.1,192.0.2.2"'),
    refused("svcb ipv4hint bad", "www HTTPS 1 . ipv4hint=192.0.2"),
    refused("svcb ipv4hint empty", "www HTTPS 1 . ipv4hint="),
    refused("svcb ipv4hint blank in list", 'www HTTPS 1 . ipv4hint="192.0.2.1, 192.0.2.2"'),
    accepted("svcb ipv6hint", "www HTTPS 1 . ipv6hint=::1,2001:db8::"),
    accepted("svcb ipv6hint v4", "www HTTPS 1 . ipv6hint=::ffff:192.0.2.1"),
    refused("svcb ipv6hint bad", "www HTTPS 1 . ipv6hint=192.0.2.1"),
    accepted("svcb ech", "www HTTPS 1 . ech=AQID"),
    accepted("svcb ech quoted", 'www HTTPS 1 . ech="AQID"'),
    refused("svcb ech bad", "www HTTPS 1 . ech=!!"),
    refused(
        "svcb ech empty",
        "www HTTPS 1 . ech=",
        unlike="BN",
        why="an empty list of configurations is none",
    ),
    accepted("svcb mandatory", "www HTTPS 1 . mandatory=alpn,port alpn=h2 port=1"),
    accepted("svcb mandatory unsorted", "www HTTPS 1 . mandatory=port,alpn alpn=h2 port=1"),
    refused("svcb mandatory missing", "www HTTPS 1 . mandatory=port alpn=h2", unlike="L"),
    refused("svcb mandatory itself", "www HTTPS 1 . mandatory=mandatory", unlike="L"),
    refused("svcb mandatory twice", "www HTTPS 1 . mandatory=alpn,alpn alpn=h2", unlike="L"),
    refused("svcb mandatory empty", "www HTTPS 1 . mandatory="),
    accepted("svcb mandatory key", "www HTTPS 1 . mandatory=key667 key667=x"),
    refused("svcb mandatory unknown", "www HTTPS 1 . mandatory=foo"),
    accepted(
        "svcb dohpath",
        "www HTTPS 1 . dohpath=/q{?dns}",
        unlike="K",
        why="RFC 9461 §5; Knot 3.2 does not know it",
    ),
    refused(
        "svcb dohpath bad",
        "www HTTPS 1 . dohpath=q",
        unlike="NL",
        why="RFC 9461 §5: a relative template with the variable dns",
    ),
    accepted("svcb key667", "www HTTPS 1 . key667=hello"),
    accepted("svcb key667 alone", "www HTTPS 1 . key667"),
    accepted("svcb key667 empty", 'www HTTPS 1 . key667=""'),
    accepted("svcb key667 quoted", r'www HTTPS 1 . key667="hello\210qoo"'),
    refused(
        "svcb key0667",
        "www HTTPS 1 . key0667=x",
        unlike="NKL",
        why="RFC 9460 §2.1: no leading zeros",
    ),
    accepted("svcb key65535", "www HTTPS 1 . key65535=x"),
    refused("svcb key65536", "www HTTPS 1 . key65536=x"),
    accepted("svcb key1 opaque", r"www HTTPS 1 . key1=\002h2"),
    accepted(
        "svcb key1 presentation",
        "www HTTPS 1 . key1=h2",
        unlike="B",
        why="RFC 9460 §2.1: under its number a value is opaque",
    ),
    accepted(
        "svcb key3 wrong size",
        "www HTTPS 1 . key3=1",
        unlike="B",
        why="RFC 9460 §2.1: under its number a value is opaque",
    ),
    refused("svcb unknown key", "www HTTPS 1 . foo=bar"),
    refused("svcb equals alone", "www HTTPS 1 . =x"),
    refused("svcb key with 3597", r"www HTTPS 1 . \# 3 000100", unlike="L"),
    accepted("svcb unsorted", "www HTTPS 1 . port=1 alpn=h2"),
    accepted("svcb alias", "www HTTPS 0 x.test."),
    accepted("svcb alias params", "www HTTPS 0 x.test. alpn=h2"),
    accepted("svcb alias root", "www HTTPS 0 ."),
    accepted("svcb two aliases", "www HTTPS 0 x.test.\nwww HTTPS 0 y.test."),
    accepted("svcb alias and service", "www HTTPS 0 x.test.\nwww HTTPS 1 ."),
    refused("svcb no target", "www HTTPS 1"),
    accepted("svcb 3597", r"www SVCB \# 3 000100"),
    refused(
        "svcb 3597 unsorted",
        r"www SVCB \# 13 000100 0003 0002 0001 0001 0000",
        unlike="NKL",
        why="RFC 9460 §2.2: keys increase",
    ),
    accepted("svcb type64", "www TYPE64 1 . port=1"),
]
