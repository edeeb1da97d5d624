"""How long a call may take, waiting and trying again included. Knows a clock and no more.

What a person is asked meanwhile is not in it: the upstream link lets its own deadline rest then,
and a call that has asked somebody is not tried again.
"""

from __future__ import annotations

import time

from toolcrib_registry.errors import InvalidInput

_AT_ONCE_S = 0.05


class Deadline:
    """Runs from when it is made."""

    def __init__(self, timeout_s: float | None, *, longest_s: float) -> None:
        """Give a call ``longest_s``, or less if the caller wants less.

        Raises:
            InvalidInput: It would have no time at all.
        """
        if timeout_s is not None and not timeout_s > 0:
            raise InvalidInput(f"The timeout is {timeout_s:g} s; it must be more than 0.")
        self.longest_s = longest_s
        """What it could have been."""
        self.timeout_s = longest_s if timeout_s is None else min(timeout_s, longest_s)
        self._began = time.monotonic()

    @property
    def left_s(self) -> float:
        """What is left; all of it, if hardly anything is gone."""
        gone_s = time.monotonic() - self._began
        return self.timeout_s if gone_s < _AT_ONCE_S else round(self.timeout_s - gone_s, 3)
