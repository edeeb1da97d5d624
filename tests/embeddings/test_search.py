"""What a search finds, what it says of it, and what it survives."""

import threading
import time
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from toolcrib_embeddings import (
    Document,
    Scope,
    SearchIndex,
    SearchOptions,
    SentenceTransformerEncoder,
    SnapshotInvalid,
    render_document,
)
from toolcrib_embeddings.learning.lessons import Lessons
from toolcrib_embeddings.learning.memory import QueryMemory
from toolcrib_embeddings.testing import HashEncoder
from toolcrib_registry.errors import EncoderError
from toolcrib_registry.types import EntryId, EntryKind, Revision, ServerName, Tool, entry_id

from .conftest import MakeDocument

R1 = Revision(1)


def _index(documents: list[Document]) -> SearchIndex:
    index = SearchIndex(HashEncoder())
    vectors = index.encoder.encode([document.text for document in documents])
    index.update(list(zip(documents, vectors, strict=True)), (), revision=R1)
    return index


@pytest.fixture
def shelf(document: MakeDocument) -> SearchIndex:
    """Hold four tools of two servers, a prompt and a model."""
    return _index(
        [
            document("convert", "convert a time between zones", server="time"),
            document("now", "tell the current time in a zone", server="time"),
            document("commit", "record changes in the repository", server="git"),
            document("diff", "show changes of the repository", server="git"),
            document("review", "review changes kindly", server="git", kind=EntryKind.PROMPT),
            document("seer", "a model that tells time", server=None, kind=EntryKind.MODEL),
        ]
    )


def test_the_best_fit_comes_first_with_both_signals(shelf: SearchIndex):
    best, *rest = shelf.search("convert time zones", k=3).hits
    assert best.id == "tool:convert"
    assert best.signals["dense"].rank == best.signals["lexical"].rank == 1
    assert best.signals["dense"].score == pytest.approx(
        float(
            shelf.encoder.encode(["convert time zones"])[0]
            @ shelf.encoder.encode(["convert a time between zones"])[0]
        )
    )
    assert [best.score, *(hit.score for hit in rest)] == sorted(
        (hit.score for hit in [best, *rest]), reverse=True
    )


def test_a_signal_is_there_only_when_its_retriever_found_the_entry(shelf: SearchIndex):
    hits = {hit.id: hit for hit in shelf.search("convert", k=6).hits}
    assert set(hits[entry_id(EntryKind.TOOL, "convert")].signals) >= {"dense", "lexical"}
    assert "lexical" not in hits[entry_id(EntryKind.TOOL, "commit")].signals


def test_filters_apply_before_the_cut(shelf: SearchIndex):
    found = shelf.search("time", k=1, scope=Scope.of(kinds={EntryKind.MODEL})).hits
    assert [hit.id for hit in found] == ["model:seer"]
    found = shelf.search(
        "time", k=5, scope=Scope.of(servers=[ServerName("git")], kinds=[EntryKind.TOOL])
    ).hits
    assert {hit.id for hit in found} == {"tool:commit", "tool:diff"}
    assert shelf.search("time", k=5, scope=Scope.of(servers=[])).hits == ()
    assert shelf.search("time", k=5, scope=Scope.of(servers=[ServerName("nobody")])).hits == ()


def test_equal_entries_are_ordered_by_id(document: MakeDocument):
    names = [f"t{n:03}" for n in range(300)]
    index = _index([document(name, "get the stock price") for name in reversed(names)])
    found = [hit.id for hit in index.search("stock price", k=20).hits]
    assert found == [f"tool:{name}" for name in names[:20]]


@pytest.mark.parametrize("query", ["", "   ", "\0\x07\n"])
def test_an_empty_query_finds_nothing(shelf: SearchIndex, query: str):
    assert shelf.search(query, k=5).hits == ()


def test_search_returns_nothing_for_an_empty_corpus():
    assert SearchIndex(HashEncoder()).search("anything", k=5).hits == ()


@pytest.mark.parametrize("k", [0, -1])
def test_no_hits_are_found_when_none_are_wanted(shelf: SearchIndex, k: int):
    assert shelf.search("time", k=k).hits == ()


def test_k_beyond_the_corpus_returns_all_of_it(shelf: SearchIndex):
    assert len(shelf.search("time", k=10_000).hits) == shelf.size == 6


def test_scores_of_everything_are_those_of_a_search_that_returns_everything(shelf: SearchIndex):
    options = SearchOptions(fold=False, dependencies=False)
    hits = shelf.search("what is the weather", k=100, options=options).hits
    scores = shelf.scores("what is the weather")
    assert scores.keys() == {hit.id for hit in hits}
    assert [scores[hit.id] for hit in hits] == pytest.approx([hit.score for hit in hits])
    assert shelf.scores(" ") == {}


def test_control_characters_and_surrogates_do_not_change_what_is_found(shelf: SearchIndex):
    plain = [hit.id for hit in shelf.search("convert time zones", k=3).hits]
    assert [hit.id for hit in shelf.search("\0convert\x1b time\n\r zones\x07", k=3).hits] == plain
    assert shelf.search("\ud800 convert", k=1).hits[0].id == "tool:convert"


