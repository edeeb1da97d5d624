"""The SDK of MCP as a whole: what little of it is used here brings all of it along.

That takes half a second, which no assistant should wait for before its first answer: whoever needs
a part imports it where it is used, and `load_sdk` sees to it beforehand, off the event loop.
"""

import importlib
from typing import Final

_PARTS: Final = ("mcp.client.stdio", "mcp.shared.inbound", "mcp.shared.subscriptions")


def load_sdk() -> None:
    """Import all that is used of the SDK; takes half a second the first time."""
    for part in _PARTS:
        importlib.import_module(part)
