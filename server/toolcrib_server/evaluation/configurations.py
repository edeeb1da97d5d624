"""Ways of searching that are compared, by name: as shipped, baselines, one stage off."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from typing import Final

from toolcrib_embeddings.options import DEFAULT_OPTIONS, Fusion, Rerank, SearchOptions
from toolcrib_registry.errors import InvalidInput

SHIPPED: Final = "shipped"
_OPTIONS: Final = {
    SHIPPED: DEFAULT_OPTIONS,
    "rerank": SearchOptions(rerank=Rerank.ON),
    "bm25": SearchOptions(
        fusion=Fusion.LEXICAL, rerank=Rerank.OFF, split=False, fold=False, dependencies=False
    ),
    "dense": SearchOptions(
        fusion=Fusion.DENSE, rerank=Rerank.OFF, split=False, fold=False, dependencies=False
    ),
    "rrf": SearchOptions(
        fusion=Fusion.RRF, rerank=Rerank.OFF, split=False, fold=False, dependencies=False
    ),
    "no-rerank": SearchOptions(rerank=Rerank.OFF),
    "no-split": SearchOptions(split=False),
    "no-fold": SearchOptions(fold=False),
    "no-dependencies": SearchOptions(dependencies=False),
}
NAMES: Final = tuple(_OPTIONS)
_SWITCHES: Final = ("no-rerank", "no-split", "no-fold", "no-dependencies")


@dataclass(frozen=True, slots=True)
class Configuration:
    """A way of searching, by name."""

    name: str
    options: SearchOptions


def find_configuration(name: str, *, fold: bool = False) -> Configuration:
    """Find one by name. Unless ``fold`` is asked for, near-duplicates stay in the list.

    Judgements name single tools: a near-duplicate that stands under another is not in the list
    that is judged, though a person would see it.

    Raises:
        InvalidInput: No configuration has that name.
    """
    options = _OPTIONS.get(name)
    if options is None:
        near = difflib.get_close_matches(name, NAMES, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise InvalidInput(f"{name!r} is no configuration.{hint} There are {', '.join(NAMES)}.")
    return Configuration(name, replace(options, fold=options.fold and fold))


def switches(*, fold: bool) -> tuple[str, ...]:
    """Name the configurations that lack one stage of the shipped one."""
    return tuple(name for name in _SWITCHES if fold or name != "no-fold")
