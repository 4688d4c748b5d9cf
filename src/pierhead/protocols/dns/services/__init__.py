"""Services that answer DNS queries: zones from files, and a router of names."""
