"""Products of matrices that stay on the core that asks for them.

A library of linear algebra hands larger ones to threads, which then wait for the next product on
the cores that the encoder wants: encoding beside them took twice the processor time.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

_MOST: Final = 200_000
"""Multiplications in one piece; OpenBLAS hands on what has more than 262,144."""


def multiply(left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return ``left @ right``, made piece by piece; shapes ``(n, k)`` and ``(k, m)``."""
    rows = max(1, _MOST // max(1, right.size))
    made = np.empty((len(left), right.shape[1]), dtype=np.float32)
    for start in range(0, len(left), rows):
        np.matmul(left[start : start + rows], right, out=made[start : start + rows])
    return made
