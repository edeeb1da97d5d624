"""Outcomes of models and domains over HTTP: who may say what, and what a selection makes of it."""

from typing import Any

import httpx
import pytest

from toolcrib_server.guard import ApiKey, KeyRing, Role
from toolcrib_server.routing.mode import RoutingMode

from .conftest import Api, OpenApi

pytestmark = pytest.mark.anyio

USER, OTHER, ADMIN = "user-key-0123456789", "other-key-0123456789", "admin-key-0123456789"
KEYS = KeyRing([ApiKey("reader", USER), ApiKey("other", OTHER), ApiKey("boss", ADMIN, Role.ADMIN)])
POEM = "write a rhyming poem about the sea number {}"
SUM = "calculate the integral of a polynomial of degree {}"


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def outcomes(count: int = 40) -> list[dict[str, Any]]:
    return [
        {"query": text.format(n), "model": model, "score": 0.9 if good else 0.2, "costUsd": 0.01}
        for n in range(count)
        for text, best in ((POEM, "poet"), (SUM, "clerk"))
        for model in ("poet", "clerk")
        for good in [model == best]
    ]


async def register(api: Api, key: str | None = None) -> None:
    for name in ("poet", "clerk"):
        body = {"name": name, "description": f"{name} of the house"}
        answer = await api.http.post(
            "/api/v1/models", json=body, headers=bearer(key) if key else {}
        )
        assert answer.status_code == 201, answer.text


async def send(api: Api, key: str | None = None, **body: Any) -> httpx.Response:
    headers = bearer(key) if key else {}
    return await api.http.post("/api/v1/outcomes", json=body, headers=headers)


async def test_what_was_sent_decides_the_next_selection_and_says_why(api: Api) -> None:
    await register(api)
    sent = await send(api, outcomes=outcomes(), source="verifier")
    assert sent.status_code == 201, sent.text
    assert sent.json() == {"added": 160, "updated": 0, "unchanged": 0, "refused": []}
    assert (await send(api, outcomes=outcomes(), source="verifier")).json()["unchanged"] == 160
    await api.deps.routing.learner.look()

    task = {"task": POEM.format(700), "weights": {"cost": 0.1}}
    chosen = (await api.http.post("/api/v1/select", json=task)).json()

    assert chosen["choices"][0]["model"] == "poet"
    expected = chosen["choices"][0]["expected"]
    assert expected["low"] <= expected["quality"] <= expected["high"]
    assert expected["outcomes"] == 80
    assert expected["costUsd"] == pytest.approx(0.01)
    routing = chosen["routing"]
    assert routing["choice"] == "poet"
    assert [one["model"] for one in routing["ranked"]] == ["poet", "clerk"]
    assert [stage["stage"] for stage in routing["stages"]] == [
        "guard", "limits", "quality", "cost", "pareto", "choice",
    ]  # fmt: skip
    state = (await api.http.get("/api/v1/routing")).json()
    assert state["mode"] == "on"
    assert [(one["tenant"], one["state"]) for one in state["tenants"]] == [("local", "used")]
    listed = (await api.http.get("/api/v1/outcomes?model=poet&limit=3")).json()
    assert [one["model"] for one in listed["items"]] == ["poet"] * 3


async def test_a_user_speaks_for_itself_alone(open_api: OpenApi) -> None:
    async with open_api(keys=KEYS) as api:
        await register(api, ADMIN)
        some = outcomes(1)
        assert (await send(api, USER, outcomes=some)).status_code == 201
        assert (await send(api, USER, outcomes=some, tenant="everyone")).status_code == 403
        assert (await send(api, USER, outcomes=some, source="verifier")).status_code == 403
        admin = await send(api, ADMIN, outcomes=some, tenant="everyone", source="import")
        assert admin.status_code == 201
        assert set(api.deps.store.routing.count()) == {"reader", "everyone"}


async def test_a_user_forgets_its_own_and_an_administrator_anybodys(open_api: OpenApi) -> None:
    async with open_api(keys=KEYS) as api:
        await register(api, ADMIN)
        for key in (USER, OTHER, ADMIN):
            assert (await send(api, key, outcomes=outcomes(1))).status_code == 201

        async def forget(key: str, query: str = "") -> httpx.Response:
            return await api.http.delete(f"/api/v1/outcomes{query}", headers=bearer(key))

        assert (await forget(USER, "?principal=other")).status_code == 403
        assert (await forget(USER)).json() == {"forgotten": 4}
        assert (await forget(ADMIN)).json() == {"forgotten": 4}
        assert (await forget(ADMIN, "?model=poet")).json() == {"forgotten": 2}
        assert (await forget(ADMIN, "?principal=other&tenant=other")).json() == {"forgotten": 2}


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        ({"score": 1.5}, 400),
        ({"score": None, "costUsd": -1}, 400),
        ({"query": ""}, 400),
        ({"answer": "x"}, 400),
        ({"latencyMs": "fast"}, 400),
    ],
)
async def test_what_makes_no_sense_is_refused(
    api: Api, outcome: dict[str, Any], status: int
) -> None:
    await register(api)
    assert (await send(api, outcomes=[outcomes(1)[0] | outcome])).status_code == status


async def test_an_unknown_model_is_refused_by_its_place(api: Api) -> None:
    await register(api)
    answer = await send(api, outcomes=[outcomes(1)[0], outcomes(1)[0] | {"model": "peot"}])
    (refused,) = answer.json()["refused"]
    assert refused["where"] == "outcomes.1"
    assert "did you mean 'poet'" in refused["reason"]


async def test_where_it_is_off_nothing_is_taken(open_api: OpenApi) -> None:
    async with open_api(routing=RoutingMode.OFF) as api:
        await register(api)
        answer = await send(api, outcomes=outcomes(1))
        assert (answer.status_code, answer.json()["code"]) == (403, "not-permitted")


async def test_domains_are_described_and_forgotten(api: Api) -> None:
    path = "/api/v1/domains/poetry"
    body = {"examples": [POEM.format(n) for n in range(30)]}
    assert (await api.http.put(path, json=body)).json()["name"] == "poetry"
    assert (await api.http.put(path, json={"examples": [" "]})).status_code == 400
    assert (await api.http.put("/api/v1/domains/%2A", json=body)).status_code == 200
    listed = (await api.http.get("/api/v1/domains")).json()["items"]
    assert [(one["name"], len(one["examples"])) for one in listed] == [("*", 30), ("poetry", 30)]
    assert (await api.http.delete(path)).status_code == 204
    assert (await api.http.delete(path)).status_code == 404
