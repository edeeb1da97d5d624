"""How an evaluation tells how far it is; whoever runs it decides what to show."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TypeAlias

Bar: TypeAlias = Callable[[int, int], None]
ShowProgress: TypeAlias = Callable[[str], AbstractContextManager[Bar]]
"""Opens a bar with a label; it is told how much is done, and of how much."""
