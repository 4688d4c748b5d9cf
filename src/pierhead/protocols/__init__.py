"""Protocols, one folder each; none imports another."""
