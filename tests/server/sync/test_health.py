"""The index is what the registry says; where it is not, that shows, and it is mended."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import numpy as np
import pytest

from toolcrib_embeddings.encoding.encoder import Progress
from toolcrib_embeddings.testing import HashEncoder
from toolcrib_embeddings.vectors import FloatMatrix
from toolcrib_registry.errors import EncoderError
from toolcrib_registry.types import EntryId, EntryKind, Model, Revision, Trust
from toolcrib_server.selection.selector import Selector
from toolcrib_server.sync.health import IndexGuard
from toolcrib_server.sync.indexer import Indexer

from .conftest import House, tool

pytestmark = pytest.mark.anyio


class Moody(HashEncoder):
    """An encoder that fails while it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.fails = False
        self.texts = 0

    def encode(self, texts: Sequence[str], *, on_progress: Progress | None = None) -> FloatMatrix:
        if self.fails:
            raise EncoderError("out of memory")
        self.texts += len(texts)
        return super().encode(texts)


def tell(house: House, *names: str) -> None:
    house.lister.tell("s", *(tool(name, f"the {name} thing") for name in names))


async def filled(house: House, *names: str) -> IndexGuard:
    house.register("s")
    tell(house, *names)
    await house.reconciler.sync()
    return IndexGuard(house.store, house.indexer)


async def lose(house: House, *ids: str) -> None:
    """Take entries out of the index behind the registry's back, at the same revision."""
    index = await house.indexer.index()
    index.update([], [EntryId(id_) for id_ in ids], revision=index.revision)


async def test_an_index_that_follows_the_log_is_whole(house: House):
    guard = await filled(house, "a", "b")
    health = await guard.check()
    assert health.is_whole
    assert (health.live, health.indexed) == (2, 2)
    assert health.say() == ""


async def test_what_is_missing_is_named_and_brought_back(house: House):
    guard = await filled(house, "a", "b", "c")
    await lose(house, "tool:s__b")
    health = await guard.check()
    assert health.missing == ("tool:s__b",)
    assert "1 missing from the index (tool:s__b)" in health.say()
    assert (await guard.mend()).is_whole
    assert "tool:s__b" in await house.indexer.index()
    assert guard.repaired == 1


async def test_what_is_there_and_should_not_be_goes(house: House):
    guard = await filled(house, "a", "b")
    index = await house.indexer.index()
    (row, *_) = [document for document in _documents(house) if document.id == "tool:s__a"]
    house.store.set_entry_enabled(EntryKind.TOOL, "s__a", enabled=False, actor="test")
    await house.indexer.catch_up()
    vector = HashEncoder().encode([row.text])[0]
    index.update([(row, vector)], (), revision=index.revision)
    assert (await guard.check()).surplus == ("tool:s__a",)
    assert (await guard.mend()).is_whole
    assert "tool:s__a" not in index


async def test_what_is_indexed_as_it_was_before_is_read_again(house: House):
    guard = await filled(house, "a")
    index = await house.indexer.index()
    (old,) = _documents(house)
    house.lister.tell("s", tool("a", "other words now"))
    await house.reconciler.sync()
    index.update([(old, HashEncoder().encode([old.text])[0])], (), revision=index.revision)
    assert (await guard.check()).outdated == ("tool:s__a",)
    assert (await guard.mend()).is_whole
    assert index.search("other words now", k=1).hits[0].signals["lexical"].score > 0


async def test_a_row_that_is_no_vector_is_encoded_again(house: House):
    guard = await filled(house, "a", "b")
    index = await house.indexer.index()
    row = next(document for document in _documents(house) if document.id == "tool:s__a")
    zero = np.zeros(index.encoder.dimension, dtype=np.float32)
    index.update([(row, zero)], (), revision=index.revision)
    assert (await guard.check()).unembedded == ("tool:s__a",)
    assert (await guard.mend()).is_whole


async def test_an_index_on_its_way_has_no_gaps(house: House):
    guard = await filled(house, "a")
    house.store.add_model(Model(name="late"), actor="test")
    health = await guard.check()
    assert health.is_whole
    assert health.revision == health.head - 1


async def test_nothing_is_compared_entry_by_entry_while_nothing_moves(house: House):
    guard = await filled(house, "a")
    first = await guard.check(whole=False)
    second = await guard.check(whole=False)
    assert second.checked_at == first.checked_at
    await lose(house, "tool:s__a")
    assert (await guard.check(whole=False)).missing == ("tool:s__a",)


async def test_a_gap_closes_by_itself_while_serving(house: House):
    guard = await filled(house, "a", "b")
    index = await house.indexer.index()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(guard.run, interval_s=0.01))
        await lose(house, "tool:s__a")
        with anyio.fail_after(30):
            while "tool:s__a" not in index:  # noqa: ASYNC110  # the index has no events
                await anyio.sleep(0.01)
        tasks.cancel_scope.cancel()


