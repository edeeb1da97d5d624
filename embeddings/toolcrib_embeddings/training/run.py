"""One run from folders to a delta: read, remember, mine, train, measure, write."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from toolcrib_embeddings.encoding.model_folder import ModelFolder, read_bundled

from .body import Body, Hidden
from .contrastive import Prepared, train
from .data import Query, QuerySet, read_pairs, read_query_set
from .measure import Quality, measure
from .negatives import choose_queries, mine, pair_up
from .recipe import Recipe

_MEASURED_QUERIES: Final = 400
_SEED_OF_MEASURING: Final = 7

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What a run reads."""

    folders: tuple[Path, ...]
    held_out: tuple[Path, ...] = ()
    catalogue: Path | None = None
    model: Path | None = None
    """A sentence-transformers folder; without one the bundled model, as published."""

    @property
    def all_folders(self) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
        """Those to train on, and those to measure on."""
        return self.folders, self.held_out


def run(
    sources: Sources, recipe: Recipe, *, out: Path, device: str = "cpu"
) -> dict[str, tuple[Quality, Quality]]:
    """Train and write the delta to ``out``, whole or not at all.

    Returns the quality before and after for each set that was held out. What a run that was ended
    had reached is kept in ``out`` with the suffix ``.checkpoint``, and the next run goes on there.

    Raises:
        DataError: a folder or file is not what it should be.
        EncoderError: the model cannot be trained.
        OSError: the output cannot be written.
    """
    model = read_bundled() if sources.model is None else ModelFolder.read(sources.model)
    sets, held_out = ([read_query_set(f) for f in folders] for folders in sources.all_folders)
    body = Body(model.path, trained_layers=recipe.trained_layers, device=device)
    checkpoint = out.with_suffix(".checkpoint")
    out.parent.mkdir(parents=True, exist_ok=True)
    prepared = list(_prepare(body, sets, sources.catalogue, recipe))
    train(body, prepared, recipe, checkpoint=checkpoint)
    trained_on = {of.examples.name: len(of.queries) for of in prepared}
    said: dict[str, Any] = {"recipe": asdict(recipe), "trained_on": trained_on}
    body.delta(model.weights_sha256, said).scaled(recipe.share).dump(out, rank=recipe.rank)
    checkpoint.unlink()
    _log.info("wrote %s, %.1f MB", out, out.stat().st_size / 1e6)
    return _compare(body, held_out, recipe)


def _prepare(
    body: Body, sets: Sequence[QuerySet], catalogue: Path | None, recipe: Recipe
) -> Iterator[Prepared]:
    for of in sets:
        yield _prepare_set(body, of, recipe)
    if catalogue:
        pairs = read_pairs(catalogue, limit=recipe.catalogue_pairs, seed=recipe.seed)
        spoken, documents = [pair.query for pair in pairs], [pair.text for pair in pairs]
        queries = body.remember(spoken, max_tokens=recipe.max_query_tokens)
        texts = body.remember(documents, max_tokens=recipe.max_document_tokens)
        yield Prepared(pair_up(pairs, body.vectors(texts, body.base)), queries, texts)


def _prepare_set(body: Body, of: QuerySet, recipe: Recipe) -> Prepared:
    chosen = choose_queries(of, recipe)
    queries, texts = _remember(body, of, chosen, recipe)
    mined = mine(
        of,
        chosen,
        vectors=body.vectors(texts, body.base),
        query_vectors=body.vectors(queries, body.base),
        recipe=recipe,
    )
    _log.info("%s: %d queries, %d documents", of.name, len(chosen), len(texts))
    return Prepared(mined, queries, texts)


def _compare(
    body: Body, sets: Sequence[QuerySet], recipe: Recipe
) -> dict[str, tuple[Quality, Quality]]:
    compared: dict[str, tuple[Quality, Quality]] = {}
    mixed = body.between(recipe.share)
    for of in sets:
        held = _Held.of(body, of, recipe)
        before, after = held.measure(body.base), held.measure(mixed)
        compared[of.name] = before, after
        _log.info(
            "%s, held out: NDCG@10 dense %.1f -> %.1f, fused %.1f -> %.1f",
            of.name,
            100 * before.dense_ndcg,
            100 * after.dense_ndcg,
            100 * before.fused_ndcg,
            100 * after.fused_ndcg,
        )
    return compared


@dataclass(frozen=True, slots=True)
class _Held:
    """A set that was held out, behind the frozen layers."""

    body: Body
    asked: QuerySet
    queries: Sequence[Hidden]
    texts: Sequence[Hidden]

    @classmethod
    def of(cls, body: Body, whole: QuerySet, recipe: Recipe) -> _Held:
        chance = random.Random(_SEED_OF_MEASURING)  # noqa: S311  # reproducible, not secret
        some = chance.sample(whole.queries, min(_MEASURED_QUERIES, len(whole.queries)))
        return cls(body, replace(whole, queries=tuple(some)), *_remember(body, whole, some, recipe))

    def measure(self, layers: Any) -> Quality:
        return measure(
            self.asked,
            vectors=self.body.vectors(self.texts, layers),
            query_vectors=self.body.vectors(self.queries, layers),
        )


def _remember(
    body: Body, of: QuerySet, queries: Sequence[Query], recipe: Recipe
) -> tuple[list[Hidden], list[Hidden]]:
    spoken = [query.text for query in queries]
    documents = [document.text for document in of.documents]
    return (
        body.remember(spoken, max_tokens=recipe.max_query_tokens),
        body.remember(documents, max_tokens=recipe.max_document_tokens),
    )
