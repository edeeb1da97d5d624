"""Search, selection, calls, syncs, the change log and health over HTTP."""

from dataclasses import replace
from functools import partial

import httpx
import pytest

from toolcrib_registry.errors import (
    ArgumentProblem,
    InvalidArguments,
    ResultTooLarge,
    StoreBusy,
    UpstreamProtocolError,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from toolcrib_server.rest.app import build_api

pytestmark = pytest.mark.anyio


async def test_search_says_what_found_each_hit(api):
    api.add_tools("desk", "stapler", "lamp")
    answer = (await api.http.post("/api/v1/search", json={"query": "stapler", "k": 1})).json()
    (hit,) = answer["hits"]
    assert hit["name"] == "desk__stapler"
    assert hit["server"] == "desk"
    assert hit["signals"]["lexical"]["rank"] == 1
    assert answer["revision"] == api.deps.store.head()
    assert answer["searched"] == 2


async def test_search_by_url_answers_as_search_by_body_does(api):
    api.add_tools("desk", "stapler", "lamp")
    body = {"query": "lamp", "kinds": ["tool"], "servers": ["desk"], "detail": "full"}
    by_body = await api.http.post("/api/v1/search", json=body)
    params = {"query": "lamp", "kind": "tool", "server": "desk", "detail": "full"}
    by_url = await api.http.get("/api/v1/search", params=params)
    assert by_url.json() == by_body.json()
    assert by_url.json()["hits"][0]["definition"]["name"] == "lamp"


async def test_detail_decides_how_much_is_said(api):
    api.add_tools("desk", "stapler")
    said = {}
    for detail in ("name", "brief", "full"):
        body = {"query": "stapler", "detail": detail}
        (said[detail],) = (await api.http.post("/api/v1/search", json=body)).json()["hits"]
    assert said["name"]["description"] is None
    assert said["brief"]["description"] == "stapler of desk"
    assert said["brief"]["definition"] is None
    assert said["full"]["definition"]["inputSchema"] == {}


async def test_a_long_answer_is_cut_to_the_room_there_is(api):
    api.add_tools("desk", *(f"stapler{i}" for i in range(20)))
    body = {"query": "stapler", "k": 20, "maxTokens": 200}
    answer = (await api.http.post("/api/v1/search", json=body)).json()
    assert 0 < len(answer["hits"]) < 20
    assert answer["leftOut"] == 20 - len(answer["hits"])
    assert sum(len(str(hit)) for hit in answer["hits"]) < 2 * 4 * 200


@pytest.mark.parametrize("body", [{"query": ""}, {"query": "   "}, {"query": "x", "k": 0}, {}])
async def test_a_query_that_asks_nothing_is_refused(api, body):
    assert (await api.http.post("/api/v1/search", json=body)).status_code == 400


async def test_selection_holds_its_limits_and_explains_what_it_excluded(api):
    for name, price in (("cheap", 1), ("dear", 9), ("dark", None)):
        offer = {"provider": "p", "priceInUsd": price}
        await api.http.post("/api/v1/models", json={"name": name, "offers": [offer]})
    body = {"task": "anything", "constraints": {"maxPriceInUsd": 2}}
    answer = (await api.http.post("/api/v1/select", json=body)).json()
    assert [choice["model"] for choice in answer["choices"]] == ["cheap"]
    assert answer["choices"][0]["offer"]["priceInUsd"]["value"] == 1
    violations = {e["model"]: e["violations"][0] for e in answer["exclusions"]}
    assert violations["dear"]["value"] == 9
    assert violations["dear"]["source"] == "api"
    assert violations["dark"]["value"] is None
    assert answer["excludedBy"] == {"price_in_usd": 2}
    assert (answer["considered"], answer["passed"]) == (3, 1)
    short = (await api.http.post("/api/v1/select", json={**body, "maxExclusions": 0})).json()
    assert short["exclusions"] == []
    assert short["excludedBy"] == {"price_in_usd": 2}


async def test_a_misspelt_limit_does_not_pass_for_none(api):
    body = {"task": "x", "constraints": {"maxPriceUsd": 1}}
    answer = await api.http.post("/api/v1/select", json=body)
    assert answer.status_code == 400
    assert "maxPriceInUsd" in answer.json()["detail"]


async def test_every_limit_reaches_the_selection(api):
    everything = {
        "maxPriceInUsd": 1,
        "maxPriceOutUsd": 1,
        "maxCostUsd": 1,
        "tokensIn": 1,
        "tokensOut": 1,
        "minContextTokens": 1,
        "minOutputTokens": 1,
        "modalitiesIn": ["text"],
        "modalitiesOut": ["text"],
        "licenses": ["MIT"],
        "openWeights": True,
        "regions": ["eu"],
        "abilities": ["toolCall", "structured_output", "reasoning"],
        "maxParametersB": 1,
        "providers": ["q"],
        "withoutProviders": ["p"],
    }
    await api.http.post("/api/v1/models", json={"name": "m", "offers": [{"provider": "p"}]})
    body = {"task": "x", "constraints": everything}
    answer = (await api.http.post("/api/v1/select", json=body)).json()
    (exclusion,) = answer["exclusions"]
    fields = [violation["field"] for violation in exclusion["violations"]]
    assert len(fields) == len(everything) - 2 + 2  # two are estimates, one holds three


async def test_a_call_passes_arguments_principal_and_face(api):
    api.add_tools("desk", "stapler")
    body = {"name": "desk__stapler", "arguments": {"n": 3, "x": None}, "timeoutS": 5}
    answer = await api.http.post("/api/v1/call", json=body)
    assert answer.status_code == 200
    assert answer.json()["structuredContent"] == {"n": 3, "x": None}
    assert answer.json()["content"][0]["text"] == "desk__stapler with timeout 5.0"
    assert answer.json()["isError"] is False
    assert api.deps.invoker.calls == [("desk__stapler", "rest", "local")]


FAILURES = {
    "t-args": (InvalidArguments("t", [ArgumentProblem("n", "is missing", "integer")]), 400),
    "t-down": (UpstreamUnavailable("s", "refused", retry_after_s=7.2), 503),
    "t-slow": (UpstreamTimeout("s", "tools/call", 2.0), 504),
    "t-odd": (UpstreamProtocolError("s", "said no", rpc_code=-32000), 502),
    "t-big": (ResultTooLarge("s", size=9, limit=8), 502),
    "t-busy": (StoreBusy("locked"), 503),
}


@pytest.mark.parametrize("name", FAILURES)
async def test_each_failure_of_a_call_has_its_status(open_api, name):
    error, status = FAILURES[name]
    async with open_api(failures={name: error}) as api:
        answer = await api.http.post("/api/v1/call", json={"name": name})
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["code"] == error.code
        assert answer.json()["detail"] == error.detail
        waits = {"t-down": "8", "t-busy": "1"}
        assert answer.headers.get("retry-after") == waits.get(name)
        if name == "t-args":
            problem = {"path": "n", "problem": "is missing", "expected": "integer"}
            assert answer.json()["errors"] == [problem]


async def test_a_sync_reports_on_the_named_servers_or_on_all(api):
    api.add_tools("desk", "stapler")
    api.add_tools("shed", "hammer")
    everything = (await api.http.post("/api/v1/sync")).json()["reports"]
    assert [report["server"] for report in everything] == ["desk", "shed"]
    one = (await api.http.post("/api/v1/sync", json={"servers": ["shed"]})).json()["reports"]
    assert [report["server"] for report in one] == ["shed"]
    none = await api.http.post("/api/v1/sync", json={"servers": ["nope"]})
    assert none.status_code == 404


async def test_status_says_how_far_the_index_is(api):
    api.add_tools("desk", "stapler")
    behind = (await api.http.get("/api/v1/sync")).json()
    assert behind["indexRevision"] is None
    await api.deps.indexer.catch_up()
    level = (await api.http.get("/api/v1/sync")).json()
    assert level["indexRevision"] == level["revision"] == api.deps.store.head()
    assert level["entries"]["tool"] == 1


async def test_the_change_log_is_read_in_stretches(api):
    api.add_tools("desk", "a", "b", "c")
    seen, since = [], 0
    while True:
        params = {"since": since, "limit": 2}
        page = (await api.http.get("/api/v1/changes", params=params)).json()
        if not page["items"]:
            break
        seen += [change["revision"] for change in page["items"]]
        since = page["next"]
    assert seen == [1, 2, 3, 4]
    of_shed = (await api.http.get("/api/v1/changes", params={"server": "shed"})).json()
    assert of_shed == {"items": [], "next": 0}


async def test_what_the_api_changes_bears_its_name_in_the_log(api):
    await api.http.post("/api/v1/models", json={"name": "m"})
    (change,) = (await api.http.get("/api/v1/changes")).json()["items"]
    assert (change["actor"], change["action"], change["subject"]) == ("api", "added", "model:m")


async def test_health_and_readiness(api):
    assert (await api.http.get("/healthz")).json() == {"status": "ok", "version": "0.0.0"}
    ready = await api.http.get("/readyz")
    assert ready.status_code == 200
    assert ready.json()["ready"] is True


async def test_what_keeps_it_from_serving_is_said(api):
    blocked = replace(api.deps, blockers=lambda: ["the index is being built"])
    transport = httpx.ASGITransport(build_api(blocked))
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as http:
        answer = await http.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["blockers"] == ["the index is being built"]


async def test_a_result_that_was_cut_is_read_on_page_by_page(api):
    put = partial(api.deps.invoker.shelf.put, media_type="text/plain", page_bytes=10)
    mine, other = put("local", b"abcdefghijKLM"), put("somebody", b"else")
    first = (await api.http.get(f"/api/v1/results/{mine.id}")).json()
    assert (first["text"], first["page"], first["pages"]) == ("abcdefghij", 1, 2)
    assert first["next"] == f"toolcrib://results/{mine.id}?page=2"
    last = (await api.http.get(f"/api/v1/results/{mine.id}", params={"page": 2})).json()
    assert (last["text"], last["next"], last["bytes"]) == ("KLM", None, 13)
    for path, status in ((f"{mine.id}?page=3", 400), (other.id, 404), ("..%2Fx", 404)):
        assert (await api.http.get(f"/api/v1/results/{path}")).status_code == status
