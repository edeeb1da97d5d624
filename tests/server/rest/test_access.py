"""Who may do what: every route, for every kind of caller. A route without a row fails."""

from collections.abc import Iterator

import pytest
from fastapi.routing import APIRoute, iter_route_contexts

from toolcrib_server.guard import ApiKey, KeyRing, Role

pytestmark = pytest.mark.anyio

USER, ADMIN = "user-key-0123456789", "admin-key-0123456789"
KEYS = KeyRing([ApiKey("reader", USER, Role.USER), ApiKey("boss", ADMIN, Role.ADMIN)])

OPEN, READ, WRITE = "open", "read", "write"
MATRIX = {
    ("GET", "/"): OPEN,
    ("GET", "/healthz"): OPEN,
    ("GET", "/readyz"): OPEN,
    ("GET", "/api/v1/servers"): READ,
    ("POST", "/api/v1/servers"): WRITE,
    ("GET", "/api/v1/servers/{name}"): READ,
    ("PUT", "/api/v1/servers/{name}"): WRITE,
    ("PATCH", "/api/v1/servers/{name}"): WRITE,
    ("DELETE", "/api/v1/servers/{name}"): WRITE,
    ("POST", "/api/v1/servers/{name}/enable"): WRITE,
    ("POST", "/api/v1/servers/{name}/disable"): WRITE,
    ("GET", "/api/v1/servers/{name}/stderr"): WRITE,
    ("GET", "/api/v1/tools"): READ,
    ("POST", "/api/v1/tools"): WRITE,
    ("GET", "/api/v1/tools/{name}"): READ,
    ("DELETE", "/api/v1/tools/{name}"): WRITE,
    ("POST", "/api/v1/tools/{name}/enable"): WRITE,
    ("POST", "/api/v1/tools/{name}/disable"): WRITE,
    ("POST", "/api/v1/tools/{name}/approve"): WRITE,
    ("POST", "/api/v1/entries/{kind}/{name:path}/approve"): WRITE,
    ("GET", "/api/v1/entries"): READ,
    ("GET", "/api/v1/entries/{kind}/{name:path}"): READ,
    ("GET", "/api/v1/models"): READ,
    ("POST", "/api/v1/models"): WRITE,
    ("GET", "/api/v1/models/{name:path}"): READ,
    ("PUT", "/api/v1/models/{name:path}"): WRITE,
    ("DELETE", "/api/v1/models/{name:path}"): WRITE,
    ("POST", "/api/v1/models/{name:path}/enable"): WRITE,
    ("POST", "/api/v1/models/{name:path}/disable"): WRITE,
    ("GET", "/api/v1/search"): READ,
    ("POST", "/api/v1/search"): READ,
    ("POST", "/api/v1/select"): READ,
    ("POST", "/api/v1/call"): READ,
    ("POST", "/api/v1/sync"): WRITE,
    ("GET", "/api/v1/sync"): READ,
    ("GET", "/api/v1/sync/servers"): READ,
    ("GET", "/metrics"): READ,
    ("GET", "/api/v1/changes"): READ,
    ("GET", "/api/v1/changes/stream"): READ,
    ("GET", "/api/v1/tools/{name}/revisions"): READ,
    ("GET", "/api/v1/tools/{name}/revisions/{revision}"): READ,
    ("POST", "/api/v1/feedback"): READ,
    ("DELETE", "/api/v1/feedback"): READ,
    ("GET", "/api/v1/learning"): WRITE,
    ("POST", "/api/v1/learning/refusals"): WRITE,
    ("DELETE", "/api/v1/learning/refusals"): WRITE,
    ("POST", "/api/v1/outcomes"): READ,
    ("GET", "/api/v1/outcomes"): WRITE,
    ("DELETE", "/api/v1/outcomes"): READ,
    ("GET", "/api/v1/routing"): WRITE,
    ("GET", "/api/v1/domains"): READ,
    ("PUT", "/api/v1/domains/{name}"): WRITE,
    ("DELETE", "/api/v1/domains/{name}"): WRITE,
    ("GET", "/api/v1/answers"): WRITE,
    ("DELETE", "/api/v1/answers"): READ,
    ("GET", "/api/v1/views"): READ,
    ("POST", "/api/v1/views"): WRITE,
    ("GET", "/api/v1/views/{name}"): READ,
    ("GET", "/api/v1/views/{name}/shown"): READ,
    ("PUT", "/api/v1/views/{name}"): WRITE,
    ("DELETE", "/api/v1/views/{name}"): WRITE,
    ("GET", "/api/v1/results/{result_id}"): READ,
    ("POST", "/v1/chat/completions"): READ,
    ("POST", "/v1/embeddings"): READ,
    ("GET", "/v1/models"): READ,
    ("GET", "/v1/models/{name:path}"): READ,
}


