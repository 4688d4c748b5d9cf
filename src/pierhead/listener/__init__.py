"""Listeners: open or adopt what an address names, and yield connections and datagrams."""
