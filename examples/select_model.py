"""Choose a model for a task under hard limits, and see why the others were left out.

Needs a running server: TOOLCRIB_URL says where (http://127.0.0.1:8321 unless set).
"""

import sys

from toolcrib_clients import Toolcrib
from toolcrib_registry.wire import ConstraintsIn


def main(task: str) -> None:
    """Print the choices for a task, and what was excluded."""
    limits = ConstraintsIn(max_price_in_usd=1.0, min_context_tokens=100_000)
    with Toolcrib() as crib:
        found = crib.select(task, constraints=limits, k=3)
    for note in found.notes:
        print(note)
    for choice in found.choices:
        provider = choice.offer.provider if choice.offer else "nobody yet"
        print(f"{choice.model}, served by {provider}")
        for reason in choice.reasons:
            print(f"    {reason}")
    print(f"{found.passed} of {found.considered} offers meet every limit.")
    for exclusion in found.exclusions[:3]:
        print(f"    {exclusion.reason}")


if __name__ == "__main__":
    main(" ".join(sys.argv[1:]) or "summarise a long contract")
