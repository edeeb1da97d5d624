"""A JSON value as an outline for people: one line a value, deeper ones further in.

Schemas stay JSON, since people know them as that.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import cast

_STEP = "  "
_AS_JSON = frozenset({"inputSchema", "outputSchema", "definition", "_meta"})


def outline(value: Mapping[str, object], *, depth: int = 0) -> Iterator[str]:
    """Yield the lines of a mapping, in its order; what is empty is left out."""
    for key, item in value.items():
        if item is None or item in ("", [], {}):
            continue
        yield from _lines(key, item, depth)


def _lines(key: str, value: object, depth: int) -> Iterator[str]:
    inset = _STEP * depth
    if key in _AS_JSON:
        text = json.dumps(value, ensure_ascii=False, indent=2)
        yield f"{inset}{key}: {text.replace(chr(10), chr(10) + inset)}"
    elif isinstance(value, Mapping):
        yield f"{inset}{key}:"
        yield from outline(cast("Mapping[str, object]", value), depth=depth + 1)
    elif isinstance(value, list):
        yield from _listed(key, cast("Sequence[object]", value), depth)
    else:
        yield from _written(key, _scalar(value), depth)


def _listed(key: str, items: Sequence[object], depth: int) -> Iterator[str]:
    if not any(isinstance(item, Mapping | list) for item in items):
        words = [_scalar(item) for item in items]
        if not any("\n" in word or ", " in word for word in words):
            yield f"{_STEP * depth}{key}: {', '.join(words)}"
            return
    yield f"{_STEP * depth}{key}:"
    for item in items:
        inner = [*_item(item, depth + 1)]
        mark = _STEP * (depth + 1)
        yield from (
            f"{mark}- {line[len(mark) :]}" if n == 0 else f"{_STEP}{line}"
            for n, line in enumerate(inner)
        )


def _item(item: object, depth: int) -> Iterator[str]:
    if isinstance(item, Mapping):
        yield from outline(cast("Mapping[str, object]", item), depth=depth)
    elif isinstance(item, list):
        yield f"{_STEP * depth}{json.dumps(item, ensure_ascii=False)}"
    else:
        yield from (f"{_STEP * depth}{line}" for line in _scalar(item).splitlines() or [""])


def _written(key: str, text: str, depth: int) -> Iterator[str]:
    first, *rest = text.splitlines() or [""]
    if not rest:
        yield f"{_STEP * depth}{key}: {first}"
        return
    yield f"{_STEP * depth}{key}:"
    yield from (f"{_STEP * (depth + 1)}{line}" for line in (first, *rest))


def _scalar(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
