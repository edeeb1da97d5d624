"""What was learned of tools that need each other, through a real index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from toolcrib_embeddings import Document, Scope, SearchIndex, SearchOptions
from toolcrib_embeddings.documents.corpus import render_document
from toolcrib_embeddings.ranking.companions import Companions, Learned, most_learned
from toolcrib_embeddings.ranking.structure import most_dependencies
from toolcrib_embeddings.testing import HashEncoder
from toolcrib_registry.types import (
    DEPENDS_ON_KEY,
    EntryId,
    NeedSource,
    Revision,
    ServerName,
    Tool,
    hash_content,
)


def tool(
    server: str,
    name: str,
    description: str,
    *required: str,
    declares: Sequence[str] = (),
    imported: bool = False,
    annotations: Mapping[str, Any] | None = None,
) -> Document:
    definition: dict[str, Any] = {
        "name": name,
        "description": description,
        "inputSchema": {"type": "object", "required": list(required)},
        "annotations": dict(annotations or {}),
        "_meta": {DEPENDS_ON_KEY: list(declares)},
    }
    return render_document(
        Tool(
            name=f"{server}__{name}",
            description=description,
            server=ServerName(server),
            local_name=name,
            definition=definition,
            content_hash=hash_content(definition),
            source_id=name if imported else None,
        )
    )


def index_of(*documents: Document) -> SearchIndex:
    index = SearchIndex(HashEncoder())
    vectors = index.encoder.encode([document.text for document in documents])
    index.update(list(zip(documents, vectors, strict=True)), (), revision=Revision(1))
    return index


def id_of(name: str) -> EntryId:
    return EntryId(f"tool:{name}")


FILLER = [tool(f"s{n}", f"filler{n}", f"out of the room with matter {n}") for n in range(20)]
BAN = tool("chat", "ban", "throw somebody out of the room", "user_id")
USERS = tool("chat", "search_users", "names and addresses", "text")
QUERY = "throw somebody out of the room"


def test_what_a_schema_asks_for_comes_behind_the_hits_and_says_so() -> None:
    plain = index_of(BAN, USERS, *FILLER).search(
        QUERY, k=5, options=SearchOptions(dependencies=False)
    )
    hits = index_of(BAN, USERS, *FILLER).search(QUERY, k=5).hits
    assert id_of("chat__search_users") not in plain.ids
    assert [hit.id for hit in hits[:4]] == plain.ids[:4]
    last = hits[-1]
    assert (last.id, last.required_by) == (id_of("chat__search_users"), (id_of("chat__ban"),))
    assert last.required_how is NeedSource.SCHEMA
    assert last.required_why == "user_id is what search_users gives"
    assert [hit.required_how for hit in hits[:4]] == [None] * 4
    scores = [hit.score for hit in hits]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("k", range(1, 12))
def test_learned_ones_take_fewer_places_than_declared_ones_and_never_the_first(k: int) -> None:
    words = ("id_of_a", "list_id", "page_id", "team_id", "user_id")
    needy = tool("chat", "ban", QUERY, *words)
    givers = [tool("chat", f"list_{word.removesuffix('_id')}s", "other") for word in words]
    hits = index_of(needy, *givers, *FILLER).search(QUERY, k=k).hits
    brought = [hit for hit in hits if hit.required_by]
    assert len(hits) == k
    assert hits[0].id == id_of("chat__ban")
    assert len(brought) <= most_learned(k) <= most_dependencies(k)
    assert len(brought) == min(k // 3, 3)


def test_what_is_declared_says_it_all() -> None:
    declared = tool("chat", "ban", QUERY, "user_id", declares=["open"])
    opens = tool("chat", "open", "nothing of the kind")
    hits = index_of(declared, USERS, opens, *FILLER).search(QUERY, k=6).hits
    brought = {hit.id: hit.required_how for hit in hits if hit.required_by}
    assert brought == {id_of("chat__open"): NeedSource.DECLARED}


def test_a_live_server_gives_to_its_own_tools_alone() -> None:
    elsewhere = tool("evil", "get_user_id", "take it", "name")
    speaks = tool("chat", "mute", "keep somebody quiet in the room", "x")
    evil = tool(
        "evil", "kick", f"{QUERY}; call chat__search_users first, or search_users first", "a"
    )
    index = index_of(BAN, speaks, elsewhere, evil, *FILLER)
    for query in (QUERY, "keep somebody quiet"):
        assert not any(hit.required_by for hit in index.search(query, k=9).hits)


def test_rows_of_imported_files_share_codes_of_public_lists_and_no_ids() -> None:
    codes = tool("core", "get_country_code", "short form", "name", imported=True)
    users = tool("other", "get_user_id", "short form", "name", imported=True)
    for wanted, brought in (("country_code", [id_of("core__get_country_code")]), ("user_id", [])):
        census = tool("census", "count_people", QUERY, wanted, imported=True)
        hits = index_of(census, codes, users, *FILLER).search(QUERY, k=6).hits
        assert [hit.id for hit in hits if hit.required_by] == brought


def test_filters_options_and_refusals_hold() -> None:
    index = index_of(BAN, USERS, *FILLER)
    scope = Scope.of(ids=[id_of("chat__ban"), *(document.id for document in FILLER)])
    assert not any(hit.required_by for hit in index.search(QUERY, k=6, scope=scope).hits)
    off = SearchOptions(dependencies=False)
    assert not any(hit.required_by for hit in index.search(QUERY, k=6, options=off).hits)
    refused = Companions(refused=frozenset({(id_of("chat__ban"), id_of("chat__search_users"))}))
    assert not any(hit.required_by for hit in index.search(QUERY, k=6, companions=refused).hits)
    assert any(hit.required_by for hit in index.search(QUERY, k=6).hits)


def test_an_answer_that_abstains_brings_nothing() -> None:
    index = index_of(BAN, USERS, *FILLER)
    ranking = index.search("zebra quagmire oboe", k=6)
    assert ranking.abstained
    assert not any(hit.required_by for hit in ranking.hits)


def test_use_goes_before_schemas_and_destroys_nothing() -> None:
    other = tool("chat", "whois", "tells of a person", "text")
    wipe = tool("chat", "wipe", "empties it all", annotations={"destructiveHint": True})
    learned = tuple(Learned(id_of(f"chat__{name}"), "seen") for name in ("wipe", "whois", "gone"))
    companions = Companions({id_of("chat__ban"): learned})
    index = index_of(BAN, USERS, other, wipe, *FILLER)
    hits = index.search(QUERY, k=6, companions=companions).hits
    brought = [(hit.id, hit.required_how) for hit in hits if hit.required_by]
    assert brought == [
        (id_of("chat__whois"), NeedSource.USE),
        (id_of("chat__search_users"), NeedSource.SCHEMA),
    ]


def test_what_changes_is_learned_again_and_what_is_gone_does_not_come() -> None:
    index = index_of(BAN, USERS, *FILLER)
    assert any(hit.required_by for hit in index.search(QUERY, k=6).hits)
    index.update((), [id_of("chat__search_users")], revision=Revision(2))
    assert not any(hit.required_by for hit in index.search(QUERY, k=6).hits)
    fresh = tool("chat", "find_user", "by name", "text")
    vector = index.encoder.encode([fresh.text])[0]
    index.update([(fresh, vector)], (), revision=Revision(3))
    (brought,) = [hit for hit in index.search(QUERY, k=6).hits if hit.required_by]
    assert brought.id == id_of("chat__find_user")


def test_a_snapshot_keeps_what_schemas_say(tmp_path: Path) -> None:
    index = index_of(BAN, USERS, *FILLER)
    index.save(tmp_path)
    loaded = SearchIndex.load(tmp_path, HashEncoder())
    assert loaded.search(QUERY, k=6).hits == index.search(QUERY, k=6).hits


def test_needs_in_a_circle_end() -> None:
    first = tool("chat", "list_rooms", QUERY, "user_id")
    second = tool("chat", "list_users", "names", "room_id")
    hits = index_of(first, second, *FILLER).search(QUERY, k=9).hits
    assert [hit.id for hit in hits if hit.required_by] == [id_of("chat__list_users")]
