"""Models over HTTP: names with slashes, facts with sources, findable at once."""

from datetime import UTC, datetime
from typing import Any

import pytest

from toolcrib_registry import wire
from toolcrib_server.catalog.own import model_of
from toolcrib_server.guard import ApiKey, KeyRing, Role

pytestmark = pytest.mark.anyio

MODEL: dict[str, Any] = {
    "name": "acme/legal/summarizer-7b",
    "description": "Summarises legal contracts.",
    "family": "summarizer",
    "tags": ["legal"],
    "descriptor": {
        "license": "Apache-2.0",
        "contextTokens": 131072,
        "tool_call": {"value": True, "source": "card", "asOf": "2026-10-01"},
    },
    "offers": [
        {
            "provider": "acme",
            "endpoint": "https://models.example.com/v1",
            "apiKey": "${ACME_API_KEY}",
            "priceInUsd": 0,
            "priceOutUsd": 0.4,
        }
    ],
}
PATH = "/api/v1/models/acme/legal/summarizer-7b"


async def test_a_registered_model_is_found_at_once(api):
    before = await api.http.post("/api/v1/search", json={"query": "summarise legal contracts"})
    assert before.json()["hits"] == []
    made = await api.http.post("/api/v1/models", json=MODEL)
    assert made.status_code == 201
    assert made.headers["location"] == PATH
    found = await api.http.post(
        "/api/v1/search", json={"query": "summarise legal contracts", "kinds": ["model"]}
    )
    assert [hit["id"] for hit in found.json()["hits"]] == ["model:acme/legal/summarizer-7b"]


async def test_plain_values_get_a_source_and_a_date_and_whole_facts_keep_theirs(api):
    await api.http.post("/api/v1/models", json=MODEL)
    model = (await api.http.get(PATH)).json()
    today = datetime.now(UTC).date().isoformat()
    license_ = {"value": "Apache-2.0", "source": "api", "asOf": today}
    assert model["descriptor"]["license"] == license_
    tool_call = {"value": True, "source": "card", "asOf": "2026-10-01"}
    assert model["descriptor"]["toolCall"] == tool_call
    assert model["descriptor"]["reasoning"] is None
    (offer,) = model["offers"]
    assert offer["priceInUsd"]["value"] == 0
    assert offer["remoteModel"] == MODEL["name"]
    assert offer["apiKey"] == "${ACME_API_KEY}"


async def test_an_offers_own_word_wins_over_the_models_and_is_kept(api):
    offers = [{"provider": "able"}, {"provider": "unable", "toolCall": False}]
    await api.http.post("/api/v1/models", json={**MODEL, "offers": offers})
    model = (await api.http.get(PATH)).json()
    assert [offer["toolCall"] is None for offer in model["offers"]] == [True, False]
    assert model["offers"][1]["toolCall"]["value"] is False
    body = {"task": "x", "constraints": {"abilities": ["tool_call"]}}
    answer = (await api.http.post("/api/v1/select", json=body)).json()
    assert answer["choices"][0]["offer"]["provider"] == "able"
    assert answer["choices"][0]["alternatives"] == []
    assert answer["exclusions"][0]["provider"] == "unable"


async def test_a_key_in_the_place_of_its_reference_is_refused_and_not_repeated(api):
    offer = {**MODEL["offers"][0], "apiKey": "sk-verysecret"}
    answer = await api.http.post("/api/v1/models", json={**MODEL, "offers": [offer]})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["path"] == "offers.0.apiKey"
    assert "verysecret" not in answer.text


async def test_put_makes_a_model_or_replaces_it(api):
    assert (await api.http.put(PATH, json=MODEL)).status_code == 201
    assert (await api.http.put(PATH, json=MODEL)).status_code == 200
    bare = {"name": MODEL["name"], "description": "Now bakes bread.", "enabled": False}
    replaced = await api.http.put(PATH, json=bare)
    assert replaced.status_code == 200
    assert replaced.json()["descriptor"]["license"] is None
    assert replaced.json()["offers"] == []
    assert replaced.json()["enabled"] is False
    assert (await api.http.get(PATH)).json() == replaced.json()


async def test_a_model_switched_off_is_neither_found_nor_chosen(api):
    await api.http.post("/api/v1/models", json=MODEL)
    assert (await api.http.post(PATH + "/disable")).json()["enabled"] is False
    query = {"task": "summarise contracts"}
    assert (await api.http.post("/api/v1/select", json=query)).json()["choices"] == []
    await api.http.post(PATH + "/enable")
    choices = (await api.http.post("/api/v1/select", json=query)).json()["choices"]
    assert [choice["model"] for choice in choices] == [MODEL["name"]]


async def test_a_removed_model_is_gone(api):
    await api.http.post("/api/v1/models", json=MODEL)
    assert (await api.http.delete(PATH)).status_code == 204
    assert (await api.http.get(PATH)).status_code == 404
    assert (await api.http.delete(PATH)).status_code == 404
    assert (await api.http.get("/api/v1/models")).json()["items"] == []


