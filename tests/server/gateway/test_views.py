"""What a model is shown of an entry."""

import json
from typing import Any

from toolcrib_embeddings.search import Signal
from toolcrib_registry.types import Counts, EntryKind, Model, Offer, Revision, ServerName, Tool
from toolcrib_server.gateway.definitions import instructions, meta_tools
from toolcrib_server.gateway.views import (
    Detail,
    render_answer,
    render_entry,
    render_offer,
    render_text,
    signature_of,
)
from toolcrib_server.selection.selector import Answer, Found


def tool(name: str = "now", **definition: Any) -> Tool:
    definition = {"name": name, "inputSchema": {"type": "object"}, **definition}
    return Tool(
        name=f"clock__{name}",
        description=str(definition.get("description", "")),
        server=ServerName("clock"),
        local_name=name,
        definition=definition,
    )


def answer(*tools: Tool) -> Answer:
    found = tuple(Found(t, 1.0 - i, {"dense": Signal(i + 1, 0.5)}) for i, t in enumerate(tools))
    return Answer("what time is it", found, Revision(7), searched=12)


def words(text: str) -> int:
    return len(text.split())


def test_each_level_of_detail_says_more_than_the_one_before() -> None:
    one = tool(description="Tell the time.", outputSchema={"type": "object"})
    sizes = [
        len(json.dumps(render_answer(answer(one), detail, count_tokens=words)))
        for detail in (Detail.NAME, Detail.BRIEF, Detail.FULL)
    ]
    assert sizes == sorted(set(sizes))


def test_a_name_alone_is_name_kind_and_server() -> None:
    view = render_answer(answer(tool()), Detail.NAME, count_tokens=words)
    assert view["results"] == [{"name": "clock__now", "kind": "tool", "server": "clock"}]
    assert view["revision"] == 7
    assert view["searched"] == 12


def test_results_beyond_the_budget_are_left_out_and_counted() -> None:
    tools = [tool(f"t{i}", description="word " * 20) for i in range(5)]
    whole = render_answer(answer(*tools), Detail.BRIEF, count_tokens=words)
    assert "omitted" not in whole
    cut = render_answer(answer(*tools), Detail.BRIEF, max_tokens=120, count_tokens=words)
    assert 0 < len(cut["results"]) < 5
    assert cut["omitted"] == 5 - len(cut["results"])
    assert cut["results"] == whole["results"][: len(cut["results"])]
    assert f"({cut['omitted']} more left out" in render_text(cut)


def test_a_long_description_is_cut_only_in_the_brief_view() -> None:
    long = tool(description="word " * 500)
    brief = render_answer(answer(long), Detail.BRIEF, count_tokens=words)["results"][0]
    assert len(brief["description"]) <= 300
    assert brief["description"].endswith("…")
    full = render_answer(answer(long), Detail.FULL, count_tokens=words)["results"][0]
    assert full["description"] == "word " * 500


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


def test_optional_arguments_are_marked_and_odd_schemas_survive() -> None:
    schema = {
        "properties": {
            "a": {"type": "string"},
            "b": {"type": ["integer", "null"]},
            "c": {"enum": ["x", 2]},
            "d": True,
            "e": {},
        },
        "required": ["a"],
    }
    assert signature_of(schema) == {
        "a": "string",
        "b": "integer|null?",
        "c": '"x"|2?',
        "d": "any?",
        "e": "any?",
    }
    assert signature_of({"properties": ["not", "an", "object"], "required": 3}) == {}


def test_an_offer_never_shows_its_credentials() -> None:
    offer = Offer(provider="acme", remote_model="m", endpoint="https://x", api_key="${ACME_KEY}")
    assert "ACME_KEY" not in json.dumps(render_offer(offer))
    model = Model(name="m", offers=(offer,))
    assert "ACME_KEY" not in json.dumps(render_entry(model))


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
