"""A model that is switched off is asked by nobody, whichever door they come through."""

import json
import sys
from typing import Any

import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError

from toolcrib_server.upstream.models.testing import open_provider

ASKED = "what is the sum of 2 and 2"
CHECKED = {"models": ["large", "small"], "verify": [{"kind": "pattern", "pattern": "^[0-9]+$"}]}


def model(name: str, mood: str, price: float, **offer: Any) -> dict[str, Any]:
    prices = {"priceInUsd": price, "priceOutUsd": price}
    return {"name": name, "offers": [{"provider": "acme", "remoteModel": mood} | prices | offer]}


def chat(name: str, **own: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": ASKED}]
    return {"model": name, "temperature": 0, "messages": messages, "toolcrib": own}


@pytest.fixture
async def house(open_house):
    """Serve two models, of which the large one has answered, and is then switched off."""
    async with open_provider() as provider, open_house(answer_cache="exact") as house:
        for name, mood, price in (("small", "says:4", 1), ("large", "says:5", 9)):
            given = model(name, mood, price, endpoint=provider.url)
            assert (await house.http.post("/api/v1/models", json=given)).status_code == 201
        answered = await house.http.post("/v1/chat/completions", json=chat("large"))
        assert answered.headers["x-toolcrib-cache"] == "miss", answered.text
        before = len(provider.bodies)
        assert (await house.http.post("/api/v1/models/large/disable")).status_code == 200
        yield house
        asked = {body["model"] for body in provider.bodies[before:]}
        assert "says:5" not in asked, "the large one was asked"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("chat/completions", chat("large")),
        ("chat/completions", chat("large@acme")),
        ("chat/completions", chat("large") | {"stream": True}),
        ("chat/completions", chat("auto", cascade=CHECKED)),
        ("embeddings", {"model": "large", "input": "two"}),
    ],
)
async def test_it_is_refused_by_name_also_where_its_answer_is_kept(house, path, asked):
    refused = await house.http.post(f"/v1/{path}", json=asked)
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "not_callable")
    assert "'large' is disabled" in refused.json()["error"]["message"]


@pytest.mark.anyio
async def test_nobody_is_offered_it_and_auto_passes_it_over(house):
    listed = (await house.http.get("/v1/models")).json()["data"]
    assert {each["id"] for each in listed} == {"auto", "toolcrib", "small"}
    answered = await house.http.post("/v1/chat/completions", json=chat("auto:longest"))
    assert answered.headers["x-toolcrib-model"] == "small"
    await house.http.post("/api/v1/models/small/disable")
    refused = await house.http.post("/v1/chat/completions", json=chat("auto"))
    assert refused.json()["error"]["code"] == "no_model_fits"


@pytest.mark.anyio
async def test_an_assistant_is_refused_it_and_calls_no_model_through_a_view(house):
    view = {"name": "desk", "include": {"tags": ["mail"]}, "mode": "search"}
    assert (await house.http.post("/api/v1/views", json=view)).status_code == 201
    async with Client(house.mcp) as client:
        refused: Any = await client.call_tool("call_model", {"messages": ASKED, "model": "large"})
        assert refused.is_error
        assert "'large' is disabled" in refused.content[0].text
    async with Client(f"{house.url}/mcp/v/desk") as client:
        assert "call_model" not in {tool.name for tool in (await client.list_tools()).tools}
        with pytest.raises(MCPError, match="call_model"):
            await client.call_tool("call_model", {"messages": ASKED, "model": "small"})


def test_the_shell_is_refused_it(toolcrib, tmp_path):
    launch = {
        "command": sys.executable,
        "args": ["-m", "toolcrib_server.upstream.models.testing", "{port}"],
    }
    (tmp_path / "models.json").write_text(json.dumps([model("large", "says:5", 0, launch=launch)]))
    assert toolcrib("import", tmp_path / "models.json").code == 0
    assert toolcrib("disable", "large").code == 0
    refused = toolcrib("chat", ASKED, "--model", "large")
    assert refused.code != 0
    assert "'large' is disabled" in refused.err
