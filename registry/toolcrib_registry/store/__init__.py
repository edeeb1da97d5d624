"""The store: rows in, domain types out. The one way to the database for every room above."""

from .store import Store

__all__ = ["Store"]
