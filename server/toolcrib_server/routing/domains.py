"""The operator's domains as they are described: a name, and examples. Values alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from toolcrib_registry.errors import InvalidInput
from toolcrib_registry.types import Domain

CALIBRATION: Final = "*"
"""Under this name the queries are kept that set the threshold; no domain may bear it."""
MAX_EXAMPLES: Final = 2_000
MAX_EXAMPLE_CHARS: Final = 4_000
FEWEST_CALIBRATING: Final = 10
"""Queries; fewer set no threshold. See `selection.routing.guard`."""
_NAME: Final = re.compile(r"[\w][\w .:/-]{0,63}")


def make_domain(name: str, examples: Sequence[str]) -> Domain:
    """Make a domain of what an operator gave; blank and repeated examples are left out.

    Raises:
        InvalidInput: The name is none, there is no example, or there are too many.
    """
    if name != CALIBRATION and not _NAME.fullmatch(name):
        raise InvalidInput(
            f"{name!r} cannot name a domain: use up to 64 letters, digits, spaces, '-', '_', '.'."
        )
    kept = dict.fromkeys(text.strip()[:MAX_EXAMPLE_CHARS] for text in examples if text.strip())
    if not kept:
        raise InvalidInput(f"The domain {name!r} needs examples: queries as they will be asked.")
    if len(kept) > MAX_EXAMPLES:
        raise InvalidInput(f"{len(kept)} examples are too many: {MAX_EXAMPLES} are plenty.")
    if name == CALIBRATION and len(kept) < FEWEST_CALIBRATING:
        raise InvalidInput(
            f"{len(kept)} queries cannot set a threshold; give at least {FEWEST_CALIBRATING}, "
            "better 30."
        )
    return Domain(name, tuple(kept))
