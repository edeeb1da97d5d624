"""The index follows the change log, embeds only what is new and survives anything on the disk."""

import shutil
import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import anyio
import pytest

from toolcrib_embeddings import Rerank, SearchOptions, render_document
from toolcrib_embeddings.encoding.encoder import Encoding
from toolcrib_embeddings.testing import HashEncoder
from toolcrib_embeddings.vectors import FloatMatrix
from toolcrib_registry.errors import StoreError
from toolcrib_registry.types import EntryKind, Model, ServerName
from toolcrib_server.sync.indexer import Indexer

from .conftest import House, tool

pytestmark = pytest.mark.anyio


class CountingEncoder(HashEncoder):
    """Counts the texts it is given."""

    def __init__(self, dimension: int = 256) -> None:
        super().__init__(dimension)
        self.texts = 0

    def encode(self, texts: Sequence[str], *, on_progress: object = None) -> FloatMatrix:
        self.texts += len(texts)
        return super().encode(texts)


def reopened(house: House, folder: Path, encoder: CountingEncoder | None = None) -> Indexer:
    return Indexer(house.store, open_encoder=lambda: encoder or CountingEncoder(), folder=folder)


async def filled(house: House, count: int = 3) -> None:
    house.register("s")
    house.lister.tell("s", *(tool(f"t{i}", f"thing number {i}") for i in range(count)))
    await house.reconciler.sync()
    await house.indexer.save()


async def test_an_empty_registry_has_an_empty_index(house: House) -> None:
    index = await house.indexer.index()
    assert index.size == 0
    assert index.revision == 0
    # Nothing is everything there is: an empty Toolcrib is ready to serve.
    assert house.indexer.revision == 0


async def test_a_snapshot_at_the_head_is_taken_as_it_is(house: House, tmp_path: Path) -> None:
    await filled(house)
    encoder = CountingEncoder()
    report = await reopened(house, tmp_path / "index", encoder).catch_up()
    assert report.rebuilt is None
    assert (report.indexed, report.embedded, encoder.texts) == (0, 0, 0)


async def test_a_snapshot_behind_the_head_catches_up_by_the_log(
    house: House, tmp_path: Path
) -> None:
    await filled(house)
    house.store.add_model(Model(name="m", description="a model"), actor="test")
    report = await reopened(house, tmp_path / "index").catch_up()
    assert report.rebuilt is None
    assert (report.indexed, report.embedded) == (1, 1)


