"""Token vectors in an index and its snapshot: the same whatever happened before, and never half."""

import logging
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolcrib_embeddings import Rerank, SearchIndex, SearchOptions
from toolcrib_embeddings.encoding.tokens import TokenMatrix, pieces
from toolcrib_embeddings.indexing.snapshots import Mapped
from toolcrib_embeddings.indexing.token_table import BASE, COUNTS, TokenTable
from toolcrib_embeddings.testing import HashEncoder
from toolcrib_registry.types import EntryId, Revision

from ..conftest import MakeDocument

WORDS = ["list files", "send mail to a friend", "", "weather in a city tomorrow morning", "files"]
IDS = [EntryId(f"tool:{n}") for n in range(12)]
ON = SearchOptions(rerank=Rerank.ON)


def _tokens(text: str) -> TokenMatrix:
    tokens = HashEncoder().encode_query(text).tokens
    assert tokens
    return tokens[0]


def _written(table: TokenTable, digest: str = "d") -> TokenTable:
    """Read a table back from what a snapshot would hold of it."""
    dump = table.dump("head")
    base = Mapped(memoryview(b"".join(dump.base)), dump.digest or digest)
    return TokenTable.load("head", dump.parts, base)


def _held(table: TokenTable) -> dict[EntryId, bytes]:
    return {id_: rows.tobytes() for id_ in IDS if (rows := table.find(id_)) is not None}


@given(
    steps=st.lists(
        st.tuples(
            st.dictionaries(st.sampled_from(IDS), st.sampled_from(WORDS), max_size=4),
            st.sets(st.sampled_from(IDS), max_size=3),
            st.booleans(),
        ),
        max_size=12,
    )
)
@settings(deadline=None, max_examples=60)
def test_a_table_holds_what_was_added_last_whatever_was_written_between(
    steps: list[tuple[dict[EntryId, str], set[EntryId], bool]],
):
    table, model = TokenTable.empty(), dict[EntryId, str]()
    rarity = HashEncoder().rarity
    for texts, gone, write in steps:
        table = table.updated({id_: _tokens(text) for id_, text in texts.items()}, gone)
        model = {id_: text for id_, text in model.items() if id_ not in gone} | texts
        if write and len(table):
            table = _written(table)
        assert _held(table) == {id_: _tokens(text).tobytes() for id_, text in model.items()}
        assert len(table) == len(model)
        afresh = TokenTable.empty().updated({id_: _tokens(text) for id_, text in model.items()})
        assert np.array_equal(table.weights(rarity), afresh.weights(rarity))


def test_a_rare_word_weighs_more_than_a_common_one():
    texts = {id_: _tokens("files of a folder") for id_ in IDS[1:]} | {IDS[0]: _tokens("weather")}
    table = TokenTable.empty().updated(texts)
    weights = table.weights(HashEncoder().rarity)
    rare, common = (
        weights[_tokens(word)[:, -2:].copy().view("<u2")[0, 0]] for word in ("weather", "files")
    )
    assert rare > common > 0


def test_a_word_counts_once_for_each_entry_that_says_it():
    texts = {IDS[0]: "files and files", IDS[1]: "files", IDS[2]: "", IDS[3]: "mail"}
    table = TokenTable.empty().updated({id_: _tokens(text) for id_, text in texts.items()})
    counts = np.frombuffer(table.dump("head").parts[COUNTS], dtype="<i4")
    held = [set(pieces(_tokens(text)).tolist()) for text in texts.values()]
    assert counts.sum() == sum(map(len, held))
    (files,) = held[1]
    assert counts[files] == 2


def test_a_small_change_leaves_the_base_and_many_make_a_new_one():
    table = TokenTable.empty().updated({id_: _tokens("list many files") for id_ in IDS})
    assert table.dump("head").digest is None
    kept = _written(table, "first")
    assert kept.dump("head").digest == "first"
    little = kept.updated({IDS[0]: _tokens("send mail")})
    assert little.dump("head").digest == "first"
    assert _held(_written(little)) == _held(little)
    much = little.updated({id_: _tokens("send mail") for id_ in IDS[:6]})
    assert much.dump("head").digest is None
    fewer = kept.updated({}, IDS[:6])
    assert fewer.dump("head").digest is None


def test_another_head_has_other_vectors():
    dump = TokenTable.empty().updated({IDS[0]: _tokens("files")}).dump("head")
    with pytest.raises(ValueError, match="another"):
        TokenTable.load("another", dump.parts, Mapped(memoryview(b"".join(dump.base)), "d"))


def test_parts_that_do_not_fit_together_are_refused():
    dump = TokenTable.empty().updated({IDS[0]: _tokens("files")}).dump("head")
    for parts, base in (
        (dump.parts, b""),
        ({**dump.parts, "token_places": b"[]"}, b"".join(dump.base)),
        ({**dump.parts, "token_counts": b"1234"}, b"".join(dump.base)),
        ({}, b"".join(dump.base)),
    ):
        with pytest.raises(ValueError, match=r"."):
            TokenTable.load("head", parts, Mapped(memoryview(base), "d"))


# --- in an index ---------------------------------------------------------------------------------


