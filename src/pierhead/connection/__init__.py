"""One connection, from either side: its requests in flight, its exchange and its life."""
