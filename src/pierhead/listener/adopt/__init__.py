"""Listeners on what somebody else has opened: by number, by name, from a super server."""
