"""Which model for this, under these limits? Hard limits first, then a ranking that says why.

`select_models` is a pure function over candidates; `ModelSelector` gives the registry's candidates
their relevance to the task, which is the search index's score, and what past outcomes let expect.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

import anyio
import anyio.to_thread

from toolcrib_registry.errors import InvalidInput
from toolcrib_registry.store import Store
from toolcrib_registry.types import EntryId, EntryKind, Model, Revision

if TYPE_CHECKING:
    # The index is slow to import and opened late; see `sync.indexer`.
    from toolcrib_embeddings.search import SearchIndex

    # So is numpy: `_laid_out` and `_select` import what needs it.
    from .columns import Columns, Floats, Integers
    from .forecast import ModelForecasts, Outlook
    from .ranking import Prefer
    from .routing.router import Routing
    from .routing.usage import Forecasts

from .candidate import Candidate
from .choices import NO_LIMITS, Choice, Objective, Selection
from .constraint import Constraints, limits_of
from .length import Length
from .measured import Measuring, Unmeasured
from .question import MAX_K

__all__ = [
    "NO_LIMITS",
    "Choice",
    "Guide",
    "ModelSelector",
    "Objective",
    "Selection",
    "check_question",
    "select_models",
]

_THREADS = 2
"""Encoding uses the cores by itself; more selections at once only fight for them."""


def select_models(
    candidates: Sequence[Candidate],
    constraints: Constraints = NO_LIMITS,
    *,
    objective: Objective = Objective.RELEVANCE,
    k: int | None = None,
) -> Selection:
    """Choose among candidates: drop those that fail a limit, rank the rest, one choice a model.

    Ties go to the cheaper, then by name. ``k`` cuts the choices, never the exclusions.

    Raises:
        InvalidInput: A limit makes no sense by itself.
    """
    from .columns import Columns  # noqa: PLC0415  # slow
    from .ranking import choose_from  # noqa: PLC0415  # slow

    return choose_from(Columns(candidates), constraints, objective=objective, k=k)


class Guide(Protocol):
    """Tells what past outcomes let one expect, of models that meet every limit."""

    def advise(
        self, index: SearchIndex, task: str, allowed: Collection[str], forecasts: Forecasts
    ) -> Routing | None:
        """Choose among the allowed; None where nothing is known of any. Blocks."""
        ...


@dataclass(frozen=True, slots=True)
class _Live:
    """The live models at one revision, by column, and where the index knows them."""

    revision: Revision
    columns: Columns
    ids: tuple[EntryId, ...]
    """Of each model of ``columns``, in its order."""


@dataclass(frozen=True, slots=True)
class _View:
    """Live models with what their calls measured, at one time."""

    live: _Live
    version: int
    columns: Columns
    outlook: Outlook

    @classmethod
    def of(cls, live: _Live, measuring: Measuring) -> _View:
        from .forecast import Outlook  # noqa: PLC0415  # slow

        found = measuring.current()
        columns = live.columns.with_measured(found)
        return cls(live, found.version, columns, Outlook(columns))


class ModelSelector:
    """Selects among the live models of the registry.

    Candidates are read once for each revision of the registry and kept by column, so that a
    selection costs a search and a few operations over arrays.
    """

    def __init__(
        self,
        store: Store,
        index: Callable[[], Awaitable[SearchIndex]],
        *,
        measuring: Measuring | None = None,
    ) -> None:
        """``measuring`` tells what calls of the offers cost and took."""
        self._store = store
        self._index = index
        self._measuring: Measuring = measuring or Unmeasured()
        self._limiter = anyio.CapacityLimiter(_THREADS)
        self._kept: tuple[_Live, _Live] | None = None
        self._views: dict[bool, _View] = {}

    async def select(
        self,
        task: str,
        *,
        constraints: Constraints = NO_LIMITS,
        objective: Objective = Objective.RELEVANCE,
        k: int = 5,
        callable_only: bool = False,
        guide: Guide | None = None,
        length: Length | None = None,
        prefer: Prefer | None = None,
    ) -> Selection:
        """Rank the ``k`` models that suit ``task`` best among those that meet every limit.

        ``callable_only`` leaves out, unmentioned, offers at which nothing can be called. What
        ``guide`` chooses comes first, then what it ranked, then the others; without one, ``prefer``
        weighs relevance. ``length`` is of the call; else the limits or the task tell it.

        Raises:
            InvalidInput: The task is blank, ``k`` is out of range or a limit makes no sense.
        """
        check_question(task, k)
        constraints.check()
        index = await self._index()
        await self._measuring.ready()
        length = length or Length.of(task, constraints)
        how = {"guide": guide, "length": length, "prefer": prefer}
        return await anyio.to_thread.run_sync(
            partial(self._select, callable_only=callable_only, **how),
            index,
            task,
            constraints,
            objective,
            k,
            limiter=self._limiter,
        )

    def _select(
        self,
        index: SearchIndex,
        task: str,
        constraints: Constraints,
        objective: Objective,
        k: int,
        *,
        callable_only: bool,
        guide: Guide | None,
        length: Length,
        prefer: Prefer | None,
    ) -> Selection:
        from .ranking import Prospect, choose_from, explain, order_of  # noqa: PLC0415  # slow

        view = self._view(callable_only=callable_only)
        live = view.live
        ids = frozenset(live.ids) if callable_only else None
        forecasts = _forecasts(view, constraints, length) if guide else None
        routing = _advice(guide, index, task, forecasts) if guide and forecasts else None
        selection = choose_from(
            view.columns,
            constraints,
            relevance=_relevance(index, task, live, ids=ids),
            objective=objective,
            k=k,
            first=order_of(routing) if routing else (),
            prospect=Prospect.of(view.outlook, length),
            prefer=prefer,
        )
        selection = replace(selection, revision=live.revision)
        return explain(selection, routing) if routing else selection

    async def forecasts(self, constraints: Constraints) -> ModelForecasts:
        """Say what calls let expect of the models of which an offer meets every limit.

        Raises:
            InvalidInput: A limit makes no sense.
        """
        constraints.check()
        await self._measuring.ready()
        return await anyio.to_thread.run_sync(self._forecasts, constraints)

    def _forecasts(self, constraints: Constraints) -> ModelForecasts:
        view = self._view(callable_only=False)
        return _forecasts(view, constraints, Length.of("", constraints), by_text=True)

    def _view(self, *, callable_only: bool) -> _View:
        """Put the live models and what was measured together, where either is new."""
        live = self._live(callable_only=callable_only)
        kept = self._views.get(callable_only)
        version = self._measuring.current().version
        if kept is None or kept.live is not live or kept.version != version:
            kept = self._views[callable_only] = _View.of(live, self._measuring)
        return kept

    def _live(self, *, callable_only: bool) -> _Live:
        every, can_be_called = self._live_models()
        return can_be_called if callable_only else every

    def _live_models(self) -> tuple[_Live, _Live]:
        """Read the live models, and those of them that can be called."""
        # The head is read first: what commits meanwhile makes the next selection read again.
        head = self._store.head()
        if self._kept is None or self._kept[0].revision != head:
            models = tuple(self._read())
            self._kept = (_laid_out(head, models), _laid_out(head, models, callable_only=True))
        return self._kept

    def _read(self) -> Iterator[Model]:
        entries = self._store.iter_entries(kind=EntryKind.MODEL, live=True)
        return (entry for entry in entries if isinstance(entry, Model))


def _laid_out(head: Revision, models: Sequence[Model], *, callable_only: bool = False) -> _Live:
    from .columns import Columns  # noqa: PLC0415  # slow

    columns = Columns.of_models(models, callable_only=callable_only)
    by_name = {model.name: model.id for model in models}
    return _Live(head, columns, tuple(by_name[name] for name in columns.model_names))


def _relevance(
    index: SearchIndex, task: str, live: _Live, *, ids: frozenset[EntryId] | None
) -> Floats:
    """Give the relevance of each candidate: its model's."""
    import numpy as np  # noqa: PLC0415  # slow

    from toolcrib_embeddings.indexing.scope import Scope  # noqa: PLC0415  # slow

    if not live.ids:
        return np.zeros(len(live.columns))

    scope = Scope.of(kinds=[EntryKind.MODEL], ids=ids)
    scores = index.scores(task, scope=scope)
    by_model = np.array([scores.get(id_, 0.0) for id_ in live.ids])
    return by_model[live.columns.model_codes]


def _advice(
    guide: Guide, index: SearchIndex, task: str, forecasts: ModelForecasts
) -> Routing | None:
    allowed = forecasts.models
    return guide.advise(index, task, allowed, forecasts) if allowed else None


def _forecasts(
    view: _View, constraints: Constraints, length: Length, *, by_text: bool = False
) -> ModelForecasts:
    from .columns import sieve  # noqa: PLC0415  # slow
    from .forecast import ModelForecasts  # noqa: PLC0415  # slow

    passed: Integers = sieve(view.columns, limits_of(constraints)).passed
    return ModelForecasts(view.columns, view.outlook, passed, length=length, by_text=by_text)


def check_question(task: str, k: int) -> None:
    """Refuse what makes no sense, before anything is opened for it.

    Raises:
        InvalidInput: The task is blank, or ``k`` is out of range.
    """
    if not task.strip():
        raise InvalidInput(
            "The task is empty: say what the model is for, as you would to a person."
        )
    if not 1 <= k <= MAX_K:
        raise InvalidInput(f"k is {k}; it must be from 1 to {MAX_K}.")
