"""Whether the proof can fail: a store that does one thing wrong is found out by some history."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from toolcrib_registry.store import Store
from toolcrib_registry.types import Change, ServerWrite, Trust, Vectors

from .campaign import play, write_history
from .houses import sqlite_houses
from .story import Seen

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

_ENOUGH = 100


class Altered(Store):
    """Changes what is written before it is written."""

    def alter(self, write: ServerWrite) -> ServerWrite:
        return write

    def apply_many(self, writes: Sequence[ServerWrite], **kwargs: Any) -> tuple[Change, ...]:
        return super().apply_many([self.alter(write) for write in writes], **kwargs)


class SkipsARemoval(Altered):
    def alter(self, write: ServerWrite) -> ServerWrite:
        removals = write.changes.removals[1:]
        return replace(write, changes=replace(write.changes, removals=removals))


class TrustsEverybody(Altered):
    def alter(self, write: ServerWrite) -> ServerWrite:
        upserts = tuple(replace(u, trust=Trust.TRUSTED) for u in write.changes.upserts)
        return replace(write, changes=replace(write.changes, upserts=upserts))


class KnowsNoRename(Altered):
    def alter(self, write: ServerWrite) -> ServerWrite:
        return replace(write, changes=replace(write.changes, renames={}))


class WritesWithoutALease(Altered):
    def alter(self, write: ServerWrite) -> ServerWrite:
        return replace(write, lease=None)


class ForgetsHealth(Altered):
    def alter(self, write: ServerWrite) -> ServerWrite:
        return replace(write, health=None)


class ForgetsAVector(Store):
    def put_embeddings(self, encoder_id: str, vectors: Mapping[str, bytes]) -> None:
        super().put_embeddings(encoder_id, dict(sorted(vectors.items())[1:]))

    def apply_many(
        self, writes: Sequence[ServerWrite], *, actor: str, vectors: Vectors | None = None
    ) -> tuple[Change, ...]:
        if vectors is not None:
            kept = dict(sorted(vectors.by_hash.items())[1:])
            vectors = replace(vectors, by_hash=kept)
        return super().apply_many(writes, actor=actor, vectors=vectors)


class LosesAChange(Store):
    def list_changes(self, **kwargs: Any) -> tuple[Change, ...]:
        changes = super().list_changes(**kwargs)
        return changes[:-1] if len(changes) > 3 else changes


class TellsOfAnotherBefore(Store):
    def list_changes(self, **kwargs: Any) -> tuple[Change, ...]:
        changes = super().list_changes(**kwargs)
        return tuple(replace(c, before=c.after) if c.fields else c for c in changes)


@pytest.mark.parametrize("kind", [
    SkipsARemoval, TrustsEverybody, KnowsNoRename, WritesWithoutALease, ForgetsHealth,
    ForgetsAVector, LosesAChange, TellsOfAnotherBefore,
])  # fmt: skip
async def test_a_store_that_does_one_thing_wrong_is_found_out(
    tmp_path: Path, kind: type[Store]
) -> None:
    with sqlite_houses(tmp_path, kind) as reset:
        for seed in range(_ENOUGH):
            if await play(reset(), write_history(seed), Seen()):
                return
    pytest.fail(f"{_ENOUGH} histories found nothing wrong with {kind.__name__}")
