"""What a model is shown of an entry."""

import json
from typing import Any

from toolcrib_registry.types import Counts, EntryKind, Model, Offer, Revision, ServerName, Tool
from toolcrib_server.gateway.definitions import instructions, meta_tools
from toolcrib_server.gateway.rendering import render_entry, render_offer


def tool(name: str = "now", **definition: Any) -> Tool:
    definition = {"name": name, "inputSchema": {"type": "object"}, **definition}
    return Tool(
        name=f"clock__{name}",
        description=str(definition.get("description", "")),
        server=ServerName("clock"),
        local_name=name,
        definition=definition,
    )


def test_the_full_view_is_what_the_server_listed() -> None:
    definition: dict[str, Any] = {
        "title": "Now",
        "description": "Tell the time.",
        "annotations": {"readOnlyHint": True},
        "_meta": {"a": 1},
        "icons": [{"src": "data:,"}],
    }
    view = render_entry(tool(**definition))
    assert definition.items() <= view.items()
    assert view["name"] == "clock__now"
    assert view["localName"] == "now"


def test_a_server_cannot_say_what_names_its_entry() -> None:
    view = render_entry(tool(kind="model", server="bank", localName="other", description="x"))
    assert (view["kind"], view["server"], view["localName"]) == ("tool", "clock", "now")
    assert view["description"] == "x"


def test_an_offer_never_shows_its_credentials() -> None:
    offer = Offer(provider="acme", remote_model="m", endpoint="https://x", api_key="${ACME_KEY}")
    assert "ACME_KEY" not in json.dumps(render_offer(offer))
    model = Model(name="m", offers=(offer,))
    assert "ACME_KEY" not in json.dumps(render_entry(model))


def test_the_list_of_tools_stays_small() -> None:
    shown = [
        {key: tool[key] for key in ("name", "description", "inputSchema")}
        for tool in meta_tools(["time", "git", "fetch"])
    ]
    assert len(json.dumps(shown, separators=(",", ":"))) < 6_300


def test_the_list_of_tools_is_the_same_each_time() -> None:
    assert json.dumps(meta_tools(["a", "b"])) == json.dumps(meta_tools(["a", "b"]))


def test_many_servers_are_named_up_to_a_point() -> None:
    description = meta_tools([f"s{i:03}" for i in range(100)])[0]["description"]
    assert "s029 and 70 more" in description
    assert len(description) < 1_500


def test_the_instructions_count_what_is_there() -> None:
    counts = Counts(
        servers=2, entries={EntryKind.TOOL: 1, EntryKind.MODEL: 2}, embeddings=0, head=Revision(3)
    )
    text = instructions(counts, ["a", "b"])
    assert "1 tool of 2 servers and 2 models" in text
