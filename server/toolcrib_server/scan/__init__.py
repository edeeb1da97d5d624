"""Reads what a server says of an entry for what was written to steer or deceive whoever reads it.

Offline, deterministic, in time that grows with the length of the text. It reads words and
characters; it does not know what a tool does, and finds no lie that is told in plain words.
"""

from .finding import Finding, Severity, escape
from .hidden import reveal, reveal_all
from .lookalike import fold_name
from .rule import Rule
from .scan import every_rule, scan_definition, scan_text, worst

__all__ = [
    "Finding",
    "Rule",
    "Severity",
    "escape",
    "every_rule",
    "fold_name",
    "reveal",
    "reveal_all",
    "scan_definition",
    "scan_text",
    "worst",
]
