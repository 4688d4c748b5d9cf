"""What hosts of ASGI applications share."""
