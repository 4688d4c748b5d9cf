"""Datagrams in batches, and what the kernel says beside each."""
