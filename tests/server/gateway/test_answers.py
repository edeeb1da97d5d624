"""What a model is shown of a search: in order, in its budget, with all there is to say."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolcrib_embeddings import Signal
from toolcrib_registry.types import Model, Prompt, Revision, ServerName, Tool
from toolcrib_server.gateway.answers import Detail, Wanted, show_answer
from toolcrib_server.gateway.sentences import explain, say_chance
from toolcrib_server.selection.brief import brief_of
from toolcrib_server.selection.question import Filters
from toolcrib_server.selection.selector import Answer, Found
from toolcrib_server.selection.tokens import TokenCounter

COUNT = TokenCounter()
NAME = Wanted(detail=Detail.NAME)
FULL = Wanted(detail=Detail.FULL)


def tool(name: str = "now", *, server: str = "clock", **definition: Any) -> Tool:
    definition = {"name": name, "inputSchema": {"type": "object"}, **definition}
    return Tool(
        name=f"{server}__{name}",
        description=str(definition.get("description", "")),
        server=ServerName(server),
        local_name=name,
        definition=definition,
    )


def found(entry: Any, place: int = 1, **more: Any) -> Found:
    return Found(brief_of(entry), 1.0 - place, {"dense": Signal(place, 0.5)}, **more)


def answer(*tools: Tool, **more: Any) -> Answer:
    results = tuple(found(one, place) for place, one in enumerate(tools, start=1))
    return Answer("what time is it", results, Revision(7), searched=12, **more)


def shown(given: Answer, wanted: Wanted, *tools: Tool) -> tuple[dict[str, Any], str]:
    one = show_answer(given, wanted, entries={t.id: t for t in tools}, count_tokens=COUNT)
    return one.view, one.text


def test_each_level_of_detail_says_more_than_the_one_before():
    schema = {"type": "object", "properties": {"zone": {"type": "string"}}}
    one = tool(description="Tell the time.", inputSchema=schema, outputSchema={"type": "object"})
    views, texts = zip(*(shown(answer(one), w, one) for w in (NAME, Wanted(), FULL)), strict=True)
    sizes = [len(json.dumps(view)) for view in views]
    assert sizes == sorted(set(sizes))
    assert texts[0].startswith("1. clock__now\n")
    assert "clock__now(zone: string?): Tell the time." in texts[1]
    assert f"inputSchema: {json.dumps(schema, separators=(',', ':'))}" in texts[2]


def test_a_name_alone_is_name_kind_and_server():
    view, _ = shown(answer(tool()), NAME)
    assert view["results"] == [{"name": "clock__now", "kind": "tool", "server": "clock"}]
    assert (view["revision"], view["searched"], view["abstained"]) == (7, 12, False)


def test_the_full_view_is_what_was_listed_and_the_brief_one_is_cut():
    long = tool(description="word " * 500, annotations={"readOnlyHint": True})
    brief = shown(answer(long), Wanted())[0]["results"][0]
    assert len(brief["description"]) <= 300
    full = shown(answer(long), FULL, long)[0]["results"][0]
    assert full["description"] == "word " * 500
    assert full["annotations"] == {"readOnlyHint": True}
    gone = shown(answer(long), FULL)[0]["results"][0]
    assert gone["description"] == brief["description"]


def test_nothing_that_fits_is_said_plainly_with_the_nearest_marked():
    given = answer(tool("a"), tool("b"), abstained=True, likelihood=0.0312)
    view, text = shown(given, Wanted())
    assert text.startswith(
        "Nothing in the registry seems to fit (likelihood that anything does: 3%). "
        "The nearest, all unlikely:\n1. "
    )
    assert text.count("(unlikely)") == 2
    assert "say so, or search in other words" in text
    assert "call_tool" not in text
    assert (view["abstained"], view["likelihood"]) == (True, 0.031)
    assert [result["unlikely"] for result in view["results"]] == [True, True]


def test_alternatives_dependencies_and_steps_are_shown():
    many = tuple(f"s{i}__now" for i in range(30))
    given = Answer(
        ("ask", "book"),
        (
            found(tool("now"), 1, alternatives=("mail__now", "post__now"), steps=(0, 1)),
            found(tool("zone"), 2, required_by=("clock__now",), alternatives=many, likelihood=0.5),
        ),
        Revision(7),
        searched=12,
        steps=("ask", "book " + "x" * 200),
        step_likelihoods=(0.8312, 0.0412),
    )
    view, text = shown(given, Wanted())
    lines = text.splitlines()
    assert lines[0].startswith("Steps: 1. ask (something fits: 83%) 2. book xxx")
    assert lines[0].endswith("x… (something fits: 4%)")
    assert len(lines[0]) < 160
    assert lines[1] == "1. clock__now() (for step 1, 2)"
    assert lines[2] == "   also at: mail__now, post__now"
    assert lines[3] == "2. clock__zone() (needed by clock__now)"
    assert lines[4].endswith("s4__now and 25 more")
    first, second = view["results"]
    assert (first["alternatives"], first["steps"]) == (["mail__now", "post__now"], [0, 1])
    assert (second["neededBy"], second["likelihood"]) == (["clock__now"], 0.5)
    assert len(second["alternatives"]) == 20
    assert view["steps"][0] == "ask"
    assert view["stepLikelihoods"] == [0.831, 0.041]


def test_every_signal_is_shown_where_it_is_asked_for():
    signals = {
        "dense": Signal(1, 0.62, 1.9),
        "lexical": Signal(3, 12.4),
        "name": Signal(2, 0.1, -0.2),
    }
    one = Found(brief_of(tool()), 1.7, signals, likelihood=0.834)
    given = Answer("x", (one,), Revision(1), searched=1)
    view, text = shown(given, Wanted())
    assert view["results"][0]["signals"] == {
        "dense": {"rank": 1, "score": 0.62},
        "lexical": {"rank": 3, "score": 12.4},
    }
    assert "why" not in text
    view, text = shown(given, Wanted(explain=True))
    assert view["results"][0]["signals"]["name"] == {"rank": 2, "score": 0.1, "contribution": -0.2}
    assert f"   why: {explain(one)}" in text
    assert explain(one) == (
        "dense #1 0.620 (+1.900), lexical #3 12.400, name #2 0.100 (-0.200), "
        "score 1.700, likely 83%"
    )


def test_results_are_grouped_by_server_and_keep_their_places():
    model = found(Model(name="acme/m"), 3)
    plain = answer(tool("a"), tool("b", server="mail"), tool("c"))
    given = Answer("x", (*plain.found, model), Revision(1), searched=4)
    view, text = shown(given, Wanted(group_by_server=True))
    assert view["groups"] == [
        {"server": "clock", "names": ["clock__a", "clock__c"]},
        {"server": "mail", "names": ["mail__b"]},
        {"server": None, "names": ["acme/m"]},
    ]
    assert [result["name"] for result in view["results"]][1] == "mail__b"
    assert text.splitlines()[:5] == [
        "clock:",
        "1. clock__a()",
        "3. clock__c()",
        "mail:",
        "2. mail__b()",
    ]


def test_what_is_no_tool_says_what_it_is_and_is_not_to_be_called():
    prompt = Prompt(name="a__b", server=ServerName("a"), local_name="b", definition={})
    given = Answer("x", (found(prompt),), Revision(1), searched=1)
    _, text = shown(given, Wanted())
    assert text == "1. a__b [prompt]"


@pytest.mark.parametrize(
    ("searched", "filters", "says"),
    [
        (0, Filters(), "The registry is empty"),
        (9, Filters(), "Nothing fits among 9 entries. Try other words."),
        (9, Filters.of(tags=["x"]), "Nothing among 9 entries passes the filters."),
    ],
)
def test_an_empty_answer_says_why(searched, filters, says):
    given = Answer("x", (), Revision(1), searched=searched, filters=filters)
    view, text = shown(given, Wanted())
    assert text.startswith(says)
    assert view["results"] == []


# --- the budget --------------------------------------------------------------------------------


def sizes(view: dict[str, Any], text: str) -> tuple[int, int]:
    return COUNT(json.dumps(view, ensure_ascii=False)), COUNT(text)


def test_results_beyond_the_budget_are_left_out_and_counted():
    tools = [tool(f"t{i}", description="word " * 20) for i in range(5)]
    whole, _ = shown(answer(*tools), Wanted(max_tokens=10_000))
    assert "omitted" not in whole
    cut, text = shown(answer(*tools), Wanted(max_tokens=200))
    assert 0 < len(cut["results"]) < 5
    assert cut["omitted"] == 5 - len(cut["results"])
    assert cut["results"] == whole["results"][: len(cut["results"])]
    says = (
        f'{cut["omitted"]} left out to keep within max_tokens=200: raise it, or ask detail="name".'
    )
    assert says in text


def test_the_budget_is_used():
    tools = [tool(f"t{i}", description="word " * 20) for i in range(40)]
    for budget in (400, 1_000, 2_000):
        view, text = shown(answer(*tools), Wanted(max_tokens=budget))
        one = COUNT(json.dumps(view["results"][-1])) + 1
        assert budget - 2 * one < max(sizes(view, text)) <= budget


def test_where_no_result_fits_names_are_given():
    tools = [tool(f"t{i}", description="a b c " * 50) for i in range(3)]
    view, text = shown(answer(*tools), Wanted(max_tokens=150))
    assert view["detail"] == "name"
    assert [result["name"] for result in view["results"]] == [t.name for t in tools]
    assert "room for names only: get_tool_details" in text


def test_where_not_even_a_name_fits_what_to_do_is_said():
    view, text = shown(answer(tool("x" * 200), abstained=True), Wanted(max_tokens=50))
    assert (view["results"], view["omitted"]) == ([], 1)
    assert text == (
        "Nothing in the registry seems to fit. 1 left out to keep within max_tokens=50: raise it."
    )


words = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
names = st.text("abcXYZ_-019", min_size=1, max_size=40)
results = st.lists(
    st.builds(
        lambda name, description, others, steps, chance: found(
            tool(name, description=description),
            alternatives=tuple(others),
            required_by=tuple(others[:1]),
            steps=tuple(steps),
            likelihood=chance,
        ),
        names,
        words,
        st.lists(names, max_size=3),
        st.lists(st.integers(0, 15), max_size=2),
        st.none() | st.floats(0, 1),
    ),
    max_size=6,
)


@given(
    results,
    st.lists(words, max_size=16),
    st.booleans(),
    st.integers(50, 900),
    st.sampled_from([*Detail]),
    st.booleans(),
    st.booleans(),
)
def test_neither_form_ever_exceeds_the_budget(  # noqa: PLR0917  # hypothesis gives them in order
    given_results, steps, abstained, budget, detail, explained, grouped
):
    given = Answer(
        "x",
        tuple(given_results),
        Revision(123_456),
        searched=17_570,
        steps=tuple(steps),
        step_likelihoods=(0.123456,) * len(steps),
        abstained=abstained,
        likelihood=0.123456,
    )
    wanted = Wanted(detail=detail, explain=explained, group_by_server=grouped, max_tokens=budget)
    view, text = shown(given, wanted)
    assert max(sizes(view, text)) <= budget
    assert len(view["results"]) + view.get("omitted", 0) == len(given_results)


def test_an_empty_answer_of_many_steps_keeps_within_the_budget():
    given = Answer("x", (), Revision(1), searched=9, steps=("word " * 9,) * 16)
    view, text = shown(given, Wanted(max_tokens=50))
    assert text == "Nothing fits among 9 entries. Try other words."
    assert max(sizes(view, text)) <= 50


def test_the_same_answer_is_shown_in_the_same_bytes():
    tools = [tool(f"t{i}", description="word " * i) for i in range(9)]
    for wanted in (Wanted(), FULL, Wanted(explain=True, group_by_server=True, max_tokens=300)):
        pairs = [shown(answer(*tools), wanted, *tools) for _ in range(2)]
        assert json.dumps(pairs[0]) == json.dumps(pairs[1])


@pytest.mark.parametrize(
    ("likelihood", "said"),
    [(0.0, "<1%"), (0.009, "<1%"), (0.01, "1%"), (0.5, "50%"), (0.99, "99%"), (0.998, ">99%")],
)
def test_a_likelihood_is_never_said_to_be_certain(likelihood: float, said: str) -> None:
    assert say_chance(likelihood) == said