def routes(app) -> Iterator[tuple[str, str]]:
    for context in iter_route_contexts(app.routes):
        if isinstance(context.original_route, APIRoute):
            for method in context.methods or ():
                yield method, context.path or ""


def filled(path: str) -> str:
    return (
        path.replace("{kind}", "tool")
        .replace("{name:path}", "some/name")
        .replace("{name}", "some")
        .replace("{revision}", "1")
    )


async def test_every_route_has_a_row_and_every_row_a_route(api):
    assert sorted(routes(api.app)) == sorted(MATRIX)


@pytest.mark.parametrize(
    ("caller", "refused"),
    [
        ({}, {READ: 401, WRITE: 401}),
        ({"Authorization": "Bearer wrong-key-0123456789"}, {READ: 401, WRITE: 401}),
        ({"Authorization": f"Basic {ADMIN}"}, {READ: 401, WRITE: 401}),
        ({"Authorization": f"Bearer {ADMIN[:-1]}"}, {READ: 401, WRITE: 401}),
        ({"Authorization": "Bearer "}, {READ: 401, WRITE: 401}),
        ({"X-Api-Key": ADMIN}, {READ: 401, WRITE: 401}),
        ({"Authorization": f"Bearer {USER}"}, {WRITE: 403}),
        ({"Authorization": f"Bearer {ADMIN}"}, {}),
        ({"Authorization": f"bearer  {ADMIN}"}, {}),
    ],
    ids=["nobody", "wrong", "basic", "cut", "blank", "header", "user", "admin", "spelling"],
)
async def test_each_caller_is_let_in_exactly_where_it_may(open_api, caller, refused):
    async with open_api(keys=KEYS) as api:
        for (method, path), kind in MATRIX.items():
            answer = await api.http.request(method, filled(path), headers=caller)
            expected = refused.get(kind)
            if expected is None:
                assert answer.status_code not in {401, 403}, (method, path)
            else:
                assert answer.status_code == expected, (method, path)
                assert answer.json()["status"] == expected
        assert api.deps.store.head() == 0


async def test_a_refusal_comes_before_the_body_is_looked_at(open_api):
    async with open_api(keys=KEYS) as api:
        nobody = await api.http.post("/api/v1/models", content=b"{not json")
        assert nobody.status_code == 401
        assert nobody.headers["www-authenticate"] == "Bearer"


async def test_without_keys_only_this_machine_is_let_in(open_api):
    async with open_api(client=("127.0.0.1", 5)) as api:
        assert (await api.http.get("/api/v1/tools")).status_code == 200
    async with open_api(client=("192.0.2.7", 5)) as api:
        assert (await api.http.get("/api/v1/tools")).status_code == 401
        assert (await api.http.get("/healthz")).status_code == 200


async def test_a_key_names_who_changed_what(open_api):
    async with open_api(keys=KEYS) as api:
        headers = {"Authorization": f"Bearer {ADMIN}"}
        await api.http.post("/api/v1/models", json={"name": "m"}, headers=headers)
        log = await api.http.get("/api/v1/changes", headers=headers)
        assert log.json()["items"][0]["actor"] == "api:boss"


async def test_the_description_of_the_api_asks_for_a_key_too(open_api):
    async with open_api(keys=KEYS) as api:
        assert (await api.http.get("/openapi.json")).status_code == 401
        headers = {"Authorization": f"Bearer {USER}"}
        assert (await api.http.get("/openapi.json", headers=headers)).status_code == 200
