"""Listeners around other listeners: TLS and PROXY headers."""
