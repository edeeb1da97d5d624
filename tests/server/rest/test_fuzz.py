"""Whatever is sent, the answer is an answer: never a 5xx."""

import json
from urllib.parse import quote

import anyio
import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from toolcrib_server.rest.app import build_api
from toolcrib_server.rest.testing import open_deps

nasty = st.sampled_from(["\ud800", "\0", "${X}", "•••", "../..", "a/b", "", " ", "x" * 300])
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(st.characters(), max_size=12)
    | nasty
)
anything = st.recursive(
    scalars, lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(max_size=5), part)
)
FIELDS = {
    "/api/v1/search": [
        "query",
        "k",
        "kinds",
        "servers",
        "tags",
        "readOnly",
        "destructive",
        "detail",
        "maxTokens",
        "rerank",
        "split",
        "fold",
        "dependencies",
        "explain",
        "groupBy",
    ],
    "/api/v1/select": ["task", "constraints", "objective", "k", "maxExclusions"],
    "/api/v1/call": ["name", "arguments", "timeoutS"],
    "/api/v1/models": ["name", "title", "description", "tags", "descriptor", "offers", "enabled"],
    "/api/v1/tools": ["server", "name", "description", "inputSchema"],
    "/api/v1/servers": ["name", "transport", "tags", "enabled", "callTimeoutS"],
    "/api/v1/sync": ["servers"],
}
GOOD = {
    "/api/v1/search": {"query": "x"},
    "/api/v1/select": {"task": "x"},
    "/api/v1/call": {"name": "desk__stapler"},
    "/api/v1/models": {"name": "a/b"},
    "/api/v1/tools": {"server": "desk", "name": "stapler"},
    "/api/v1/servers": {"name": "desk", "transport": {"type": "catalog"}},
    "/api/v1/sync": {},
}
FACTS = ["license", "contextTokens", "openWeights", "modalitiesIn", "releaseDate"]
fact = anything | st.fixed_dictionaries({"value": anything, "source": anything, "asOf": anything})
shaped = {
    "descriptor": st.dictionaries(st.sampled_from(FACTS), fact),
    "offers": st.lists(
        st.dictionaries(st.sampled_from(["provider", "priceInUsd", "endpoint", "region"]), fact),
        max_size=2,
    ),
    "constraints": st.dictionaries(
        st.sampled_from(["maxPriceInUsd", "licenses", "maxCostUsd", "tokensIn", "abilities"]),
        anything,
    ),
    "transport": st.fixed_dictionaries(
        {"type": st.sampled_from(["http", "sse", "catalog", "stdio"]) | anything},
        optional={"url": st.just("http://x/") | anything, "headers": anything, "source": anything},
    ),
    "arguments": st.dictionaries(st.text(max_size=5), anything, max_size=3),
    "name": nasty | st.text(max_size=12) | st.just("desk"),
    "query": nasty | st.text(max_size=20) | st.lists(nasty | st.text(max_size=5), max_size=20),
    "tags": st.lists(nasty | st.text(max_size=5), max_size=3),
    "task": nasty | st.text(max_size=20),
    "description": nasty | st.text(max_size=20),
}


def bodies(path: str) -> st.SearchStrategy[object]:
    """Mostly a good body with one field changed: what is wrong everywhere goes nowhere deep."""
    fields = {name: shaped.get(name, anything) for name in FIELDS[path]}
    one = st.sampled_from(FIELDS[path]).flatmap(
        lambda name: fields[name].map(lambda value: {**GOOD[path], name: value})
    )
    other = st.dictionaries(st.sampled_from(FIELDS[path]), anything) | anything
    return st.one_of(one, one, one, other)


odd_paths = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=10)
queries = st.dictionaries(
    st.sampled_from(["limit", "cursor", "kind", "server", "text", "since", "query", "k"]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
    | st.integers(-(2**70), 2**70).map(str),
)


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    with open_deps(tmp_path_factory.mktemp("fuzz")) as deps:
        yield build_api(deps)


def send(app, method: str, path: str, **request) -> httpx.Response:
    async def once() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as http:
            return await http.request(method, path, **request)

    return anyio.run(once)


def assert_is_an_answer(answer: httpx.Response) -> None:
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400:
        problem = answer.json()
        assert problem["status"] == answer.status_code
        assert problem["detail"]
        assert "Traceback" not in answer.text


relaxed = settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)


@pytest.mark.parametrize("path", FIELDS)
@relaxed
@given(data=st.data())
def test_no_body_makes_it_fail(app, path, data):
    body = json.dumps(data.draw(bodies(path))).encode()
    headers = {"content-type": "application/json"}
    assert_is_an_answer(send(app, "POST", path, content=body, headers=headers))


@settings(relaxed, max_examples=100)
@given(
    collection=st.sampled_from(["servers", "tools", "models", "entries/tool", "entries"]),
    name=odd_paths,
    method=st.sampled_from(["GET", "PUT", "PATCH", "DELETE", "POST"]),
    params=queries,
)
def test_no_path_or_query_makes_it_fail(app, collection, name, method, params):
    path = f"/api/v1/{collection}/{quote(name)}"
    assert_is_an_answer(send(app, method, path, params=params, json={}))


@settings(relaxed, max_examples=100)
@given(collection=st.sampled_from(["servers", "tools", "models", "search", "changes"]), q=queries)
def test_no_query_of_a_listing_makes_it_fail(app, collection, q):
    assert_is_an_answer(send(app, "GET", f"/api/v1/{collection}", params=q))
