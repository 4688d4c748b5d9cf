"""Datagrams in batches, and their ancillary data."""
