"""The composition root: opens every part, in order, once, and closes them in reverse.

Knows all rooms; decides nothing that a room could decide.
"""

from .background import register_config, run_background
from .ending import end_process
from .faces import read_version
from .opening import open_runtime
from .parts import Runtime

__all__ = [
    "Runtime",
    "end_process",
    "open_runtime",
    "read_version",
    "register_config",
    "run_background",
]
