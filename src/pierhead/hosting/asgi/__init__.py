"""What the hosts of ASGI applications share."""
