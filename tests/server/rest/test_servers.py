"""Servers over HTTP: registered, read, changed, switched, removed; no secret ever shown."""

from typing import Any

import pytest

from toolcrib_registry.types import HttpTransport, Server, ServerName, StdioTransport
from toolcrib_server.guard import ApiKey, KeyRing, Role

pytestmark = pytest.mark.anyio

HTTP: dict[str, Any] = {
    "name": "issues",
    "transport": {
        "type": "http",
        "url": "https://mcp.example.com/mcp?token=abc123",
        "headers": {"Authorization": "Bearer s3cr3t-value", "X-From": "${secret:ISSUES}"},
    },
    "tags": ["work"],
}
STDIO: dict[str, Any] = {
    "name": "shell",
    "transport": {"type": "stdio", "command": "touch", "args": ["/x"]},
}


async def test_a_server_is_registered_and_read_back_without_its_secrets(api):
    made = await api.http.post("/api/v1/servers", json=HTTP)
    assert made.status_code == 201
    assert made.headers["location"] == "/api/v1/servers/issues"
    read = await api.http.get("/api/v1/servers/issues")
    assert read.json() == made.json()
    transport = read.json()["transport"]
    assert transport["headers"] == {"Authorization": "•••", "X-From": "${secret:ISSUES}"}
    assert transport["url"] == "https://mcp.example.com/mcp?token=•••"
    log = await api.http.get("/api/v1/changes")
    for answer in (made, read, log, await api.http.get("/api/v1/servers")):
        for secret in ("s3cr3t", "abc123", "user:pw"):
            assert secret not in answer.text
    stored = api.deps.store.get_server(ServerName("issues"))
    assert stored.transport.headers["Authorization"] == "Bearer s3cr3t-value"
    assert stored.origin == "api"


async def test_what_was_read_can_be_put_back_without_losing_its_secrets(api):
    await api.http.post("/api/v1/servers", json=HTTP)
    read = (await api.http.get("/api/v1/servers/issues")).json()
    body = {
        "name": "issues",
        "transport": {k: v for k, v in read["transport"].items() if v is not None},
        "tags": ["later"],
    }
    put = await api.http.put("/api/v1/servers/issues", json=body)
    assert put.status_code == 200
    assert put.json()["tags"] == ["later"]
    stored = api.deps.store.get_server(ServerName("issues")).transport
    assert stored == HttpTransport(HTTP["transport"]["url"], HTTP["transport"]["headers"])


async def test_a_mask_for_which_nothing_is_stored_is_refused(api):
    body = {**HTTP, "transport": {**HTTP["transport"], "headers": {"X": "•••"}}}
    answer = await api.http.post("/api/v1/servers", json=body)
    assert answer.status_code == 400
    assert "headers.X is masked" in answer.json()["detail"]


async def test_a_patch_changes_what_it_names_and_nothing_else(api):
    await api.http.post("/api/v1/servers", json=HTTP)
    patched = await api.http.patch("/api/v1/servers/issues", json={"callTimeoutS": 5})
    assert patched.json()["callTimeoutS"] == 5
    put = await api.http.put("/api/v1/servers/issues", json=HTTP)
    assert put.json()["callTimeoutS"] is None, "none of its own: the setting applies"
    await api.http.patch("/api/v1/servers/issues", json={"callTimeoutS": 5})
    assert patched.json()["tags"] == ["work"]
    stored = api.deps.store.get_server(ServerName("issues")).transport
    assert stored.headers["Authorization"] == "Bearer s3cr3t-value"


async def test_a_server_is_switched_off_and_on(api):
    await api.http.post("/api/v1/servers", json=HTTP)
    assert not (await api.http.post("/api/v1/servers/issues/disable")).json()["enabled"]
    assert (await api.http.post("/api/v1/servers/issues/enable")).json()["enabled"]


async def test_a_removed_server_is_gone_with_its_tools(api):
    api.add_tools("desk", "stapler")
    await api.deps.indexer.catch_up()
    assert (await api.http.delete("/api/v1/servers/desk")).status_code == 204
    assert (await api.http.get("/api/v1/servers/desk")).status_code == 404
    assert (await api.http.get("/api/v1/tools/desk__stapler")).status_code == 404
    found = await api.http.post("/api/v1/search", json={"query": "stapler"})
    assert found.json()["hits"] == []


async def test_a_name_that_is_taken_is_a_conflict(api):
    await api.http.post("/api/v1/servers", json=HTTP)
    answer = await api.http.post("/api/v1/servers", json=HTTP)
    assert answer.status_code == 409
    assert answer.json()["code"] == "already-exists"


@pytest.mark.parametrize("name", ["a__b", "-a", "a" * 41, "a_"])
async def test_a_name_that_cannot_name_a_server_is_refused_with_one_that_can(api, name):
    answer = await api.http.post("/api/v1/servers", json={**HTTP, "name": name})
    assert answer.status_code == 400
    assert "name" in answer.json()["detail"]


async def test_a_body_for_another_server_than_the_path_is_refused(api):
    answer = await api.http.put("/api/v1/servers/other", json=HTTP)
    assert answer.status_code == 400
    assert "'other'" in answer.json()["detail"]


