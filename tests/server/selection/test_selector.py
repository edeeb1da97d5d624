"""A search over a real store and index: what it finds, what it refuses, what it carries on."""

import statistics
import time
from collections.abc import Sequence
from typing import Any

import pytest

from toolcrib_embeddings import Hit, Ranking, SearchIndex, Signal
from toolcrib_embeddings.testing import HashEncoder
from toolcrib_registry.errors import InvalidInput, NotFound
from toolcrib_registry.types import EntryId, EntryKind, Revision
from toolcrib_server.selection.question import Filters, Rerank, Stages
from toolcrib_server.selection.selector import Selector

from .conftest import Bench, make_tool

pytestmark = pytest.mark.anyio


class Answering(SearchIndex):
    """An index that gives one answer, and keeps what it was asked."""

    def __init__(self, ranking: Ranking) -> None:
        super().__init__(HashEncoder())
        self.ranking = ranking
        self.asked: list[dict[str, Any]] = []

    @property
    def revision(self) -> Revision:
        return Revision(1)

    def search(self, query: str | Sequence[str], **options) -> Ranking:
        self.asked.append({"query": query, **options})
        return self.ranking


def over(bench: Bench, index: SearchIndex) -> Selector:
    async def opened() -> SearchIndex:
        return index

    return Selector(bench.store, opened)


async def test_the_best_comes_first_in_brief(bench):
    await bench.add(
        make_tool("clock", "now", description="Tell the time. " + "x" * 500),
        make_tool("mail", "send", description="Send a letter."),
    )
    answer = await bench.selector.search("send a letter")
    assert answer.query == "send a letter"
    assert answer.found[0].entry.name == "mail__send"
    assert answer.found[0].entry.arguments == {}
    assert (answer.searched, answer.revision) == (2, bench.store.head())
    assert answer.took_ms > 0
    assert all(len(found.entry.description) <= 300 for found in answer.found)


async def test_all_that_the_index_says_is_carried_on(bench):
    await bench.add(make_tool("clock", "now"), make_tool("clock", "zone"))
    hits = (
        Hit(
            EntryId("tool:clock__now"),
            1.5,
            {"dense": Signal(1, 0.5, 1.2), "name": Signal(2, 0.1)},
            alternatives=(EntryId("tool:other__now"), EntryId("model:a/b:c")),
            steps=(0, 1),
            likelihood=0.25,
        ),
        Hit(EntryId("tool:clock__zone"), 1.0, {}, required_by=(EntryId("tool:clock__now"),)),
    )
    ranking = Ranking(
        hits,
        steps=("a", "b"),
        step_likelihoods=(0.8, 0.1),
        likelihood=0.3,
        abstained=True,
        reranked=True,
    )
    index = Answering(ranking)
    stages = Stages(rerank=Rerank.ON, split=False, fold=False, dependencies=False)
    answer = await over(bench, index).search(["a", "b"], k=7, stages=stages)
    now, zone = answer.found
    assert (now.alternatives, now.steps, now.likelihood) == (("other__now", "a/b:c"), (0, 1), 0.25)
    assert now.signals["dense"].contribution == 1.2
    assert zone.required_by == ("clock__now",)
    assert (answer.query, answer.steps) == (("a", "b"), ("a", "b"))
    assert (answer.likelihood, answer.abstained, answer.reranked) == (0.3, True, True)
    assert answer.step_likelihoods == (0.8, 0.1)
    (asked,) = index.asked
    assert (asked["query"], asked["k"]) == (("a", "b"), 7)
    options = asked["options"]
    assert (options.rerank, options.split) == ("on", False)
    assert (options.fold, options.dependencies) == (False, False)


async def test_filters_become_the_scope_of_the_search(bench):
    await bench.add(make_tool("clock", "now", tags=("time",)))
    index = Answering(Ranking((Hit(EntryId("tool:clock__now"), 1.0, {}),)))
    selector = over(bench, index)
    await selector.search("x")
    await selector.search("x", filters=Filters.of(read_only=True, destructive=False))
    given = Filters.of(kinds=[EntryKind.TOOL], servers=["clock"], tags=["time"])
    await selector.search("x", filters=given)
    plain, safe, narrow = (asked["scope"] for asked in index.asked)
    assert (plain.kinds, plain.servers, plain.tags) == (None, None, None)
    assert (plain.read_only, plain.destructive) == (None, None)
    assert (safe.read_only, safe.destructive) == (True, False)
    assert (narrow.kinds, narrow.servers, narrow.tags) == ({"tool"}, {"clock"}, {"time"})


async def test_a_tag_of_servers_stands_for_them(bench):
    await bench.add(make_tool("clock", "now"), tags=("work",))
    await bench.add(make_tool("mail", "send"), tags=("work", "post"))
    await bench.add(make_tool("game", "play"))
    index = Answering(Ranking((Hit(EntryId("tool:clock__now"), 1.0, {}),)))
    selector = over(bench, index)
    for tags, servers in ((["work"], {"clock", "mail"}), (["work", "post"], {"mail"})):
        await selector.search("x", filters=Filters.of(tags=tags))
        assert index.asked[-1]["scope"].servers == servers
        assert index.asked[-1]["scope"].tags is None
    answer = await bench.selector.search("play", filters=Filters.of(tags=["post"]))
    assert [found.entry.name for found in answer.found] == ["mail__send"]


