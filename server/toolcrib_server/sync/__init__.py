"""Upstream to store to index, one way: what differs, written once, then made findable."""