async def test_servers_are_listed_in_pages(api):
    for letter in "cab":
        await api.http.post("/api/v1/servers", json={**HTTP, "name": letter})
    names, cursor = [], None
    while True:
        params = {"limit": 2, **({"cursor": cursor} if cursor else {})}
        page = (await api.http.get("/api/v1/servers", params=params)).json()
        names += [server["name"] for server in page["items"]]
        cursor = page["nextCursor"]
        if cursor is None:
            break
    assert names == ["a", "b", "c"]


# --- commands (the shape of CVE-2026-42271) ---------------------------------------------------


async def test_no_route_takes_a_command_unless_the_operator_allows_it(api):
    await api.http.post("/api/v1/servers", json={**HTTP, "name": "shell"})
    requests = [
        ("POST", "/api/v1/servers", {**STDIO, "name": "other"}),
        ("PUT", "/api/v1/servers/shell", STDIO),
        ("PATCH", "/api/v1/servers/shell", {"transport": STDIO["transport"]}),
    ]
    for method, path, body in requests:
        answer = await api.http.request(method, path, json=body)
        assert answer.status_code == 403, (method, answer.text)
        assert "TOOLCRIB_ALLOW_STDIO_REGISTRATION" in answer.json()["detail"]
    transports = [s.transport for s in api.deps.store.list_servers().items]
    assert not any(isinstance(transport, StdioTransport) for transport in transports)


async def test_only_the_known_routes_take_a_transport(api):
    """A new way to hand in a command must be thought about here first."""
    schema = (await api.http.get("/openapi.json")).json()
    takers = set()
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            if any(word in str(operation.get("requestBody")) for word in ("Server", "Transport")):
                takers.add((method.upper(), path))
    assert takers == {
        ("POST", "/api/v1/servers"),
        ("PUT", "/api/v1/servers/{name}"),
        ("PATCH", "/api/v1/servers/{name}"),
    }


async def test_an_allowed_command_is_stored_as_a_list_and_shown_without_secrets(open_api):
    async with open_api(allow_stdio=True) as api:
        transport = {
            "type": "stdio",
            "command": "npx",
            "args": ["-y", "thing", "--api-key", "k-123456", "--token=t-123456", "plain; rm -rf"],
            "env": {"A": "a-123456", "B": "${B:-b-123456}"},
        }
        made = await api.http.post("/api/v1/servers", json={**STDIO, "transport": transport})
        assert made.status_code == 201
        shown = made.json()["transport"]
        assert shown["args"] == ["-y", "thing", "--api-key", "•••", "--token=•••", "plain; rm -rf"]
        assert shown["env"] == {"A": "•••", "B": "${B}"}
        log = (await api.http.get("/api/v1/changes")).text
        assert "123456" not in made.text + log
        stored = api.deps.store.get_server(ServerName("shell")).transport
        assert stored.args[-1] == "plain; rm -rf"


async def test_switching_a_registered_command_server_is_no_registration(api):
    server = Server(name=ServerName("local"), transport=StdioTransport("true"))
    api.deps.store.add_server(server, actor="cli")
    answer = await api.http.patch("/api/v1/servers/local", json={"tags": ["x"]})
    assert answer.status_code == 200
    assert answer.json()["transport"]["command"] == "true"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("https://user:pw@mcp.example.com/mcp", "under headers"),
        ("http://mcp.example.com:0/mcp", "not an http or https URL"),
        ("http://bücher.example/mcp", "outside ASCII"),
        ("http://a b/mcp", "outside ASCII"),
        ("file:///etc/passwd", "https?"),
    ],
)
async def test_a_url_that_cannot_be_reached_safely_is_refused_before_it_is_stored(api, url, says):
    body = {"name": "issues", "transport": {"type": "http", "url": url}}
    answer = await api.http.post("/api/v1/servers", json=body)
    assert answer.status_code == 400
    assert says in answer.text
    assert "pw" not in answer.text
    assert not api.deps.store.list_servers().items


KEY = "an-admin-key-0123456789"


async def test_a_key_cannot_read_the_environment_through_a_server_of_its_own(open_api):
    keys = KeyRing([ApiKey("root", KEY, Role.ADMIN)])
    async with open_api(keys=keys) as api:
        api.http.headers["Authorization"] = f"Bearer {KEY}"
        for stolen in ("${HOME}", "x ${env:AWS_SECRET}", "${secret:other/headers/Authorization}"):
            transport = {"type": "http", "url": "http://mine.example/mcp", "headers": {"X": stolen}}
            answer = await api.http.post(
                "/api/v1/servers", json={"name": "mine", "transport": transport}
            )
            assert answer.status_code == 403, stolen
            assert "headers.X" in answer.json()["detail"]


async def test_a_stored_reference_stays_with_its_host(open_api):
    keys = KeyRing([ApiKey("root", KEY, Role.ADMIN)])
    async with open_api(keys=keys) as api:
        api.http.headers["Authorization"] = f"Bearer {KEY}"
        transport = HttpTransport("https://mcp.example.com/mcp", {"Authorization": "${TOKEN}"})
        api.deps.store.add_server(Server(name=ServerName("s"), transport=transport), actor="cli")
        same = {"type": "http", "url": transport.url, "headers": {"Authorization": "${TOKEN}"}}
        kept = await api.http.patch("/api/v1/servers/s", json={"transport": same})
        assert kept.status_code == 200
        moved = {**same, "url": "https://elsewhere.example/mcp"}
        answer = await api.http.patch("/api/v1/servers/s", json={"transport": moved})
        assert answer.status_code == 403
