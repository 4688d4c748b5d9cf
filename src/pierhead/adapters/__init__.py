"""Somebody else's server on our listeners: one module each, none imported before it is used."""
