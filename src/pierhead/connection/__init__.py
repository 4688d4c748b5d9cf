"""One connection, from either side: requests in flight, the exchange, its life."""
