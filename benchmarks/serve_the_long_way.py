"""Serves a zone without ready answers: every answer is computed.

usage: python serve_the_long_way.py ZONEFILE standard|mandatory
"""

from __future__ import annotations

import sys

from pierhead import run
from pierhead.protocols import dns

zones = dns.zones(sys.argv[1])
layered = {"standard": dns.standard, "mandatory": dns.stack}[sys.argv[2]](zones)
run(dns.serve(layered, max_ready_answers=0), "127.0.0.1:0")
