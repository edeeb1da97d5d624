"""What is said of the cache beside an answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from .examples import Example
from .lookup import Lookup

HEADER: Final = "x-toolcrib-cache"
EXAMPLES_HEADER: Final = "x-toolcrib-examples"


def cache_view(found: Lookup, *, shows_question: bool) -> dict[str, Any]:
    """Say in full what came of looking. ``shows_question``: whether it may tell what was asked."""
    view: dict[str, Any] = {"outcome": found.outcome.value}
    if found.reason is not None:
        view["reason"] = found.reason
    kept = found.kept
    if kept is None:
        return view
    view |= {
        "similarity": round(found.similarity or 0.0, 4),
        "ageS": round(found.age_s or 0.0, 1),
        "savedUsd": kept.cost_usd,
    }
    if shows_question and kept.text is not None:
        view["question"] = kept.text
    return view


def examples_view(examples: Sequence[Example], *, shows_question: bool) -> list[dict[str, Any]]:
    """Say which earlier answers were shown to the model that answered."""
    return [
        {
            "model": example.kept.model,
            "similarity": round(example.likeness, 4),
            "worth": round(example.worth, 4),
            "tokens": example.tokens,
            **({"question": example.kept.text} if shows_question else {}),
        }
        for example in examples
    ]


def cache_headers(found: Lookup) -> dict[str, str]:
    """Say the same in headers."""
    headers = {HEADER: found.outcome.value}
    if found.kept is not None:
        headers[f"{HEADER}-age"] = f"{found.age_s or 0.0:.1f}"
        headers[f"{HEADER}-similarity"] = f"{found.similarity or 0.0:.4f}"
    elif found.reason is not None:
        headers[f"{HEADER}-reason"] = found.reason
    return headers
