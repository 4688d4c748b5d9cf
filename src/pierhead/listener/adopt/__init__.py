"""Listeners on inherited sockets: by number, by name, from a super-server."""
