"""Which tool of a server gives what another one asks for."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest

from toolcrib_embeddings.documents.needs import read_facts
from toolcrib_embeddings.documents.needs_graph import Graph, Member
from toolcrib_embeddings.documents.needs_links import Links, derive
from toolcrib_registry.types import EntryId, ServerName


def tool(
    name: str,
    *required: str,
    says: str = "",
    gives: Sequence[str] = (),
    destructive: bool = False,
    **described: str,
) -> Member:
    names = [*required, *described]
    definition = {
        "inputSchema": {
            "properties": {one: {"description": described.get(one, "")} for one in names},
            "required": names,
        },
        "outputSchema": {"properties": {one: {} for one in gives}},
    }
    return Member(name, read_facts(name, says, definition), destructive)


def needs(*members: Member) -> dict[str, list[str]]:
    graph = Graph(members)
    found = {
        member.name: [members[need.place].name for need in graph.needs(place)]
        for place, member in enumerate(members)
    }
    return {name: its for name, its in found.items() if its}


@pytest.mark.parametrize(
    ("giver", "taker"),
    [
        (tool("get_user_id", "email"), tool("ban", "user_id")),
        (tool("search_users", "text"), tool("ban", "user_id")),
        (tool("listAllUsers"), tool("ban", "userIds")),
        (tool("find_project_members", "project"), tool("mail", "member_id")),
        (tool("create_session"), tool("click", "session_id")),
        (tool("acme_user_login", "name", "password"), tool("acme_book", "session_id", "seat")),
        (tool("list_issues"), tool("close_issue", "id")),
        (tool("get_country_code", "country"), tool("population", "country_code")),
        (tool("start_export", "table"), tool("get_export", "export_id")),
        (tool("crm_search_contacts", "text"), tool("mail_write", "contact_id")),
        (tool("make_it", "what"), tool("bend_it", handle="What make_it gives, from make_it.")),
        (tool("plan_trip", "to"), tool("buy", "seat", says="Call plan_trip first.")),
        (tool("stats", "day", gives=["reportId"]), tool("mail", "report_id")),
    ],
)
def test_what_is_hard_to_know_is_given_by(giver: Member, taker: Member) -> None:
    other = tool("ping", "host")
    assert needs(other, taker, giver)[taker.name] == [giver.name]


@pytest.mark.parametrize(
    "members",
    [
        [tool("get_user", "user_id"), tool("ban", "user_id")],
        [tool("update_user", "name"), tool("ban", "user_id")],
        [tool("get_text"), tool("write", "text")],
        [tool("list_projects"), tool("create_project", "project_id")],
        [tool("get_trending_coins"), tool("price", "coin_id")],
        [tool("search_users", "text"), tool("write", "message", "api_key")],
        [tool("search_user_groups", "text"), tool("ban", "user_id")],
        [tool("search_users", "text", destructive=True), tool("ban", "user_id")],
        [tool("yelp_get_user", "name"), tool("mail_close_user", "user_id")],
        [tool("create_user", "id"), tool("create_user", "id")],
        [tool("book", "session_id"), tool("acme_login"), tool("bmce_login")],
        [tool(f"stats_{n}", "day", gives=["reportId"]) for n in "abcd"] + [tool("m", "report_id")],
        [tool("buy", "seat", says="Call plan_trip first."), tool("planner", "to")],
        [tool("buy", "seat", says="Call wipe_all first."), tool("wipe_all", destructive=True)],
        [],
    ],
)
def test_what_does_not_give_it_is_left_alone(members: list[Member]) -> None:
    assert needs(*members) == {}


def test_a_search_is_better_than_a_list_and_both_than_making_a_new_one() -> None:
    make, look, browse = tool("create_page", "title"), tool("find_page", "t"), tool("list_pages")
    taker = tool("print", "page_id")
    assert needs(make, browse, look, taker)["print"] == ["find_page"]
    assert needs(make, browse, taker)["print"] == ["list_pages"]
    assert needs(make, taker)["print"] == ["create_page"]


def test_the_login_that_is_named_is_the_one() -> None:
    logins = [tool(f"{who}_user_login", "password") for who in ("acme", "bmce", "cmde")]
    assert needs(tool("bmce_check_in", "session_id"), *logins) == {
        "bmce_check_in": ["bmce_user_login"]
    }


def test_three_at_most_and_the_surest_first() -> None:
    taker = tool("go", "b_id", "c_id", "d_id", "e_id", says="Call prepare_it first.")
    makers = [tool("prepare_it"), *(tool(f"list_{letter}") for letter in "bcde")]
    assert needs(taker, *makers)["go"] == ["prepare_it", "list_b", "list_c"]


def test_a_server_of_ten_thousand_alike_costs_ten_times_one_of_a_thousand() -> None:
    def cost_s(size: int) -> float:
        members = [
            tool(f"list_user_{'x' * (n % 50)}_users", "user_id", "team_id") for n in range(size)
        ]
        began = time.process_time()
        derive([(EntryId(f"tool:{n}"), member) for n, member in enumerate(members)])
        return time.process_time() - began

    few, many = min(cost_s(1_000) for _ in range(3)), cost_s(10_000)
    assert many < 30 * few
    assert many < 5


def test_a_server_is_read_once_until_it_changes() -> None:
    asked: list[str] = []

    def read() -> list[tuple[EntryId, Member]]:
        asked.append("")
        return [(EntryId("l"), tool("list_users")), (EntryId("b"), tool("ban", "user_id"))]

    one, other = ServerName("one"), ServerName("other")
    links = Links()
    for _ in range(2):
        assert links.find(one, EntryId("b"), read) == (("l", "user_id is what list_users gives"),)
    kept = links.without({other})
    assert kept.find(one, EntryId("l"), read) == ()
    assert len(asked) == 1
    kept.without({one}).find(one, EntryId("b"), read)
    assert len(asked) == 2