@pytest.mark.parametrize("name", ["", "/a", "a/", "a//b", "a/../b", "a/enable", "a\0b", "x" * 257])
async def test_a_name_that_no_path_can_hold_is_refused(api, name):
    answer = await api.http.post("/api/v1/models", json={"name": name})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["path"] == "name"


@pytest.mark.parametrize(
    ("offer", "path"),
    [
        ({"priceInUsd": -1}, "offers.0.priceInUsd"),
        ({"priceInUsd": "cheap"}, "offers.0.priceInUsd"),
        ({"contextTokens": 0}, "offers.0.contextTokens"),
        ({"contextTokens": 10**30}, "offers.0.contextTokens"),
        ({"endpoint": "file:///etc/passwd"}, "offers.0.endpoint"),
    ],
)
async def test_a_value_that_cannot_be_names_its_field(api, offer, path):
    body = {"name": "m", "offers": [{"provider": "p", **offer}]}
    answer = await api.http.post("/api/v1/models", json=body)
    assert answer.status_code == 400
    assert {error["path"].removesuffix(".value") for error in answer.json()["errors"]} == {path}


async def test_models_are_listed_by_name_and_filtered_by_text(api):
    for name in ("b/two", "a/one"):
        await api.http.post("/api/v1/models", json={"name": name})
    listed = (await api.http.get("/api/v1/models")).json()["items"]
    assert [model["name"] for model in listed] == ["a/one", "b/two"]
    filtered = (await api.http.get("/api/v1/models", params={"text": "TWO"})).json()["items"]
    assert [model["name"] for model in filtered] == ["b/two"]


# --- what can be called ------------------------------------------------------------------------

KEYS = KeyRing([ApiKey("boss", "admin-key-0123456789", Role.ADMIN)])
BOSS = {"Authorization": "Bearer admin-key-0123456789"}
LAUNCH = {"command": "serve", "args": ["--port", "{port}"], "env": {"HF_HOME": "/models"}}


def offering(**offer: Any) -> dict[str, Any]:
    return {"name": "acme/local", "offers": [{"provider": "acme", **offer}]}


async def test_a_command_is_not_registered_over_the_network(api, open_api):
    refused = await api.http.post("/api/v1/models", json=offering(launch=LAUNCH))
    assert refused.status_code == 403
    assert "toolcrib import" in refused.json()["detail"]


async def test_a_command_is_kept_and_shown_where_it_may_be_registered(open_api):
    async with open_api(allow_stdio=True) as api:
        made = await api.http.post("/api/v1/models", json=offering(launch=LAUNCH))
        assert made.status_code == 201
        shown = (await api.http.get("/api/v1/models/acme/local")).json()["offers"][0]["launch"]
        assert shown == {
            **LAUNCH,
            "cwd": None,
            "health": "/health",
            "startTimeoutS": 300.0,
            "idleTimeoutS": 300.0,
        }
        for secret in ({"args": ["--api-key", "sk-x"]}, {"env": {"HF_TOKEN": "hf_0123"}}):
            launch = {"command": "serve", **secret}
            refused = await api.http.post("/api/v1/models", json=offering(launch=launch))
            assert refused.status_code == 400
            assert "looks like a secret" in refused.json()["detail"]


async def test_a_remote_administrator_cannot_send_this_machines_secrets_elsewhere(open_api):
    keyed = {"apiKey": "${ACME_KEY}"}
    async with open_api(keys=KEYS) as api:
        api.http.headers.update(BOSS)
        theirs = offering(endpoint="https://evil.example/v1", **keyed)
        refused = await api.http.post("/api/v1/models", json=theirs)
        assert refused.status_code == 403
        hidden = offering(endpoint="https://evil.example/${ACME_KEY}")
        assert (await api.http.post("/api/v1/models", json=hidden)).status_code == 403
        plain = offering(endpoint="https://open.example/v1")
        assert (await api.http.post("/api/v1/models", json=plain)).status_code == 201


async def test_what_is_stored_may_stay_as_it_is(open_api):
    async with open_api() as api:
        stored = offering(endpoint="https://models.example/v1", apiKey="${ACME_KEY}")
        assert (await api.http.post("/api/v1/models", json=stored)).status_code == 201
        api.deps.store.put_model(
            model_of(
                wire.ModelIn.parse({**stored, "offers": [*stored["offers"], {"provider": "x"}]}),
                today=datetime.now(UTC).date(),
            ),
            actor="test",
        )
    async with open_api(keys=KEYS) as api:
        api.http.headers.update(BOSS)
        path = "/api/v1/models/acme/local"
        dearer = offering(endpoint="https://models.example/v2", apiKey="${ACME_KEY}", priceInUsd=2)
        assert (await api.http.put(path, json=dearer)).status_code == 200
        moved = offering(endpoint="https://evil.example/v1", apiKey="${ACME_KEY}")
        assert (await api.http.put(path, json=moved)).status_code == 403


@pytest.mark.parametrize("endpoint", ["http://user:pw@x.example/v1", "https://x.example:0/\\v1"])
async def test_an_endpoint_that_cannot_be_called_is_refused(api, endpoint):
    refused = await api.http.post("/api/v1/models", json=offering(endpoint=endpoint))
    assert refused.status_code == 400
    assert "offers.0.endpoint" in refused.json()["detail"]
