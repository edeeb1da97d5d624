"""Tables of figures, as Markdown."""

from __future__ import annotations

from collections.abc import Sequence


def print_heads(columns: Sequence[str]) -> None:
    """Print the head of a table, whose first column names the set."""
    print_row("set", columns)
    print_row("---", ["---"] * len(columns))


def print_row(name: str, cells: Sequence[str]) -> None:
    """Print one line of it."""
    print("| " + " | ".join([name, *cells]) + " |")
