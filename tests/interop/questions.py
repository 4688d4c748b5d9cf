"""What is asked of our server and of the servers it must agree with, about the example zone.

One list for the comparison on the wire and for the command-line clients.
"""

from __future__ import annotations

from dataclasses import replace

from tests.interop.answers import Ask

__all__ = ["DISAGREEMENTS", "QUESTIONS", "TOO_LONG"]

#: A name that a DNAME of the corner zone turns into one of more than 255 octets.
TOO_LONG = f"{'d' * 60}.{'e' * 60}.long.corners.test."

#: Owner and types to ask for; each is asked in every way of `_ways`.
ASKED: tuple[tuple[str, str], ...] = (
    # The apex.
    ("example.", "SOA NS A AAAA MX TXT CAA HTTPS SRV DS DNSKEY TYPE65280"),
    # Plain answers, and additional data for what they name.
    ("www.example.", "A AAAA HTTPS"),
    ("quay.example.", "A MX"),
    ("ns1.example.", "A AAAA"),
    ("mail.backup.example.", "A"),
    ("_imaps._tcp.example.", "SRV"),
    ("_sip._udp.example.", "SRV"),
    ("_dns.example.", "SVCB"),
    ("beacon.example.", "TYPE65280"),
    ("logbook.example.", "TXT"),
    # No such data; no such name; names that exist only because of a name below them.
    ("www.example.", "MX TYPE65280"),
    ("nobody.example.", "A MX"),
    ("a.b.c.nobody.example.", "A"),
    ("www.www.example.", "A"),
    ("lighthouse.example.", "A TXT"),
    ("_tcp.example.", "SRV"),
    ("backup.example.", "MX"),
    ("lamp.lighthouse.example.", "TXT A"),
    # Aliases.
    ("shop.example.", "A AAAA MX CNAME TXT"),
    ("library.example.", "A CNAME"),
    ("ferry.example.", "A CNAME"),
    ("tugboat.example.", "A"),
    # Wildcards.
    ("anyone.guest.example.", "A TXT AAAA"),
    ("one.two.guest.example.", "A"),
    ("captain.guest.example.", "A TXT"),
    ("below.captain.guest.example.", "A"),
    ("guest.example.", "A"),
    ("*.guest.example.", "A TXT"),
    ("*.crew.example.", "CNAME A"),
    ("cook.crew.example.", "A CNAME"),
    # Delegation.
    ("north.example.", "A NS DS SOA"),
    ("pier.north.example.", "A NS"),
    ("ns.north.example.", "A AAAA"),
    ("deep.er.north.example.", "DS"),
    # A subtree under a new name.
    ("oldport.example.", "DNAME TXT A CNAME"),
    ("crane.oldport.example.", "A AAAA CNAME DNAME"),
    ("gone.oldport.example.", "A"),
    ("deep.crane.oldport.example.", "A"),
    # Letter case of the question.
    ("wWw.ExAmPlE.", "A"),
    ("AnyOne.GUEST.example.", "A"),
    ("Crane.OLDport.Example.", "A"),
    ("SHOP.example.", "A"),
    # Names of others.
    ("www.example.com.", "A"),
    ("elsewhere.test.", "SOA"),
    (".", "NS"),
    ("example.", "ANY"),
    ("www.example.", "ANY"),
    ("shop.example.", "ANY"),
    ("lighthouse.example.", "ANY"),
    ("nobody.example.", "ANY"),
    ("pier.north.example.", "ANY"),
)

