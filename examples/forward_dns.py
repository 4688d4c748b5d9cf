"""Forward DNS by suffix: one suffix to its own server, everything else to the fastest of two."""

from pierhead import run
from pierhead.protocols import dns

site = dns.Router()
site.mount(".", dns.forward("127.0.0.1:5301", "tcp:127.0.0.1:5302", policy="fastest"))
site.mount("corp.example.", dns.forward("127.0.0.1:5303"))
run(dns.serve(site), "127.0.0.1:5300")