@pytest.mark.parametrize("damage", ["remove", "cut", "flip"])
async def test_a_damaged_snapshot_is_rebuilt_without_embedding_anew(
    house: House, tmp_path: Path, damage: str
) -> None:
    await filled(house)
    folder = tmp_path / "index"
    largest = max((p for p in folder.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    if damage == "remove":
        shutil.rmtree(folder)
    elif damage == "cut":
        largest.write_bytes(largest.read_bytes()[:-7])
    else:
        content = bytearray(largest.read_bytes())
        content[len(content) // 2] ^= 1
        largest.write_bytes(content)
    encoder = CountingEncoder()
    indexer = reopened(house, folder, encoder)
    report = await indexer.catch_up()
    assert report.rebuilt
    assert report.indexed == 3
    assert encoder.texts == 0
    assert (await indexer.index()).size == 3


async def test_another_encoder_embeds_everything_anew_and_says_so(
    house: House, tmp_path: Path
) -> None:
    await filled(house)
    encoder = CountingEncoder(dimension=64)
    report = await reopened(house, tmp_path / "index", encoder).catch_up()
    assert report.rebuilt
    assert "encoder" in report.rebuilt
    assert report.embedded == encoder.texts == 3


async def test_a_text_that_two_entries_share_is_embedded_once(house: House) -> None:
    encoder = CountingEncoder()
    indexer = Indexer(house.store, open_encoder=lambda: encoder, folder=Path("unused"))
    for name in ("a", "b"):
        house.store.add_model(Model(name=name, title="same", description="words"), actor="test")
    await indexer.catch_up()
    assert encoder.texts == len({"a", "b"})
    house.store.remove_model("a", actor="test")
    await indexer.catch_up()
    house.store.add_model(Model(name="a", title="same", description="words"), actor="test")
    await indexer.catch_up()
    assert encoder.texts == 2


async def test_turning_a_server_off_and_on_moves_all_it_owns(house: House) -> None:
    from dataclasses import replace

    await filled(house)
    server = house.store.get_server(ServerName("s"))
    index = await house.indexer.index()
    house.store.update_server(replace(server, enabled=False), actor="test")
    await house.indexer.catch_up()
    assert index.size == 0
    house.store.update_server(replace(server, enabled=True), actor="test")
    report = await house.indexer.catch_up()
    assert index.size == 3
    assert report.embedded == 0


async def test_a_disabled_entry_cannot_be_found(house: House) -> None:
    await filled(house)
    house.store.set_entry_enabled(EntryKind.TOOL, "s__t1", enabled=False, actor="test")
    await house.indexer.catch_up()
    assert "tool:s__t1" not in await house.indexer.index()


async def test_removing_a_server_removes_what_it_owned(house: House) -> None:
    await filled(house)
    house.store.remove_server(ServerName("s"), actor="test")
    report = await house.indexer.catch_up()
    assert report.removed == 3
    assert (await house.indexer.index()).size == 0


async def test_an_index_ahead_of_the_registry_is_not_believed(house: House, tmp_path: Path) -> None:
    from toolcrib_migrations import open_store

    await filled(house)
    other = open_store(f"sqlite:///{tmp_path / 'restored.db'}")
    indexer = Indexer(other, open_encoder=CountingEncoder, folder=tmp_path / "index")
    report = await indexer.catch_up()
    assert report.rebuilt == "its revision is ahead of the registry"
    assert (await indexer.index()).size == 0
    other.close()


async def test_a_failed_opening_is_told_and_tried_again(house: House, tmp_path: Path) -> None:
    from toolcrib_registry.errors import EncoderError

    broken = [True]

    def open_encoder() -> CountingEncoder:
        if broken:
            raise EncoderError("no weights")
        return CountingEncoder()

    await filled(house)
    indexer = Indexer(house.store, open_encoder=open_encoder, folder=tmp_path / "other")
    assert (await indexer.index()).unembedded == (await indexer.index()).revisions().keys()
    assert indexer.encoder_error == "no weights"
    broken.clear()
    await indexer.reindex(())
    assert (await indexer.index()).unembedded == frozenset()
    assert indexer.encoder_error is None


async def test_a_snapshot_that_cannot_be_written_does_not_end_the_following(
    house: House, tmp_path: Path
) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where the folder should be")
    indexer = reopened(house, blocked)
    index = await indexer.index()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(indexer.follow, interval_s=0.01))
        for name in ("first", "second"):
            house.store.add_model(Model(name=name), actor="test")
            with anyio.fail_after(30):
                while f"model:{name}" not in index:  # noqa: ASYNC110  # the index has no events
                    await anyio.sleep(0.01)
        tasks.cancel_scope.cancel()


# --- token vectors -----------------------------------------------------------------------------


class Tokenless(CountingEncoder):
    """The same encoder before it made token vectors."""

    @property
    def token_id(self) -> None:
        return None

    def encode_documents(self, texts: Sequence[str], *, on_progress: object = None) -> Encoding:
        return Encoding(self.encode(texts))


async def before_token_vectors(house: House, folder: Path, count: int = 40) -> None:
    """Leave a registry and a snapshot as a release without token vectors left them."""
    old = Indexer(house.store, open_encoder=Tokenless, folder=folder)
    for number in range(count):
        house.store.add_model(Model(name=f"m{number}", description=f"thing {number}"), actor="t")
    await old.catch_up()
    await old.save()


async def test_token_vectors_come_with_the_vectors_of_what_is_new(house: House) -> None:
    await filled(house)
    index = await house.indexer.index()
    assert index.untokened == ()
    assert index.search("thing number 1", k=2, options=SearchOptions(rerank=Rerank.ON)).reranked


async def test_what_was_indexed_without_token_vectors_gets_them_later_and_keeps_them(
    house: House, tmp_path: Path
) -> None:
    folder = tmp_path / "old"
    await before_token_vectors(house, folder)
    encoder = CountingEncoder()
    indexer = reopened(house, folder, encoder)
    report = await indexer.catch_up()
    index = await indexer.index()
    assert (report.rebuilt, report.embedded, encoder.texts) == (None, 0, 0)
    assert len(index.untokened) == 40
    assert not index.search("thing 7", k=2).reranked
    encoder.texts = 0
    while await indexer.add_tokens():
        pass
    assert encoder.texts == 40
    assert index.search("thing 7", k=2).reranked
    await indexer.save()
    second = CountingEncoder()
    again = await reopened(house, folder, second).index()
    assert again.untokened == ()
    assert again.search("thing 7", k=2, options=SearchOptions(rerank=Rerank.ON)).reranked


async def test_token_vectors_that_are_stored_are_not_made_again(
    house: House, tmp_path: Path
) -> None:
    folder = tmp_path / "old"
    await before_token_vectors(house, folder)
    first = reopened(house, folder, CountingEncoder())
    await first.index()
    while await first.add_tokens():
        pass
    # Killed before it could save: the snapshot is the old one.
    encoder = CountingEncoder()
    indexer = reopened(house, folder, encoder)
    index = await indexer.index()
    assert len(index.untokened) == 40
    assert await indexer.add_tokens() == 0
    assert encoder.texts == 0
    assert index.untokened == ()


async def test_following_the_log_adds_the_token_vectors_and_saves_them(
    house: House, tmp_path: Path
) -> None:
    folder = tmp_path / "old"
    await before_token_vectors(house, folder)
    saved = threading.Event()
    indexer = Indexer(
        house.store,
        open_encoder=CountingEncoder,
        folder=folder,
        checkpoint=lambda point: saved.set() if point == "snapshot-saved" else None,
    )
    index = await indexer.index()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(indexer.follow, interval_s=0.01))
        assert await anyio.to_thread.run_sync(saved.wait, 30)
        tasks.cancel_scope.cancel()
    assert index.untokened == ()
    assert (await reopened(house, folder).index()).untokened == ()


async def test_a_text_that_changed_has_the_token_vectors_of_the_new_one(house: House) -> None:
    await filled(house)
    index = await house.indexer.index()
    house.lister.tell("s", tool("t0", "completely other words now"))
    await house.reconciler.sync()
    assert index.untokened == ()
    best = index.search("completely other words now", k=1, options=SearchOptions(rerank=Rerank.ON))
    assert best.ids == ["tool:s__t0"]
    stored = house.store.get_embeddings(index.encoder.token_id or "", _hashes(house))
    assert len(stored) == 1


def _hashes(house: House) -> list[str]:
    return [render_document(entry).text_hash for entry in house.store.iter_entries(live=True)]


async def test_the_faces_are_told_again_when_telling_them_failed(
    house: House, tmp_path: Path
) -> None:
    told: list[bool] = []
    done = anyio.Event()

    async def tell() -> None:
        told.append(True)
        if len(told) == 2:
            raise StoreError("The connection was lost.")
        if len(told) == 3:
            done.set()

    open_encoder, folder = CountingEncoder, tmp_path / "other"
    indexer = Indexer(house.store, open_encoder=open_encoder, folder=folder, on_change=tell)
    await indexer.catch_up()
    house.register("s")
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(indexer.follow, interval_s=0.01))
            await done.wait()
            tasks.cancel_scope.cancel()
