"""Listeners that a server opens itself."""
