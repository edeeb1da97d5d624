"""A file of queries answered in one go, for whoever scores the ranking with tools of their own."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from toolcrib_server.evaluation.queries import read_queries
from toolcrib_server.gateway.answers import Wanted, show_answer
from toolcrib_server.runtime import Runtime
from toolcrib_server.selection.question import Filters, Stages
from toolcrib_server.selection.selector import Answer, Found

from .output import progress

_STEP = 1e-6
"""The least difference that six decimals show."""


class Format(StrEnum):
    """How a batch is written."""

    TREC = "trec"
    JSONL = "jsonl"


@dataclass(frozen=True, slots=True)
class Batch:
    """A file of queries, and how to ask them."""

    file: Path
    format: Format
    k: int
    filters: Filters
    stages: Stages


async def answer_batch(runtime: Runtime, batch: Batch, wanted: Wanted) -> None:
    """Answer every query of the file on standard output, in its order.

    Raises:
        InvalidInput: The file cannot be read, a line of it is no query, or two have one id.
    """
    queries = read_queries(batch.file)
    await open_index(runtime)
    # A run has one line for each document: a near-duplicate is ranked where it stands itself.
    is_run = batch.format is Format.TREC
    stages = replace(batch.stages, fold=False) if is_run else batch.stages
    with progress("Searching") as bar:
        for done, (qid, text) in enumerate(queries.items(), start=1):
            answer = await runtime.selector.search(
                text, k=batch.k, filters=batch.filters, stages=stages
            )
            for line in _run(qid, answer) if is_run else _rows(qid, answer, wanted):
                sys.stdout.write(line + "\n")
            bar(done, len(queries))


async def open_index(runtime: Runtime, *, quiet: bool = False) -> None:
    """Bring the index to the head, with a bar where that takes long."""
    with progress("Embedding", quiet=quiet) as bar:
        await runtime.indexer.catch_up(on_progress=bar)


def _run(qid: str, answer: Answer) -> Iterator[str]:
    score = float("inf")
    for rank, found in enumerate(answer.found, start=1):
        # White space separates the columns of a TREC run, and its readers sort it by score.
        document = "_".join(document_of(found).split())
        score = min(found.score, score - _STEP)
        yield f"{'_'.join(qid.split())} Q0 {document} {rank} {score:.6f} toolcrib"


def _rows(qid: str, answer: Answer, wanted: Wanted) -> Iterator[str]:
    view = show_answer(answer, wanted).view
    for result, found in zip(view["results"], answer.found, strict=True):
        result["document"] = document_of(found)
    yield json.dumps({"id": qid, **view}, ensure_ascii=False)


def document_of(found: Found) -> str:
    """Name a document as the file it was imported from does."""
    return found.entry.source_id or found.entry.name