async def test_what_was_mended_is_saved_though_no_revision_passed(house: House, tmp_path: Path):
    guard = await filled(house, "a", "b")
    await lose(house, "tool:s__a")
    await house.indexer.save()
    await guard.mend()
    await house.indexer.save()
    again = Indexer(house.store, open_encoder=HashEncoder, folder=tmp_path / "index")
    assert "tool:s__a" in await again.index()


async def test_texts_that_cannot_be_encoded_are_found_by_words_until_they_can(
    house: House, tmp_path: Path
):
    encoder = Moody()
    indexer = Indexer(house.store, open_encoder=lambda: encoder, folder=tmp_path / "other")
    house.register("s")
    tell(house, "clock", "folder")
    await house.reconciler.sync()
    house.store.prune_embeddings("nobody", ())
    encoder.fails = True
    selector = Selector(house.store, indexer.index)
    answer = await selector.search("the folder thing")
    assert answer.found[0].entry.name == "s__folder"
    assert answer.lexical_only
    guard = IndexGuard(house.store, indexer)
    health = await guard.check()
    assert set(health.unembedded) == {"tool:s__clock", "tool:s__folder"}
    assert health.lexical_only == "out of memory"
    encoder.fails = False
    assert (await guard.mend()).is_whole
    answer = await selector.search("the folder thing")
    assert answer.lexical_only is None
    assert "dense" in answer.found[0].signals


async def test_an_encoder_that_cannot_be_opened_leaves_words_and_is_tried_again(
    house: House, tmp_path: Path
):
    await filled(house, "clock", "folder")
    await house.indexer.save()
    broken = [True]

    def open_encoder() -> HashEncoder:
        if broken:
            raise EncoderError("no weights")
        return HashEncoder()

    indexer = Indexer(house.store, open_encoder=open_encoder, folder=tmp_path / "index")
    selector, guard = Selector(house.store, indexer.index), IndexGuard(house.store, indexer)
    answer = await selector.search("the folder thing")
    assert answer.found[0].entry.name == "s__folder"
    assert answer.lexical_only == "no weights"
    assert indexer.encoder_error == "no weights"
    assert indexer.error is None
    assert (await guard.check()).say().startswith("2 without a vector")
    broken.clear()
    assert (await guard.mend()).is_whole
    assert indexer.encoder_error is None
    assert (await selector.search("the folder thing")).lexical_only is None


async def test_words_alone_never_replace_a_snapshot_that_knows_more(house: House, tmp_path: Path):
    await filled(house, "a")
    await house.indexer.save()
    before = (tmp_path / "index" / "manifest.json").read_bytes()

    def refuse() -> HashEncoder:
        raise EncoderError("no weights")

    indexer = Indexer(house.store, open_encoder=refuse, folder=tmp_path / "index")
    await indexer.index()
    await indexer.save()
    assert (tmp_path / "index" / "manifest.json").read_bytes() == before


async def test_vectors_that_are_gone_or_of_no_use_are_counted_and_brought_in_order(house: House):
    guard = await filled(house, "a", "b")
    index = await house.indexer.index()
    assert guard.take_stock(index).kept == guard.take_stock(index).wanted == 2
    house.store.prune_embeddings(index.encoder.id, ())
    house.store.put_embeddings("another", {"x": b"1234"})
    stock = guard.take_stock(index)
    assert (stock.wanted, stock.kept, stock.orphans) == (2, 0, 1)
    done = await anyio.to_thread.run_sync(guard.restock, index)
    assert (done.encoded, done.pruned) == (2, 1)
    stock = guard.take_stock(index)
    assert (stock.wanted, stock.kept, stock.orphans) == (2, 2, 0)


async def test_what_is_quarantined_wants_no_vector_and_keeps_the_one_it_has(house: House):
    guard = await filled(house, "a", "b")
    index = await house.indexer.index()
    judged = {EntryId("tool:s__a"): (Trust.QUARANTINED, ())}
    house.store.set_marks(judged, actor="test")
    await house.indexer.catch_up()
    stock = guard.take_stock(index)
    assert (stock.wanted, stock.kept, stock.orphans) == (1, 1, 0)
    house.store.prune_embeddings(index.encoder.id, ())
    assert guard.take_stock(index).wanted == 1


def _documents(house: House):
    from toolcrib_embeddings import render_document

    return [render_document(entry) for entry in house.store.iter_entries(live=True)]


async def test_revisions_of_the_index_are_those_of_the_registry(house: House):
    await filled(house, "a", "b")
    index = await house.indexer.index()
    assert index.revisions() == house.store.live_revisions()
    assert all(revision > Revision(0) for revision in index.revisions().values())
