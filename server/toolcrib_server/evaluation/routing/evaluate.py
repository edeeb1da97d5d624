"""Judges routing and guard sets one after the other: the one entry to an evaluation of routing."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from toolcrib_embeddings.encoding.encoder import Encoder
from toolcrib_registry.errors import InvalidInput
from toolcrib_server.evaluation.progress import Bar, ShowProgress
from toolcrib_server.evaluation.vectors import VectorCache
from toolcrib_server.selection.routing.arrays import Singles

from .guarding import judge_guard
from .judging import judge_set
from .repeating import MOST_REPEATS, repeat_splits
from .results import GuardResult, RoutingEvaluation, RoutingResult
from .sets import GuardSet, RoutingSet, find_sets


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to judge, and what to learn from."""

    paths: tuple[Path, ...]
    folds: int = 5
    hold_out: float | None = None
    """The share that is judged, once, instead of each fold in turn."""
    learn: int | None = None
    """Past queries to learn from, at most: how it does with few outcomes."""
    seed: int = 7
    repeats: int = 1
    """How often queries are parted anew; figures are means over all, errors for what they share."""

    @property
    def split(self) -> str:
        """Say how learned and judged queries are parted."""
        how = f"{self.folds} folds" if self.hold_out is None else f"{self.hold_out:.0%} held out"
        how = how if self.repeats == 1 else f"{how}, {self.repeats} times"
        return how if self.learn is None else f"{how}, learning from {self.learn} queries"


def evaluate(
    plan: Plan,
    open_encoder: Callable[[], Encoder],
    *,
    cache: Path | None,
    show_progress: ShowProgress,
    command: str,
    version: str,
) -> RoutingEvaluation:
    """Judge every set. Vectors are kept in the folder ``cache``, so that the next time is quick.

    Raises:
        InvalidInput: A folder or file is not as it should be.
        EncoderError: The encoder cannot be opened.
    """
    began = time.perf_counter()
    _check(plan)
    found = find_sets(plan.paths)
    encoder = open_encoder()
    results: list[RoutingResult] = []
    guards: list[GuardResult] = []
    with VectorCache(encoder, cache) as vectors:
        for each in found:
            with show_progress(f"{each.name}: encoding") as bar:
                points = vectors.encode(each.queries, on_progress=bar)
            with show_progress(f"{each.name}: judging") as bar:
                if isinstance(each, GuardSet):
                    guards.append(judge_guard(each, points, seed=plan.seed))
                    bar(1, 1)
                else:
                    results.append(_judged(each, points, plan, bar))
    return RoutingEvaluation(
        command=command,
        at=datetime.now(UTC),
        version=version,
        encoder=encoder.id,
        machine=f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}",
        seed=plan.seed,
        split=plan.split,
        sets=tuple(results),
        guards=tuple(guards),
        seconds=time.perf_counter() - began,
    )


def _judged(each: RoutingSet, points: Singles, plan: Plan, bar: Bar) -> RoutingResult:
    parts = repeat_splits(
        len(each.queries),
        repeats=plan.repeats,
        folds=plan.folds,
        hold_out=plan.hold_out,
        learn=plan.learn,
        seed=plan.seed,
    )
    return judge_set(each, points, parts, seed=plan.seed, repeats=plan.repeats, on_progress=bar)


def _check(plan: Plan) -> None:
    if not 2 <= plan.folds <= 50:  # noqa: PLR2004  # said in the message
        raise InvalidInput(f"There are {plan.folds} folds; there must be from 2 to 50.")
    if plan.hold_out is not None and not 0 < plan.hold_out < 1:
        raise InvalidInput(f"{plan.hold_out} is held out; it must be a share between 0 and 1.")
    if plan.learn is not None and plan.learn < 10:  # noqa: PLR2004  # said in the message
        raise InvalidInput(f"{plan.learn} queries are too few to learn from; give 10 or more.")
    if not 1 <= plan.repeats <= MOST_REPEATS:
        raise InvalidInput(
            f"There are {plan.repeats} repeats; there must be from 1 to {MOST_REPEATS:,}."
        )
    if plan.seed < 0:
        raise InvalidInput(f"The seed is {plan.seed}; it must be a whole number from 0.")