def test_a_query_of_a_megabyte_is_answered(real_encoder: SentenceTransformerEncoder):
    tool = Tool(name="t", server=ServerName("s"), local_name="t", description="d", definition={})
    document = render_document(tool)
    index = SearchIndex(real_encoder)
    vector = real_encoder.encode([document.text])[0]
    index.update([(document, vector)], (), revision=R1)
    began = time.process_time()
    assert [hit.id for hit in index.search("convert time " * 80_000, k=1).hits] == ["tool:t"]
    assert time.process_time() - began < 4


def test_an_update_replaces_removes_and_adds_at_once(shelf: SearchIndex, document: MakeDocument):
    changed = document("convert", "bake a cake", server="kitchen")
    new = document("fry", "fry an egg", server="kitchen")
    vectors = shelf.encoder.encode([changed.text, new.text])
    shelf.update(
        [(changed, vectors[0]), (new, vectors[1])], {document("diff", "").id}, revision=Revision(9)
    )
    assert shelf.revision == 9
    assert shelf.size == len(shelf.ids()) == 6
    assert "tool:diff" not in shelf
    assert "tool:fry" in shelf
    found = shelf.search("cake", k=5, scope=Scope.of(servers=[ServerName("kitchen")])).hits
    assert [hit.id for hit in found] == ["tool:convert", "tool:fry"]


def test_a_remembered_answer_does_not_outlive_an_update(shelf: SearchIndex):
    assert shelf.search("convert time", k=1).hits[0].id == "tool:convert"
    shelf.update([], {shelf.search("convert time", k=1).hits[0].id}, revision=Revision(2))
    assert shelf.search("convert time", k=1).hits[0].id != "tool:convert"


def test_a_repeated_query_is_answered_from_memory(shelf: SearchIndex):
    first = shelf.search("convert time", k=3)
    assert shelf.search("convert time", k=3) is first


def test_many_different_queries_keep_giving_right_answers(shelf: SearchIndex):
    for n in range(600):
        assert shelf.search(f"convert {n}", k=1).hits[0].id == "tool:convert"


def test_a_vector_that_does_not_fit_changes_nothing(shelf: SearchIndex, document: MakeDocument):
    bad = np.full(256, np.nan, dtype=np.float32)
    with pytest.raises(EncoderError, match="tool:bad"):
        shelf.update([(document("bad", "x"), bad)], (), revision=Revision(2))
    assert (shelf.revision, shelf.size) == (1, 6)


def test_readers_see_all_of_a_change_or_none(document: MakeDocument):
    left = [document(f"left{n}", "alpha beta") for n in range(20)]
    right = [document(f"right{n}", "alpha beta") for n in range(20)]
    index = _index(left)
    vectors = index.encoder.encode(["alpha beta"] * 20)
    stop, mixed = threading.Event(), []

    def read() -> None:
        n = 0
        while not stop.is_set():
            n += 1
            sides = {hit.id[:9] for hit in index.search(f"alpha {n}", k=40).hits}
            if len(sides) != 1:
                mixed.append(sides)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for n in range(30):
        new, old = (right, left) if n % 2 == 0 else (left, right)
        removals = {document.id for document in old}
        index.update(list(zip(new, vectors, strict=True)), removals, revision=Revision(n + 2))
    stop.set()
    for reader in readers:
        reader.join(timeout=30)
    assert mixed == []


def test_a_saved_index_answers_as_before(shelf: SearchIndex, tmp_path: Path):
    shelf.save(tmp_path / "index")
    loaded = SearchIndex.load(tmp_path / "index", HashEncoder())
    assert (loaded.revision, loaded.ids()) == (shelf.revision, shelf.ids())
    for query in ("time", "changes in the repository", "cake"):
        assert loaded.search(query, k=6).hits == shelf.search(query, k=6).hits
    found = loaded.search(
        "time", k=5, scope=Scope.of(servers=[ServerName("git")], kinds=[EntryKind.PROMPT])
    ).hits
    assert [hit.id for hit in found] == ["prompt:review"]


def test_an_empty_index_can_be_saved_and_updated_after(tmp_path: Path, document: MakeDocument):
    SearchIndex(HashEncoder()).save(tmp_path)
    loaded = SearchIndex.load(tmp_path, HashEncoder())
    vector = loaded.encoder.encode(["text"])[0]
    loaded.update([(document("a", "text"), vector)], (), revision=R1)
    assert [hit.id for hit in loaded.search("text", k=1).hits] == ["tool:a"]


class _Renamed(HashEncoder):
    @property
    def id(self) -> str:
        return "another"


def test_a_snapshot_of_another_encoder_is_refused(shelf: SearchIndex, tmp_path: Path):
    shelf.save(tmp_path)
    with pytest.raises(SnapshotInvalid, match="made by hash-words/256"):
        SearchIndex.load(tmp_path, HashEncoder(128))
    with pytest.raises(SnapshotInvalid, match="the encoder is another"):
        SearchIndex.load(tmp_path, _Renamed())


