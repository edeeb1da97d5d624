"""Feedback over HTTP: recorded, weighed, forgotten, and only where it is allowed."""

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from toolcrib_registry.types import Learned
from toolcrib_server.guard import ApiKey, KeyRing, Role
from toolcrib_server.learning.mode import LearningMode, Sharing

from .conftest import Api, OpenApi

pytestmark = pytest.mark.anyio

USER, OTHER, ADMIN = "user-key-0123456789", "other-key-0123456789", "admin-key-0123456789"
KEYS = KeyRing([ApiKey("reader", USER), ApiKey("other", OTHER), ApiKey("boss", ADMIN, Role.ADMIN)])
GIVEN = {"query": "forecast of weather", "name": "weather__forecast", "verdict": "worked"}


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


async def tell(api: Api, key: str | None = None, **changes: object) -> httpx.Response:
    headers = bearer(key) if key else {}
    return await api.http.post("/api/v1/feedback", json=GIVEN | changes, headers=headers)


async def test_feedback_is_recorded_with_what_search_thinks_of_it(api: Api) -> None:
    api.add_tools("weather", "forecast", "radar")

    said = await tell(api)
    wrong = await tell(api, query="xyzzy", verdict="rejected")

    assert said.status_code == 201, said.text
    body = said.json()
    assert (body["kind"], body["name"], body["verdict"]) == ("tool", "weather__forecast", "worked")
    assert body["weight"] == 1.0
    assert 0 < wrong.json()["weight"] <= 1.0
    kept = [(one.query, one.principal, one.tenant) for one in api.deps.store.iter_outcomes()]
    assert kept == [("forecast of weather", "local", "local"), ("xyzzy", "local", "local")]


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"name": "weather__forecats"}, 404, "not-found"),
        ({"query": ""}, 400, "invalid-input"),
        ({"query": "  "}, 400, "invalid-input"),
        ({"query": "x" * 100_001}, 400, "invalid-input"),
        ({"verdict": "maybe"}, 400, "invalid-input"),
        ({"arguments": {"a": 1}}, 400, "invalid-input"),
    ],
)
async def test_what_makes_no_sense_is_refused(
    api: Api, changes: dict[str, Any], status: int, code: str
) -> None:
    api.add_tools("weather", "forecast")
    answer = await tell(api, **changes)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert api.deps.store.count_outcomes() == {}


async def test_where_learning_is_off_feedback_is_refused_with_the_setting(
    open_api: OpenApi,
) -> None:
    async with open_api(learning=LearningMode.OFF) as api:
        api.add_tools("weather", "forecast")
        answer = await tell(api)
        assert answer.status_code == 403
        assert "TOOLCRIB_LEARNING" in answer.json()["detail"]


async def test_a_search_and_a_call_alone_are_not_recorded_unless_asked_for(api: Api) -> None:
    api.add_tools("weather", "forecast")
    await api.http.post("/api/v1/search", json={"query": "forecast"})
    await api.http.post("/api/v1/call", json={"name": "weather__forecast", "arguments": {}})
    assert api.deps.store.count_outcomes() == {}


async def test_each_key_is_a_tenant_unless_outcomes_are_shared(open_api: OpenApi) -> None:
    async with open_api(keys=KEYS) as api:
        api.add_tools("weather", "forecast")
        await tell(api, USER)
        await tell(api, OTHER)
        assert api.deps.store.count_outcomes() == {"other": 1, "reader": 1}


async def test_shared_outcomes_keep_who_said_them(open_api: OpenApi) -> None:
    async with open_api(keys=KEYS, sharing=Sharing.EVERYONE) as api:
        api.add_tools("weather", "forecast")
        await tell(api, USER)
        await tell(api, OTHER)
        assert api.deps.store.count_outcomes() == {"everyone": 2}
        assert [one.principal for one in api.deps.store.iter_outcomes()] == ["reader", "other"]


async def test_everybody_may_forget_their_own_and_an_administrator_any(
    open_api: OpenApi,
) -> None:
    async with open_api(keys=KEYS) as api:
        api.add_tools("weather", "forecast")
        for key in (USER, USER, OTHER, ADMIN):
            await tell(api, key)

        async def forget(key: str, **params: str) -> tuple[int, object]:
            url = "/api/v1/feedback"
            answer = await api.http.delete(url, params=params, headers=bearer(key))
            return answer.status_code, answer.json().get("forgotten")

        assert await forget(USER, principal="other") == (403, None)
        assert await forget(USER, tenant="other") == (403, None)
        assert await forget(USER, before="2020-01-01T00:00:00Z") == (200, 0)
        assert await forget(USER) == (200, 2)
        assert await forget(ADMIN, principal="other") == (200, 1)
        assert await forget(ADMIN, before="2020-01-01T00:00:00") == (400, None)
        assert await forget(ADMIN, before="2099-01-01T00:00:00+02:00") == (200, 1)
        assert api.deps.store.count_outcomes() == {}


async def test_an_administrator_sees_how_learning_stands(open_api: OpenApi) -> None:
    async with open_api(keys=KEYS) as api:
        api.add_tools("weather", "forecast")
        await tell(api, USER)
        state = await api.http.get("/api/v1/learning", headers=bearer(ADMIN))
        assert state.json() == {
            "mode": "feedback",
            "tenants": [
                {
                    "tenant": "reader",
                    "outcomes": 1,
                    "inUse": None,
                    "reason": "not replayed yet",
                    "judgedAt": None,
                    "confirmed": 0,
                    "abstainsBy": "the registry's own scale",
                    "waits": [{"what": "outcomes for a first replay", "have": 1, "needed": 50}],
                    "report": None,
                }
            ],
            "needs": [],
            "refused": [],
        }


async def test_nobody_can_destroy_what_another_tenant_learned(open_api: OpenApi) -> None:
    async with open_api(keys=KEYS) as api:
        api.add_tools("weather", "forecast")
        await tell(api, OTHER)
        store = api.deps.store
        learned = Learned(tenant="other", encoder_id="e", at=datetime.now(UTC), report={})
        store.put_learned(learned)
        for params in ({"tenant": "other", "principal": "reader"}, {}):
            answer = await api.http.delete("/api/v1/feedback", params=params, headers=bearer(USER))
            assert (answer.status_code, answer.json()) == (200, {"forgotten": 0})
            assert store.find_learned("other", "e") == learned
        await api.http.delete("/api/v1/feedback", headers=bearer(OTHER))
        assert store.find_learned("other", "e") is None
