"""Numbers as they are shown: without the noise that a machine's sums leave in their last digits."""

from __future__ import annotations

from typing import Final

_DIGITS: Final = 12


def tidy(value: float) -> float:
    """Round a number to its significant digits: 0.30000000000000004 is 0.3."""
    return float(f"{value:.{_DIGITS}g}")
