"""The schema's history: brings any older database to this release's schema, and opens it.

Knows how tables came to be. What stands in them is the store's affair.
"""

from .opening import open_store, upgrade

__all__ = ["open_store", "upgrade"]