@pytest.fixture
def index(document: MakeDocument) -> SearchIndex:
    encoder = HashEncoder()
    documents = [document(f"tool{n:02}", f"list files of kind {n} in folder") for n in range(30)]
    read = encoder.encode_documents([each.text for each in documents])
    made = SearchIndex(encoder)
    tokens = dict(zip([d.id for d in documents], read.tokens or (), strict=True))
    upserts = list(zip(documents, read.vectors, strict=True))
    made.update(upserts, (), revision=Revision(1), tokens=tokens)
    return made


def _base(folder: Path) -> Path:
    return next(file for file in folder.iterdir() if file.name.startswith(f"{BASE}."))


def test_a_loaded_index_reads_tokens_as_the_one_that_was_saved(index: SearchIndex, tmp_path: Path):
    before = index.search("files of kind 7", k=5, options=ON)
    index.save(tmp_path)
    loaded = SearchIndex.load(tmp_path, HashEncoder())
    assert before.reranked
    assert loaded.search("files of kind 7", k=5, options=ON) == before
    assert index.search("files of kind 7", k=6, options=ON).hits[:5] == before.hits
    assert not loaded.untokened


@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_damaged_token_vectors_leave_the_rest_and_can_be_made_again(
    index: SearchIndex,
    document: MakeDocument,
    tmp_path: Path,
    damage: str,
    caplog: pytest.LogCaptureFixture,
):
    plain = index.search("files of kind 7", k=5, options=SearchOptions(rerank=Rerank.OFF))
    index.save(tmp_path)
    file = _base(tmp_path)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    if damage == "remove":
        file.unlink()
    else:
        file.write_bytes(content if damage == "flip" else content[:-5])
    with caplog.at_level(logging.WARNING):
        loaded = SearchIndex.load(tmp_path, HashEncoder())
    assert "left out" in caplog.text
    assert len(loaded.untokened) == 30
    assert loaded.search("files of kind 7", k=5, options=ON) == plain
    text = "list files of kind 7 in folder"
    one = document("tool07", text)
    assert loaded.add_tokens([(one, _tokens(text))]) == 1
    assert len(loaded.untokened) == 29


def test_an_unchanged_base_is_not_written_again(
    index: SearchIndex, document: MakeDocument, tmp_path: Path
):
    index.save(tmp_path)
    file = _base(tmp_path)
    before = file.stat().st_mtime_ns
    text = "send mail"
    late, vector = document("late", text), index.encoder.encode([text])[0]
    index.update([(late, vector)], (), revision=Revision(2), tokens={late.id: _tokens(text)})
    index.save(tmp_path)
    assert file.stat().st_mtime_ns == before
    loaded = SearchIndex.load(tmp_path, HashEncoder())
    assert not loaded.untokened
    assert loaded.search("send mail", k=1, options=ON).ids == ["tool:late"]


def test_an_index_whose_snapshot_is_removed_reads_on_and_writes_it_again(
    index: SearchIndex, tmp_path: Path
):
    index.save(tmp_path)
    before = index.search("files of kind 7", k=5, options=ON)
    for file in tmp_path.iterdir():
        file.unlink()
    assert index.search("files of kind 7", k=6, options=ON).hits[:5] == before.hits
    index.save(tmp_path)
    assert not SearchIndex.load(tmp_path, HashEncoder()).untokened


def test_a_snapshot_without_token_vectors_is_taken_as_it_is(
    index: SearchIndex, document: MakeDocument, tmp_path: Path
):
    old = SearchIndex(index.encoder)
    one = document("a", "list files")
    old.update([(one, index.encoder.encode([one.text])[0])], (), revision=Revision(1))
    old.save(tmp_path)
    loaded = SearchIndex.load(tmp_path, HashEncoder())
    assert loaded.untokened == (one.id,)
    assert not loaded.search("list files", k=1, options=ON).reranked


def test_token_vectors_of_a_text_that_changed_meanwhile_are_not_taken(document: MakeDocument):
    from dataclasses import replace

    encoder, one = HashEncoder(), document("a", "list files")
    index = SearchIndex(encoder)
    newer = replace(one, text="send mail", revision=Revision(5))
    index.update([(newer, encoder.encode([newer.text])[0])], (), revision=Revision(5))
    assert index.add_tokens([(one, _tokens(one.text)), (document("gone", "x"), _tokens("x"))]) == 0
    assert index.add_tokens([(newer, _tokens(newer.text))]) == 1
    index.update([(newer, encoder.encode([newer.text])[0])], (), revision=Revision(6))
    assert index.untokened == (one.id,), "what is indexed again has the tokens it comes with"


def test_token_vectors_that_a_text_had_before_go_with_it(document: MakeDocument):
    encoder, one = HashEncoder(), document("a", "list files")
    index = SearchIndex(encoder)
    upsert = [(one, encoder.encode([one.text])[0])]
    index.update(upsert, (), revision=Revision(1), tokens={one.id: _tokens(one.text)})
    assert index.untokened == ()
    index.update([], [one.id], revision=Revision(2))
    assert len(index) == 0
    index.update(upsert, (), revision=Revision(3))
    assert index.untokened == (one.id,)
