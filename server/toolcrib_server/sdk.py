"""The SDK of MCP as a whole: what little of it is used here brings all of it along.

That takes half a second, which no assistant should wait for before its first answer: whoever needs
a part calls `load_sdk` and imports it where it is used; at the start that is done once beforehand,
off the event loop. Two threads that each began with another part would fail: the parts import each
other in a circle.
"""

import importlib
from contextlib import suppress
from typing import Final

# The package first: whoever waits for it holds the lock of no part that its import needs.
_PARTS: Final = ("mcp", "mcp.client.stdio", "mcp.shared.inbound", "mcp.shared.subscriptions")


def load_sdk() -> None:
    """Import all that is used of the SDK; takes half a second the first time."""
    # Where the event loop begins to import a part meanwhile, each waits for the other. Python then
    # lets this import fail (`_DeadlockError`, a RuntimeError), and the event loop's goes on.
    with suppress(RuntimeError):
        for part in _PARTS:
            importlib.import_module(part)
