"""Zone transfers: whole zones and what has changed in them, to servers that keep a copy.

outgoing.py   the layer that answers AXFR and IXFR      answer.py   of which records
notify.py     tells secondaries that a zone has changed
incoming.py   receives a transfer
"""
