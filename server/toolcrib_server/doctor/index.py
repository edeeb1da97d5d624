"""Examines the search index: its snapshot, its encoder, its vectors."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import anyio.to_thread

from toolcrib_registry.errors import ToolcribError
from toolcrib_server.runtime import Runtime
from toolcrib_server.sync.health import IndexHealth

from .check import Check

if TYPE_CHECKING:
    from toolcrib_embeddings import SearchIndex


def snapshot_fault(folder: Path) -> str | None:
    """Say what is wrong with the snapshot of the index; a missing one is only not there yet."""
    from toolcrib_embeddings.indexing.snapshots import (  # noqa: PLC0415  # slow
        MANIFEST,
        SnapshotInvalid,
        read_snapshot,
    )

    if not (folder / MANIFEST).exists():
        return None
    try:
        read_snapshot(folder)
    except SnapshotInvalid as invalid:
        return invalid.reason
    return None


def snapshot_check(runtime: Runtime, folder: Path, fault: str) -> Check:
    """Say that the snapshot is damaged; saving it anew mends that."""
    return Check(
        "snapshot",
        f"{folder}: {fault}",
        ok=False,
        advice="Search goes on without what is damaged; doctor --repair writes it anew.",
        mend=partial(_save_anew, runtime),
    )


async def _save_anew(runtime: Runtime) -> str:
    index = await runtime.indexer.index()
    await _add_tokens(runtime, index)
    await runtime.indexer.save(anew=True)
    return f"a snapshot of {index.size} entries at revision {index.revision} was written"


async def examine_index(runtime: Runtime) -> list[Check]:
    """Open the index, and hold it against the registry, entry by entry."""
    try:
        report = await runtime.indexer.catch_up()
        index, health = await runtime.indexer.index(), await runtime.guard.check()
    except ToolcribError as error:
        advice = "Search cannot work until this is mended."
        return [Check("index", error.detail, ok=False, advice=advice)]
    detail = f"{index.size} entries at revision {index.revision}"
    if report.rebuilt:
        detail += f", rebuilt just now: {report.rebuilt}"
    checks = [_encoder_check(index, health), _index_check(runtime, health, detail)]
    if health.lexical_only is None:
        checks += await _examine_vectors(runtime, index)
        checks += _examine_tokens(runtime, index)
    return checks


def _encoder_check(index: SearchIndex, health: IndexHealth) -> Check:
    if health.lexical_only:
        advice = "Search goes by words alone until the embedding model can be opened."
        return Check("encoder", health.lexical_only, ok=False, advice=advice)
    encoder = index.encoder
    said = f"{encoder.id}, {encoder.dimension} dimensions"
    if encoder.token_id:
        said += f", second stage by {encoder.token_id.removeprefix(f'{encoder.id}/')}"
    return Check("encoder", said)


def _index_check(runtime: Runtime, health: IndexHealth, detail: str) -> Check:
    if health.is_whole or (health.lexical_only and len(health.gaps) == len(health.unembedded)):
        return Check("index", detail)
    said = f"{detail}; {health.say()}"
    advice = "A process that serves mends this by itself; doctor --repair does it now."
    return Check("index", said, ok=False, advice=advice, mend=partial(_mend_index, runtime))


async def _mend_index(runtime: Runtime) -> str:
    before = await runtime.guard.check()
    after = await runtime.guard.mend()
    await runtime.indexer.save()
    closed, left = len(before.gaps - after.gaps), after.say()
    return f"{closed} entries were indexed again" + (f"; left: {left}" if left else "")


async def _examine_vectors(runtime: Runtime, index: SearchIndex) -> list[Check]:
    stock = await anyio.to_thread.run_sync(runtime.guard.take_stock, index)
    detail = f"{stock.kept} of {stock.wanted} texts have their vector stored"
    orphans = f"; stored without a text: {stock.orphans}" if stock.orphans else ""
    if stock.kept < stock.wanted:
        advice = "A rebuild would encode them again; doctor --repair does it now."
        mend = partial(_restock, runtime, index)
        return [Check("vectors", detail + orphans, ok=False, advice=advice, mend=mend)]
    mend = partial(_restock, runtime, index) if stock.orphans else None
    return [Check("vectors", detail + orphans, mend=mend)]


def _examine_tokens(runtime: Runtime, index: SearchIndex) -> list[Check]:
    if fault := index.encoder.token_fault:
        advice = (
            "Search goes on by meaning and words; TOOLCRIB_TOKEN_HEAD is what to mend or unset."
        )
        return [Check("second stage", f"off. {fault}", ok=False, advice=advice)]
    left = len(index.untokened)
    if not left:
        return []
    detail = f"{index.size - left} of {index.size} entries have the token vectors of this encoder"
    advice = "A process that serves makes the others beside its work; doctor --repair does it now."
    mend = partial(_mend_tokens, runtime, index)
    return [Check("second stage", detail, ok=False, advice=advice, mend=mend)]


async def _mend_tokens(runtime: Runtime, index: SearchIndex) -> str:
    before, left = len(index.untokened), await _add_tokens(runtime, index)
    await runtime.indexer.save()
    rest = f", {left} still have none" if left else ""
    return f"{before - left} entries were read for their token vectors{rest}"


async def _add_tokens(runtime: Runtime, index: SearchIndex) -> int:
    left = len(index.untokened)
    # As long as it helps: an encoder may have none to give.
    while left and (still := await runtime.indexer.add_tokens()) < left:
        left = still
    return left


async def _restock(runtime: Runtime, index: SearchIndex) -> str:
    done = await anyio.to_thread.run_sync(runtime.guard.restock, index)
    return f"{done.encoded} texts were encoded, {done.pruned} vectors of no use were dropped"