#: The same for the zone of corner cases.
CORNERS: tuple[tuple[str, str], ...] = (
    ("corners.test.", "SOA NS A"),
    ("gone.corners.test.", "A"),
    # Wildcards and the names that stop them.
    ("any.w.corners.test.", "TXT A"),
    ("any.thing.w.corners.test.", "TXT"),
    ("b.w.corners.test.", "TXT"),
    ("c.b.w.corners.test.", "TXT"),
    ("a.b.w.corners.test.", "TXT"),
    ("host.w.corners.test.", "TXT A"),
    ("_tcp.host.w.corners.test.", "TXT"),
    ("_telnet._tcp.host.w.corners.test.", "TXT SRV"),
    ("*.w.corners.test.", "TXT"),
    ("sub.*.w.corners.test.", "TXT"),
    ("other.*.w.corners.test.", "TXT"),
    ("*x.w.corners.test.", "TXT"),
    ("y*x.w.corners.test.", "TXT"),
    # Aliases.
    ("any.alias.corners.test.", "A CNAME TXT"),
    ("any.round.corners.test.", "A"),
    ("again.round.corners.test.", "CNAME"),
    ("loop1.corners.test.", "A CNAME"),
    ("self.corners.test.", "A CNAME"),
    ("towild.corners.test.", "TXT A"),
    ("toempty.corners.test.", "A"),
    ("tonothing.corners.test.", "A"),
    ("todname.corners.test.", "A"),
    ("tocut.corners.test.", "A"),
    ("outside.corners.test.", "A"),
    # Subtrees under new names.
    ("host.moved.corners.test.", "A TXT"),
    ("any.moved.corners.test.", "TXT"),
    ("any.away.corners.test.", "A DNAME"),
    ("long.corners.test.", "DNAME"),
    (TOO_LONG, "TXT"),
    ("short.long.corners.test.", "A"),
    # Delegations.
    ("cut.corners.test.", "A DS NS"),
    ("www.cut.corners.test.", "A DS"),
    ("ns.cut.corners.test.", "A"),
    ("other.corners.test.", "A"),
    ("lame.corners.test.", "A"),
    ("www.lame.corners.test.", "A"),
    ("down.corners.test.", "A"),
    ("away.down.corners.test.", "A"),
    ("x.far.away.down.corners.test.", "A"),
    # Additional data, odd labels, odd TTLs, a middling size.
    ("services.corners.test.", "MX"),
    ("rootmail.corners.test.", "MX"),
    ("\\000\\255\\..odd.corners.test.", "TXT A"),
    ("zero.corners.test.", "A"),
    ("forever.corners.test.", "A"),
    ("middling.corners.test.", "TXT"),
)


def _ways(plain: Ask) -> list[Ask]:
    return [
        plain,
        replace(plain, size=None),
        replace(plain, dnssec_ok=True, recursion=True),
        replace(plain, tcp=True),
    ]


def _questions() -> tuple[Ask, ...]:
    plain = [Ask(name, rtype) for name, rtypes in ASKED + CORNERS for rtype in rtypes.split()]
    special = [
        # Sizes: too small to be meant (RFC 6891 §6.2.3), and large enough for everything.
        Ask("logbook.example.", "TXT", size=100),
        Ask("logbook.example.", "TXT", size=512),
        Ask("logbook.example.", "TXT", size=4096),
        Ask("www.example.", "A", size=0),
        # A version that is not defined yet, and classes that no server here serves.
        Ask("www.example.", "A", edns_version=1),
        Ask("example.", "SOA", rclass="CH"),
        Ask("example.", "SOA", rclass="HS"),
    ]
    return tuple([way for one in plain for way in _ways(one)] + special)


#: Every question in every way, each once.
QUESTIONS = _questions()

#: Where NSD and Knot DNS do not agree with each other (name, type, class), and why.
DISAGREEMENTS: dict[tuple[str, str, str], str] = {
    **{
        (name, rtype, "IN"): "NSD, asked for minimal responses, adds no addresses; RFC 1035 "
        "§3.3.9, RFC 2782 and RFC 9460 §4.1 would have them added"
        for name, rtype in (
            ("example.", "MX"),
            ("_imaps._tcp.example.", "SRV"),
            ("_sip._udp.example.", "SRV"),
            ("_dns.example.", "SVCB"),
            ("services.corners.test.", "MX"),
        )
    },
    (TOO_LONG, "TXT", "IN"): "Knot says NXDOMAIN where RFC 6672 §2.2 says YXDOMAIN",
    ("example.", "SOA", "HS"): "NSD leaves the question out when it refuses an unknown class",
}
