"""The composition root: opens every part, in order, once, and closes them in reverse.

Knows all rooms; decides nothing that a room could decide.
"""

from .background import register_config, run_background
from .faces import read_version
from .opening import close_now, open_runtime
from .parts import Runtime

__all__ = [
    "Runtime",
    "close_now",
    "open_runtime",
    "read_version",
    "register_config",
    "run_background",
]
