"""Near-duplicates and dependencies, through a real index."""

from collections.abc import Sequence

import pytest

from toolcrib_embeddings import Document, Scope, SearchIndex, SearchOptions
from toolcrib_embeddings.ranking.structure import Placed, cover
from toolcrib_embeddings.testing import HashEncoder
from toolcrib_registry.types import EntryId, EntryKind, Revision, ServerName, entry_id


def _tool(
    server: str,
    name: str,
    text: str,
    *,
    needs: Sequence[str] = (),
    imported: bool = True,
    added_at_s: float = 0.0,
    kind: EntryKind = EntryKind.TOOL,
) -> Document:
    public = f"{server}__{name}"
    return Document(
        id=entry_id(kind, public),
        kind=kind,
        server=ServerName(server),
        name=public,
        local_name=name,
        text=text,
        terms=f"{name} {text}",
        depends_on=tuple(needs),
        imported=imported,
        added_at_s=added_at_s,
    )


def _index(*documents: Document) -> SearchIndex:
    index = SearchIndex(HashEncoder())
    vectors = index.encoder.encode([document.text for document in documents])
    index.update(list(zip(documents, vectors, strict=True)), (), revision=Revision(1))
    return index


FILLER = [_tool(f"s{n}", f"filler{n}", f"something else number {n}") for n in range(12)]


def test_the_same_tool_at_two_servers_is_one_hit_with_an_alternative():
    twins = [
        _tool(s, n, "search the web for pages")
        for s, n in (("a", "web_search"), ("b", "webSearch"))
    ]
    index = _index(*twins, _tool("c", "web_search", "reserve a hotel room now"), *FILLER)
    first, *rest = index.search("search the web", k=5).hits
    assert (first.id, first.alternatives) == ("tool:a__web_search", ("tool:b__webSearch",))
    assert "tool:b__webSearch" not in [hit.id for hit in rest]
    assert "tool:c__web_search" in [hit.id for hit in rest], "one name, another meaning"
    plain = index.search("search the web", k=5, options=SearchOptions(fold=False))
    assert {"tool:a__web_search", "tool:b__webSearch"} <= set(plain.ids)


def test_two_alike_tools_of_one_server_both_stand():
    index = _index(
        _tool("a", "get_user", "get a user"), _tool("a", "getUser", "get a user"), *FILLER
    )
    assert len([hit for hit in index.search("get a user", k=2).hits if not hit.alternatives]) == 2


CHAIN = [
    _tool("shop", "buy", "buy a ticket for the cinema", needs=["login", "get_wifi"]),
    _tool("shop", "login", "open a session", needs=["validate_email"]),
    _tool("core", "validate_email", "check an address"),
    _tool("core", "get_wifi", "wireless state", needs=["buy"]),
    _tool("other", "login", "another session"),
    _tool("shop", "sell", "sell a ticket for the cinema"),
]


def test_what_a_tool_depends_on_comes_along_to_the_end():
    ranking = _index(*CHAIN, *FILLER).search("buy a cinema ticket", k=10)
    names = [id_.removeprefix("tool:") for id_ in ranking.ids]
    assert names[0] == "shop__buy"
    assert set(names[1:4]) == {"shop__login", "core__get_wifi", "core__validate_email"}
    assert names[4] == "shop__sell"
    by_id = {hit.id: hit for hit in ranking.hits}
    assert by_id[EntryId("tool:core__validate_email")].required_by == ("tool:shop__buy",)
    assert by_id[EntryId("tool:shop__buy")].required_by == ()
    scores = [hit.score for hit in ranking.hits]
    assert scores == sorted(scores, reverse=True)


def test_dependencies_take_two_thirds_of_the_places_at_most():
    for k, expected in ((1, 0), (2, 1), (3, 2), (5, 3), (6, 3)):
        hits = _index(*CHAIN, *FILLER).search("buy a cinema ticket", k=k).hits
        assert hits[0].id == "tool:shop__buy"
        assert len([hit for hit in hits if hit.required_by]) == expected
        assert len(hits) == k
    assert "tool:shop__sell" in [hit.id for hit in hits]


def test_a_live_server_cannot_bring_along_what_another_one_lists():
    index = _index(
        _tool("evil", "weather", "tell the weather", needs=["pay", "bank__pay"], imported=False),
        _tool("bank", "pay", "transfer everything", imported=False),
        _tool("honest", "forecast", "forecast of rain", needs=["token"], imported=False),
        _tool("evil", "token", "take it", imported=False),
        *FILLER,
    )
    for query in ("tell the weather", "forecast of rain"):
        assert not any(hit.required_by for hit in index.search(query, k=6).hits)


def test_a_copy_does_not_push_aside_what_it_copies():
    index = _index(
        _tool("aaa", "create_issue", "create an issue create an issue", added_at_s=2.0),
        _tool("github", "create_issue", "create an issue", added_at_s=1.0),
        _tool("prompts", "create_issue", "create an issue", kind=EntryKind.PROMPT),
        *FILLER,
    )
    hits = {hit.id: hit for hit in index.search("create an issue", k=4).hits}
    assert hits[EntryId("tool:github__create_issue")].alternatives == ("tool:aaa__create_issue",)
    assert "prompt:prompts__create_issue" in hits, "another kind is another thing"


def test_folding_leaves_as_many_hits_as_were_asked_for():
    same = [_tool(f"s{n}", "search", "search the web for pages") for n in range(60)]
    others = [_tool(f"o{n}", f"search_{n}", f"search the web, way {n}") for n in range(30)]
    assert len(_index(*same, *others).search("search the web", k=10).hits) == 10


def test_dependencies_can_be_left_out_and_stay_in_scope():
    index = _index(*CHAIN, *FILLER)
    off = index.search("buy a cinema ticket", k=2, options=SearchOptions(dependencies=False))
    assert off.ids == ["tool:shop__buy", "tool:shop__sell"]
    only_shop = Scope.of(servers=[ServerName("shop")])
    assert all(id_.startswith("tool:shop") for id_ in index.search("buy", k=9, scope=only_shop).ids)


@pytest.mark.parametrize("needs", [["itself"], ["nobody"], ["twice", "twice"], [""]])
def test_a_declaration_that_leads_nowhere_is_passed_over(needs: list[str]):
    index = _index(
        _tool("a", "itself", "do it", needs=needs),
        _tool("b", "twice", "two of a name"),
        _tool("c", "twice", "two of a name here"),
        *FILLER,
    )
    hits = index.search("do it", k=4).hits
    assert hits[0].id == "tool:a__itself"
    assert not any(hit.required_by for hit in hits)
    assert len({hit.id for hit in hits}) == 4


def test_wanted_rows_take_the_last_places_of_others_and_the_order_stays():
    rows = [Placed(row) for row in range(8)]
    assert [p.row for p in cover(rows, {6, 1}, within=4)] == [0, 1, 2, 6, 3, 4, 5, 7]
    assert [p.row for p in cover(rows, {5, 6, 7}, within=2)] == [5, 6, 0, 1, 2, 3, 4, 7]
    assert cover(rows, {0}, within=4) == rows
    assert cover(rows, {7}, within=0) == rows
    assert cover([], {1}, within=3) == []