def test_a_changed_index_answers_as_a_fresh_one_does(document: MakeDocument):
    words = ["time", "zone", "file", "list", "search", "web", "commit", "price"]
    rng = np.random.default_rng(11)

    def some(n: int) -> Document:
        return document(f"t{n:02}", " ".join(rng.choice(words, size=4)))

    index = _index([some(n) for n in range(30)])
    final: dict[str, Document] = {}
    for step in range(8):
        documents = [some(int(n)) for n in rng.choice(30, size=6, replace=False)]
        gone = {document(f"t{int(n):02}", "").id for n in rng.choice(30, size=3)}
        vectors = index.encoder.encode([d.text for d in documents])
        index.update(list(zip(documents, vectors, strict=True)), gone, revision=Revision(step))
        for id_ in gone:
            final.pop(id_, None)
        final |= {d.id: d for d in documents}
    untouched = set(index.ids()) - set(final)
    index.update([], untouched, revision=Revision(99))
    fresh = _index(list(final.values()))
    assert index.ids() == fresh.ids()
    for query in words:
        assert index.search(query, k=40).hits == fresh.search(query, k=40).hits


def test_a_task_of_two_steps_is_answered_step_by_step(shelf: SearchIndex):
    ranking = shelf.search("convert a time between zones and then record the changes", k=2)
    assert ranking.steps == ("convert a time between zones", "record the changes")
    assert set(ranking.ids) == {"tool:convert", "tool:commit"}
    assert {step for hit in ranking.hits for step in hit.steps} == {0, 1}
    whole = SearchOptions(split=False)
    assert shelf.search("convert a time and record the changes", k=2, options=whole).steps == ()


def test_steps_that_the_asker_gives_are_each_covered(shelf: SearchIndex):
    ranking = shelf.search(["convert a time", " ", "record changes"], k=2)
    assert ranking.steps == ("convert a time", "record changes")
    assert set(ranking.ids) == {"tool:convert", "tool:commit"}
    assert shelf.search(["", "  "], k=2).ids == []
    assert shelf.search(["convert a time"], k=1).ids == shelf.search("convert a time", k=1).ids


def test_scope_narrows_by_tags_and_behaviour():
    tools = [
        Tool(
            name=f"s__{name}",
            description="files",
            server=ServerName("s"),
            local_name=name,
            tags=tags,
            definition={"annotations": annotations},
        )
        for name, tags, annotations in (
            ("read", ("disk", "safe"), {"readOnlyHint": True}),
            ("write", ("disk",), {"destructiveHint": False}),
            ("erase", ("disk",), {"readOnlyHint": False, "destructiveHint": True}),
            ("silent", (), {}),
        )
    ]
    index = _index([render_document(tool) for tool in tools])

    def found(scope: Scope) -> set[str]:
        return {id_.removeprefix("tool:s__") for id_ in index.search("files", k=9, scope=scope).ids}

    assert found(Scope.of(tags=["disk", "safe"])) == {"read"}
    assert found(Scope.of(tags=["disk"], destructive=False)) == {"read", "write"}
    assert found(Scope.of(read_only=True)) == {"read"}
    assert found(Scope.of(destructive=False)) == {"read", "write"}
    assert found(Scope.of(destructive=True)) == {"erase", "silent"}
    assert found(Scope.of(tags=["none"])) == set()


class _Said:
    """Stands for a memory: says the same of every query."""

    def __init__(self, **worth: float) -> None:
        self.worth = {entry_id(EntryKind.TOOL, name): value for name, value in worth.items()}

    def evidence(self, *_: object, **__: object) -> dict[EntryId, float]:
        return self.worth


def _lessons(version: str, **worth: float) -> Lessons:
    memory = cast("QueryMemory", _Said(**worth))
    return Lessons(tenant="t", version=version, memory=memory, strength=1.0)


def test_what_was_learned_lifts_an_entry_for_those_it_was_learned_for(shelf: SearchIndex):
    query = "convert a time between zones"
    lifted = shelf.search(query, k=6, lessons=_lessons("1", commit=9.0))
    assert lifted.hits[0].id == "tool:commit"
    assert lifted.hits[0].signals["learned"].score == 9.0
    assert shelf.search(query, k=6).hits[0].id == "tool:convert", "not for the others"
    sunk = shelf.search(query, k=6, lessons=_lessons("2", convert=-9.0))
    assert sunk.hits[-1].id == "tool:convert"


def test_what_was_learned_adds_what_retrieval_missed_but_nothing_out_of_scope(
    document: MakeDocument,
):
    far = document("far", "entirely unlike", server="elsewhere")
    index = _index([far, *(document(f"t{n:03}", f"list files {n}") for n in range(150))])
    learned = _lessons("1", far=9.0, gone=9.0)
    assert index.search("list files", k=1).ids != ["tool:far"]
    assert index.search("list files", k=1, lessons=learned).ids == ["tool:far"]
    here = Scope.of(servers=[ServerName("s")])
    found = index.search("list files", k=200, scope=here, lessons=learned).ids
    assert "tool:far" not in found
    assert "tool:gone" not in found
