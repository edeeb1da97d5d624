"""The blocking client over a real socket: everything the contract holds."""

import pytest

from toolcrib_clients import Toolcrib
from toolcrib_registry.errors import (
    AlreadyExists,
    EntryChanged,
    InvalidArguments,
    InvalidInput,
    NotAuthenticated,
    NotFound,
    NotPermitted,
    ToolcribError,
    UpstreamUnavailable,
)
from toolcrib_registry.wire import ConstraintsIn, ModelIn, ToolIn

KEY = "admin-key-0123456789"
CATALOGUE = {"name": "handbook", "transport": {"type": "catalog"}}


@pytest.fixture
def crib(url):
    with Toolcrib(url, api_key=KEY) as crib:
        yield crib


def test_servers_are_added_changed_switched_and_removed(crib):
    assert crib.add_server(CATALOGUE).name == "handbook"
    assert crib.patch_server("handbook", {"tags": ["a"]}).tags == ["a"]
    assert crib.put_server({**CATALOGUE, "call_timeout_s": 5}).call_timeout_s == 5
    assert crib.get_server("handbook").tags == []
    assert not crib.disable_server("handbook").enabled
    assert crib.enable_server("handbook").enabled
    assert [server.name for server in crib.list_servers()] == ["handbook", "live"]
    crib.remove_server("handbook")
    assert [server.name for server in crib.list_servers()] == ["live"]


def test_a_tool_is_approved_and_a_policy_kept(crib):
    crib.add_server({**CATALOGUE, "onChange": "quarantine"})
    assert crib.get_server("handbook").on_change == "quarantine"
    name = crib.add_tool({"server": "handbook", "name": "report", "description": "File it."}).name
    approved = crib.approve_tool(name)
    assert (approved.trust, approved.marks) == ("trusted", [])
    with pytest.raises(NotFound):
        crib.approve_tool("handbook__nothing")
    crib.disable_tool(name)
    with pytest.raises(EntryChanged):
        crib.approve_tool(name, revision=approved.revision)
    assert crib.approve_tool(name, revision=crib.get_tool(name).revision).trust == "trusted"


def test_tools_are_added_found_called_switched_and_removed(crib):
    crib.add_server(CATALOGUE)
    tool = crib.add_tool(ToolIn(server="handbook", name="expenses", description="File them."))
    hits = crib.search("file expenses", kinds=["tool"], servers=["handbook"], k=1).hits
    assert [hit.name for hit in hits] == [tool.name]
    arguments = {"trip": None, "days": [1, 2]}
    answer = crib.call(tool.name, arguments, timeout_s=4)
    assert answer.structured_content == arguments
    assert "timeout 4.0" in answer.content[0]["text"]
    assert not crib.disable_tool(tool.name).enabled
    assert crib.search("file expenses").hits == []
    assert crib.enable_tool(tool.name).enabled
    assert crib.get_tool(tool.name).definition == tool.definition
    assert crib.get_entry("tool", tool.name).id == tool.id
    assert [entry.name for entry in crib.list_entries("tool", server="handbook")] == [tool.name]
    crib.remove_tool(tool.name)
    assert list(crib.list_tools(text="expenses")) == []


def test_a_search_carries_every_option_there_and_every_field_back(crib):
    crib.add_server({**CATALOGUE, "tags": ["work"]})
    for name in ("expenses", "holidays"):
        crib.add_tool({"server": "handbook", "name": name, "description": f"File {name}."})
    found = crib.search(
        ["file expenses", "file holidays"],
        k=4,
        kinds=["tool"],
        servers=["handbook"],
        tags=["work"],
        detail="full",
        max_tokens=5_000,
        rerank="off",
        split=False,
        fold=False,
        dependencies=False,
        explain=True,
        group_by="server",
    )
    assert {hit.name for hit in found.hits} == {"handbook__expenses", "handbook__holidays"}
    assert found.query == ["file expenses", "file holidays"]
    assert [(group.server, len(group.names)) for group in found.groups] == [("handbook", 2)]
    assert found.hits[0].definition["name"] in {"expenses", "holidays"}
    assert (found.left_out, found.reranked) == (0, False)
    assert isinstance(found.abstained, bool)
    assert found.took_ms > 0
    assert crib.search("file expenses", read_only=True).hits == []
    assert crib.search("file expenses", destructive=False).hits == []
    with pytest.raises(NotFound, match="Did you mean: work"):
        crib.search("file expenses", tags=["wrk"])
    with pytest.raises(NotFound, match="Did you mean: handbook"):
        crib.search("file expenses", servers=["handbok"])


