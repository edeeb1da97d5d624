"""A search from the wire, and its answer to wire models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from toolcrib_registry import wire
from toolcrib_registry.types import Entry, Model, OwnedEntry
from toolcrib_server.selection.brief import MARKED
from toolcrib_server.selection.question import Filters, Rerank, Stages
from toolcrib_server.selection.selector import RETRIEVERS, Answer, Found

from .entries import model_out

if TYPE_CHECKING:
    from toolcrib_embeddings.abstention.calibration import Grounds


DECIMALS = 6
"""Of scores: they come of vectors of 32 bits, and what is beyond says nothing."""


def filters_from(given: wire.SearchQuery) -> Filters:
    """Build filters."""
    return Filters.of(
        kinds=given.kinds,
        servers=given.servers,
        tags=given.tags,
        read_only=given.read_only,
        destructive=given.destructive,
    )


def stages_from(given: wire.SearchQuery) -> Stages:
    """Build the choice of stages."""
    return Stages(
        rerank=Rerank(given.rerank),
        split=given.split,
        fold=given.fold,
        dependencies=given.dependencies,
    )


def results_out(answer: Answer, hits: list[wire.SearchHit], *, grouped: bool) -> wire.SearchResults:
    """Show the answer with those of its hits that there is room for."""
    return wire.SearchResults(
        query=answer.query if isinstance(answer.query, str) else list(answer.query),
        hits=hits,
        revision=answer.revision,
        searched=answer.searched,
        left_out=len(answer.found) - len(hits),
        steps=list(answer.steps),
        unanswered=list(answer.unanswered),
        step_likelihoods=[round(each, DECIMALS) for each in answer.step_likelihoods],
        split_by=None if answer.split_by is None else answer.split_by.value,
        read_by=None if answer.read is None else answer.read.model,
        english=None if answer.read is None else answer.read.english,
        notice=answer.notice,
        unwanted=list(answer.unwanted),
        likelihood=answer.likelihood,
        abstained=answer.abstained,
        grounds=_grounds_out(answer.grounds),
        reranked=answer.reranked,
        rerank_off=answer.rerank_off,
        lexical_only=answer.lexical_only is not None,
        lexical_only_reason=answer.lexical_only,
        took_ms=round(answer.took_ms, 3),
        groups=_groups(hits) if grouped else None,
    )


def _grounds_out(grounds: Grounds | None) -> wire.GroundsOut | None:
    if grounds is None:
        return None
    return wire.GroundsOut(
        error_rate=grounds.error_rate, basis=grounds.basis.value, questions=grounds.questions
    )


def _groups(hits: Sequence[wire.SearchHit]) -> list[wire.SearchGroup]:
    names: dict[str | None, list[str]] = {}
    for hit in hits:
        names.setdefault(hit.server, []).append(hit.name)
    return [wire.SearchGroup(server=server, names=its) for server, its in names.items()]


def hit_out(found: Found, *, detail: str, explain: bool, entry: Entry | None) -> wire.SearchHit:
    """Show a hit with as much detail as was asked for; ``entry`` is it in full."""
    brief = found.entry
    shown: dict[str, Any] = {}
    if detail != "name":
        shown = {"title": brief.title, "description": brief.description}
    if entry is not None:
        shown["description"] = entry.description
    if isinstance(entry, OwnedEntry):
        shown["definition"] = dict(entry.definition)
    if isinstance(entry, Model):
        shown["model"] = model_out(entry)
    return wire.SearchHit(
        id=brief.id,
        kind=brief.kind,
        name=brief.name,
        score=round(found.score, DECIMALS),
        signals=_signals_out(found, explain=explain),
        server=brief.server,
        likelihood=_rounded(found.likelihood),
        alternatives=list(found.alternatives),
        required_by=list(found.required_by),
        required_how=found.required_how,
        required_why=(found.required_why or None) if explain else None,
        steps=list(found.steps),
        stale_since=found.stale_since,
        marked=[MARKED[reason] for reason in brief.marks],
        **shown,
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, DECIMALS)


def _signals_out(found: Found, *, explain: bool) -> dict[str, wire.SignalOut]:
    return {
        name: wire.SignalOut(
            rank=signal.rank,
            score=round(signal.score, DECIMALS),
            contribution=signal.contribution if explain else None,
        )
        for name, signal in found.signals.items()
        if explain or name in RETRIEVERS
    }
