"""Whether selection learns from outcomes of models. Values alone."""

from __future__ import annotations

from enum import StrEnum


class RoutingMode(StrEnum):
    """How far routing goes."""

    OFF = "off"
    """No outcome is taken, and nothing is used."""
    RECORD = "record"
    """Outcomes are taken; selection does not use them."""
    ON = "on"
    """Selection uses what was learned from them, once it passed its check."""

    @property
    def takes(self) -> bool:
        """Whether outcomes are taken."""
        return self is not RoutingMode.OFF

    @property
    def uses(self) -> bool:
        """Whether selection uses what was learned."""
        return self is RoutingMode.ON
