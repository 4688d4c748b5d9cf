"""Zone transfers: whole zones and what has changed in them, to servers that keep a copy.

outgoing.py   the layer that answers AXFR and IXFR
answer.py     which records an answer consists of
"""