def test_models_are_registered_chosen_switched_and_removed(crib):
    name = "acme/legal/summarizer"
    crib.add_model(
        ModelIn.parse(
            {"name": name, "offers": [{"provider": "acme", "price_in_usd": 0, "priceOutUsd": 1}]}
        )
    )
    crib.put_model({"name": "acme/dear", "offers": [{"provider": "acme", "priceInUsd": 9}]})
    assert [model.name for model in crib.list_models()] == ["acme/dear", name]
    found = crib.select("summarise", constraints=ConstraintsIn(max_price_in_usd=1))
    assert [choice.model for choice in found.choices] == [name]
    assert found.exclusions[0].violations[0].source == "api"
    assert crib.get_model(name).offers[0].price_in_usd.value == 0
    assert not crib.disable_model(name).enabled
    assert crib.select("summarise", constraints={"max_price_in_usd": 1}).choices == []
    assert crib.enable_model(name).enabled
    crib.remove_model(name)
    with pytest.raises(NotFound):
        crib.get_model(name)


def test_syncs_and_status_and_readiness(crib):
    assert [report.server for report in crib.sync(["live"]).reports] == ["live"]
    assert len(crib.sync().reports) == 1
    assert crib.sync_status().servers == 1
    assert crib.ready().ready


def test_listings_and_the_log_are_read_to_their_end_page_by_page(crib, deps):
    models = [ModelIn(name=f"m{i:04}") for i in range(1005)]
    from toolcrib_registry.types import Model

    deps.store.put_models([Model(name=model.name) for model in models], actor="test")
    assert len(list(crib.list_models())) == 1005
    revisions = [change.revision for change in crib.list_changes()]
    assert revisions == list(range(1, deps.store.head() + 1))
    assert len(revisions) > 1000
    assert list(crib.list_changes(since=revisions[-1])) == []
    assert len(list(crib.list_changes(server="live"))) == 1


# --- errors ----------------------------------------------------------------------------------


def test_errors_come_back_as_what_they_were(crib):
    with pytest.raises(NotFound, match="Did you mean: live") as absent:
        crib.get_server("liv")
    assert (absent.value.what, absent.value.name, absent.value.near) == ("server", "liv", ("live",))
    crib.add_server(CATALOGUE)
    with pytest.raises(AlreadyExists) as taken:
        crib.add_server(CATALOGUE)
    assert taken.value.name == "handbook"
    with pytest.raises(UpstreamUnavailable) as down:
        crib.call("down")
    assert (down.value.server, down.value.retry_after_s) == ("clock", 3)
    with pytest.raises(InvalidArguments) as fussy:
        crib.call("fussy")
    assert fussy.value.problems[0].path == "zone"
    assert fussy.value.tool == "fussy"
    command = {"name": "x", "transport": {"type": "stdio", "command": "true"}}
    with pytest.raises(NotPermitted, match="TOOLCRIB_ALLOW_STDIO_REGISTRATION"):
        crib.add_server(command)


def test_a_mistake_is_refused_before_it_is_sent():
    with Toolcrib("http://127.0.0.1:9") as crib:
        with pytest.raises(InvalidInput, match="maxPriceInUsd"):
            crib.select("x", constraints={"max_price_usd": 1})
        with pytest.raises(InvalidInput, match=r"^query is empty\.$"):
            crib.search("")
        with pytest.raises(InvalidInput, match="query"):
            crib.search(["x"] * 17)
        with pytest.raises(InvalidInput, match="k"):
            crib.search("x", k=10_000)
        with pytest.raises(InvalidInput, match="rerank"):
            crib.search("x", rerank="maybe")  # pyright: ignore[reportArgumentType]  # the mistake


def test_a_key_is_taken_from_the_environment(url, monkeypatch):
    monkeypatch.setenv("TOOLCRIB_URL", url + "/")
    with Toolcrib() as nobody, pytest.raises(NotAuthenticated):
        nobody.sync_status()
    monkeypatch.setenv("TOOLCRIB_API_KEY", KEY)
    with Toolcrib() as known:
        assert known.sync_status().servers == 1
    with Toolcrib(api_key="r" * 16) as reader, pytest.raises(NotPermitted):
        reader.sync()


def test_nobody_there_is_said_with_the_address():
    with (
        Toolcrib("http://127.0.0.1:9", timeout_s=5) as crib,
        pytest.raises(UpstreamUnavailable, match=r"127\.0\.0\.1:9.*toolcrib serve"),
    ):
        crib.ready()


def test_an_answer_of_something_else_is_said(deps):
    import httpx

    def page(request):
        status = 200 if request.url.path == "/readyz" else 502
        return httpx.Response(status, text="<html>", request=request)

    with Toolcrib("http://x", transport=httpx.MockTransport(page)) as crib:
        with pytest.raises(ToolcribError, match="something else"):
            crib.ready()
        with pytest.raises(ToolcribError, match="502 without saying why"):
            crib.sync_status()


def test_a_server_that_is_too_slow_is_said():
    import socket

    from toolcrib_registry.errors import UpstreamTimeout

    with socket.create_server(("127.0.0.1", 0)) as deaf:
        port = deaf.getsockname()[1]
        with (
            Toolcrib(f"http://127.0.0.1:{port}", timeout_s=0.2) as crib,
            pytest.raises(UpstreamTimeout, match=r"within 0\.2 s"),
        ):
            crib.ready()
