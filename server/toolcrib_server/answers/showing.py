"""What is said of the cache beside an answer."""

from __future__ import annotations

from typing import Any, Final

from .cache import Lookup

HEADER: Final = "x-toolcrib-cache"


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


def cache_headers(found: Lookup) -> dict[str, str]:
    """Say the same in headers."""
    headers = {HEADER: found.outcome.value}
    if found.kept is not None:
        headers[f"{HEADER}-age"] = f"{found.age_s or 0.0:.1f}"
        headers[f"{HEADER}-similarity"] = f"{found.similarity or 0.0:.4f}"
    elif found.reason is not None:
        headers[f"{HEADER}-reason"] = found.reason
    return headers
