"""Examines what a Toolcrib stands on: files, database, encoder, index, servers; mends what it can.

Looking changes nothing but what mends itself when it is opened: the index follows the log.
"""

from .check import Check, Repair
from .examining import examine, repair

__all__ = ["Check", "Repair", "examine", "repair"]