async def test_a_server_that_is_not_there_is_refused_with_near_names(bench):
    await bench.add(make_tool("clock", "now"))
    with pytest.raises(NotFound, match=r"No server is named 'clok'\. Did you mean: clock"):
        await bench.selector.search("now", filters=Filters.of(servers=["clok"]))


async def test_a_tag_that_nothing_has_is_refused_with_near_names(bench):
    await bench.add(make_tool("clock", "now", tags=("Date & Time",)), tags=("work",))
    selector = over(bench, Answering(Ranking()))
    said = r"No tag is named 'date & tim'\. Did you mean: Date & Time"
    with pytest.raises(NotFound, match=said):
        await selector.search("now", filters=Filters.of(tags=["date & tim"]))
    with pytest.raises(NotFound, match="Did you mean: work"):
        await selector.search("now", filters=Filters.of(tags=["Work"]))
    found = await selector.search("now", filters=Filters.of(tags=["Date & Time"]))
    assert found.found == ()
    assert not found.filters.is_empty


@pytest.mark.parametrize("query", ["", " \n", "\x00\x01", ["", " "], []])
async def test_what_asks_nothing_is_refused_before_the_index_opens(bench, query):
    with pytest.raises(InvalidInput):
        await bench.selector.search(query)
    assert bench.indexer.revision is None


async def test_binary_among_the_words_does_no_harm(bench):
    await bench.add(make_tool("mail", "send", description="Send a letter."))
    noise = "\x00\x01\udcff\x1b[31m send \x07 a\u202e letter" + "\0" * 500
    answer = await bench.selector.search(noise)
    assert answer.found[0].entry.name == "mail__send"


async def test_a_hundred_thousand_characters_are_an_answer(bench):
    await bench.add(make_tool("mail", "send", description="Send a letter."))
    answer = await bench.selector.search("send a letter " * 7_000)
    assert answer.found[0].entry.name == "mail__send"


async def test_a_k_beyond_the_corpus_gives_all_there_is(bench):
    await bench.add(make_tool("clock", "now"), make_tool("mail", "send"))
    answer = await bench.selector.search("anything", k=1_000, stages=Stages(fold=False))
    assert len(answer.found) == 2
    with pytest.raises(InvalidInput, match="from 1 to 1000"):
        await bench.selector.search("anything", k=10_000)


async def test_an_empty_registry_finds_nothing_and_says_so(bench):
    answer = await bench.selector.search("anything")
    assert (answer.found, answer.searched) == ((), 0)


async def test_an_entry_that_went_since_is_left_out(bench):
    await bench.add(make_tool("clock", "now"), make_tool("clock", "zone"))
    bench.store.set_entry_enabled(EntryKind.TOOL, "clock__now", enabled=False, actor="test")
    found = (await bench.selector.search("now")).found
    assert [one.entry.name for one in found] == ["clock__zone"]


async def test_the_same_question_has_the_same_answer_until_the_registry_changes(bench):
    await bench.add(make_tool("clock", "now"))
    first = await bench.selector.search("now", k=3)
    assert await bench.selector.search("now", k=3) is first
    assert await bench.selector.search(["now"], k=3) is first
    assert await bench.selector.search("now", k=4) is not first
    await bench.add(make_tool("clock", "later"))
    later = await bench.selector.search("now", k=3)
    assert later.revision > first.revision


async def test_a_question_that_was_asked_before_takes_microseconds(bench):
    await bench.add(make_tool("clock", "now"))
    took: list[float] = []
    for _ in range(300):
        began = time.perf_counter()
        await bench.selector.search("now")
        took.append(time.perf_counter() - began)
    assert statistics.median(took[1:]) < 200e-6


async def test_what_was_found_is_read_in_full(bench):
    await bench.add(make_tool("clock", "now", description="word " * 200))
    answer = await bench.selector.search("now")
    (entry,) = (await bench.selector.read(answer.found)).values()
    assert entry.description == "word " * 200
    bench.store.remove_server("clock", actor="test")
    assert await bench.selector.read(answer.found) == {}


async def test_memory_that_was_warmed_is_renewed_after_a_great_change(bench):
    await bench.add(make_tool("clock", "now"))
    shelf = bench.selector._shelf
    await bench.selector.renew()
    assert not shelf.is_full
    await bench.selector.warm()
    assert shelf.is_full
    await bench.add(*(make_tool("many", f"t{i}") for i in range(5_001)))
    await bench.selector.search("now")
    assert not shelf.is_full
    await bench.selector.renew()
    assert shelf.is_full
    assert len(shelf) == 5_002
