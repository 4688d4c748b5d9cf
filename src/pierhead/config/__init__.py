"""Addresses in the configuration of a program, read and written by the library it uses.

pydantic needs nothing from here: it asks `ListenSpec` itself. Without any library,
`ListenSpec.from_table` reads what ``tomllib`` and ``json`` give.
"""
