"""Views over HTTP: saved if they hold, shown as a client will see them."""

from typing import Any

import pytest

from toolcrib_server.guard import ApiKey, KeyRing, Role

pytestmark = pytest.mark.anyio

DESK: dict[str, Any] = {
    "name": "desk",
    "title": "Desk work",
    "description": "For mail.",
    "include": {"servers": ["mail"]},
    "overrides": [{"tool": "mail__send", "name": "send", "fixed": {"token": "t0ken"}}],
    "pinned": ["mail__send"],
    "contextTokens": 100_000,
}
URL = "/api/v1/views/desk"


def fill(api) -> None:
    api.add_tools("mail", "send", "read", catalog=False)
    api.add_tools("time", "now", catalog=False)


async def test_a_view_is_saved_read_replaced_and_removed(api):
    fill(api)
    made = await api.http.post("/api/v1/views", json=DESK)
    assert made.status_code == 201
    assert made.headers["location"] == URL
    assert made.json()["mcp"] == "/mcp/v/desk"
    assert (await api.http.get(URL)).json() == made.json()
    assert made.json()["overrides"][0]["fixed"] == {"token": "t0ken"}

    again = await api.http.put(URL, json={**DESK, "title": "Other"})
    assert again.status_code == 200
    assert again.json()["title"] == "Other"
    assert again.json()["revision"] > made.json()["revision"]
    listed = (await api.http.get("/api/v1/views")).json()
    assert [view["name"] for view in listed["items"]] == ["desk"]

    assert (await api.http.delete(URL)).status_code == 204
    assert (await api.http.get(URL)).status_code == 404
    assert (await api.http.put(URL, json=DESK)).status_code == 201
    log = (await api.http.get("/api/v1/changes", params={"subject": "view:desk"})).json()
    actions = [change["action"] for change in log["items"]]
    assert actions == ["added", "updated", "removed", "added"]


async def test_a_view_that_changed_meanwhile_is_not_written_over(api):
    fill(api)
    seen = (await api.http.post("/api/v1/views", json=DESK)).json()["revision"]
    first = await api.http.put(URL, json={**DESK, "title": "A"}, params={"revision": seen})
    second = await api.http.put(URL, json={**DESK, "title": "B"}, params={"revision": seen})

    assert first.status_code == 200
    assert second.status_code == 409
    assert second.json()["code"] == "entry-changed"


async def test_what_a_client_sees_is_shown_with_its_cost(api):
    fill(api)
    await api.http.post("/api/v1/views", json=DESK)

    shown = (await api.http.get(f"{URL}/shown")).json()

    assert [tool["name"] for tool in shown["listed"]] == ["send", "mail__read"]
    assert shown["listed"][0]["tool"] == "mail__send"
    assert "t0ken" not in str(shown)
    assert shown["tokens"] == shown["allTokens"] == sum(t["tokens"] for t in shown["listed"])
    assert shown["budgetTokens"] == 5_000
    assert (shown["searches"], shown["tools"], shown["problems"]) == (False, 2, [])

    await api.http.put(URL, json={**DESK, "mode": "search"})
    shown = (await api.http.get(f"{URL}/shown")).json()
    assert [tool["name"] for tool in shown["listed"]] == ["send"]
    assert shown["searches"]
    await api.http.post("/api/v1/tools/mail__send/disable")
    shown = (await api.http.get(f"{URL}/shown")).json()
    assert shown["problems"] == ["mail__send is left out: it is disabled."]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"include": {}}, "It includes nothing"),
        ({"include": {"servers": ["male"]}}, "No server is named 'male'. Did you mean: mail?"),
        ({"pinned": ["time__now"]}, "It pins time__now, and does not include it."),
        ({"overrides": [{"tool": "mail__send", "name": "mail__read"}]}, "another tool of the view"),
        ({"overrides": [{"tool": "mail__send", "name": "x" * 65}]}, "a name has 1 to 64"),
        ({"title": "a\u202eb"}, "cannot be seen"),
    ],
)
async def test_a_view_that_could_not_be_served_is_refused(api, changed, said):
    fill(api)
    refused = await api.http.post("/api/v1/views", json={**DESK, **changed})

    assert refused.status_code == 400
    problem = refused.json()
    assert problem["code"] == "invalid-view"
    assert said in problem["detail"]
    assert any(said in one for one in problem["data"]["faults"])
    assert (await api.http.get(URL)).status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        {**DESK, "shere": 1},
        {**DESK, "share": 2},
        {**DESK, "mode": "some"},
        {**DESK, "include": {"server": ["mail"]}},
        {"include": {"servers": ["mail"]}},
    ],
)
async def test_a_body_that_is_no_view_is_refused(api, body):
    refused = await api.http.post("/api/v1/views", json=body)
    assert refused.status_code == 400
    assert refused.json()["code"] in {"invalid-input", "invalid-arguments"}


async def test_a_body_of_another_name_is_refused(api):
    refused = await api.http.put("/api/v1/views/other", json=DESK)
    assert "The body names 'desk', the path 'other'" in refused.json()["detail"]


async def test_values_are_for_administrators_and_so_is_saving(open_api):
    keys = KeyRing([ApiKey("boss", "b" * 16, Role.ADMIN), ApiKey("reader", "r" * 16)])
    async with open_api(keys=keys) as api:
        fill(api)
        boss = {"Authorization": f"Bearer {'b' * 16}"}
        reader = {"Authorization": f"Bearer {'r' * 16}"}
        refused = await api.http.post("/api/v1/views", json=DESK, headers=reader)
        assert refused.status_code == 403
        made = await api.http.post("/api/v1/views", json=DESK, headers=boss)
        assert made.json()["overrides"][0]["fixed"] == {"token": "t0ken"}

        for path in ("", "/desk", "/desk/shown"):
            told = await api.http.get(f"/api/v1/views{path}", headers=reader)
            assert told.status_code == 200
            assert "t0ken" not in told.text
        log = await api.http.get("/api/v1/changes", params={"diff": "true"}, headers=reader)
        assert "view:desk" in log.text
        assert "t0ken" not in log.text
        assert (await api.http.delete(URL, headers=reader)).status_code == 403
