"""tools.jsonl: good rows are read, bad ones named, names come out unique and stable."""

import json
import time

import pytest

from toolcrib_registry.types import (
    DEPENDS_ON_KEY,
    MAX_NAME_LENGTH,
    QUESTIONS_KEY,
    TAGS_KEY,
    hash_content,
)
from toolcrib_server.catalog.problem import Problem
from toolcrib_server.catalog.tools import ImportedTool, read_tools_jsonl


def row(**fields) -> str:
    return json.dumps({"name": "convert", "server": "time", **fields})


def read(*lines, **options):
    found = list(read_tools_jsonl(lines, **options))
    tools = [item.tool for item in found if isinstance(item, ImportedTool)]
    return tools, [item for item in found if isinstance(item, Problem)]


def test_a_row_becomes_a_tool_in_the_shape_of_mcp():
    schema = {"type": "object", "properties": {"zone": {"type": "string"}}}
    line = row(id="t1", description="Converts.", input_schema=schema, homepage="extra")
    ((tool,), problems) = read(line)
    assert problems == []
    assert tool.name == "time__convert"
    assert (tool.server, tool.local_name, tool.source_id) == ("time", "convert", "t1")
    assert tool.definition == {
        "name": "convert",
        "description": "Converts.",
        "inputSchema": schema,
    }
    assert tool.content_hash == hash_content(tool.definition)


def test_what_a_row_declares_beside_is_kept_where_mcp_has_a_place_for_it():
    line = row(
        title=" Convert ",
        annotations={"readOnlyHint": True},
        output_schema={"type": "object"},
        tags=["time", "zones", "time"],
        category="Date  & Time",
        domain=["Travel"],
        functionality=None,
        depends_on=["parse", {"name": "zone", "reason": "a zone is needed"}],
        synthetic_questions=["When is noon in Tokyo?", " "],
        examples=["What time is it?", {"input": 1}],
    )
    ((tool,), problems) = read(line)
    assert problems == []
    assert tool.title == tool.definition["title"] == "Convert"
    assert tool.descriptor.read_only is not None
    assert tool.output_schema == {"type": "object"}
    assert tool.tags == ("time", "zones", "Date & Time", "Travel")
    assert tool.definition["_meta"] == {
        TAGS_KEY: list(tool.tags),
        DEPENDS_ON_KEY: ["parse", "zone"],
        QUESTIONS_KEY: ["When is noon in Tokyo?", "What time is it?"],
    }
    assert tool.content_hash == hash_content(tool.definition)


@pytest.mark.parametrize(
    "change",
    [
        {"title": "T"},
        {"annotations": {"readOnlyHint": False}},
        {"outputSchema": {"type": "string"}},
        {"tags": ["other"]},
        {"category": "other"},
        {"depends_on": ["other"]},
        {"questions": ["other?"]},
    ],
)
def test_the_content_hash_covers_each_declared_field(change):
    ((plain,), _), ((changed,), _) = read(row()), read(row(**change))
    assert plain.content_hash != changed.content_hash
    assert read(row(**change))[0][0].content_hash == changed.content_hash


def test_what_a_row_declares_is_bounded():
    many = [f"{i} " + "x" * 1_000 for i in range(500)]
    ((tool,), problems) = read(row(tags=many, depends_on=many, questions=many))
    assert problems == []
    meta = tool.definition["_meta"]
    assert {key: len(words) for key, words in meta.items()} == {
        TAGS_KEY: 16,
        DEPENDS_ON_KEY: 64,
        QUESTIONS_KEY: 16,
    }
    assert {key: max(map(len, words)) for key, words in meta.items()} == {
        TAGS_KEY: 80,
        DEPENDS_ON_KEY: 256,
        QUESTIONS_KEY: 300,
    }


def test_a_malformed_row_claims_no_name():
    tools, problems = read(row(id="a", tags=5), row(id="a"))
    assert (len(tools), len(problems)) == (1, 1)


def test_other_spellings_of_a_row_are_read():
    lines = [
        json.dumps({"name": "a", "group": "G"}),
        json.dumps({"name": "b", "inputSchema": {"type": "object", "title": "x"}}),
        json.dumps({"name": "c", "id": 7, "input_schema": None}),
        "\ufeff" + json.dumps({"name": "d"}),
        row(name="e").encode(),
    ]
    tools, problems = read(*lines, default_server="My File")
    assert problems == []
    assert [tool.server for tool in tools] == ["G", "My-File", "My-File", "My-File", "time"]
    assert tools[1].input_schema["title"] == "x"
    assert tools[2].source_id == "7"
    assert tools[0].input_schema == {"type": "object"}


def test_arguments_as_openai_has_them_are_read_and_other_parameters_passed_over():
    schema = {"type": "object", "properties": {"zone": {"type": "string"}}}
    tools, problems = read(
        row(name="a", parameters=schema),
        row(name="b", parameters={"zone": "string"}),
        row(name="c", parameters=["zone"], input_schema={"type": "object", "title": "x"}),
    )
    assert problems == []
    plain = {"type": "object"}
    assert [tool.input_schema for tool in tools] == [schema, plain, {**plain, "title": "x"}]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{not json", "not JSON"),
        ("[1]", "object was expected"),
        ("[" * 100_000, "not JSON"),
        (json.dumps({"server": "s"}), "no 'name'"),
        (row(name=""), "no 'name'"),
        (row(name=5), "'name' must be text, not int"),
        (row(description=["x"]), "'description' must be text"),
        (row(server={}), "'server' must be text"),
        (row(input_schema="{}"), "'input_schema' must be an object"),
        (row(id=[1]), "'id' must be text"),
        (row(title=["x"]), "'title' must be text, not list"),
        (row(annotations=[1]), "'annotations' must be an object, not list"),
        (row(output_schema="x"), "'output_schema' must be an object, not str"),
        (row(outputSchema=[]), "'outputSchema' must be an object, not list"),
        (row(tags="a, b"), "'tags' must be a list, not str"),
        (row(tags=["a", 1]), "'tags[1]' must be text, not int"),
        (row(category=4), "'category' must be a list, not int"),
        (row(depends_on="parse"), "'depends_on' must be a list, not str"),
        (row(depends_on=[{"id": 1}]), "'depends_on[0]' must be a name, or an object with one"),
        (row(questions={"a": 1}), "'questions' must be a list, not dict"),
        (row(synthetic_questions=[None]), "'synthetic_questions[0]' must be text"),
        ('{"name": "\\ud800"}', "cannot be stored"),
        ('{"name": "a\\u0000b"}', "NUL"),
        (b'{"name": "\xff"}', "not text in UTF-8"),
    ],
)
def test_a_bad_row_is_named_with_its_line_and_the_others_are_read(line, reason):
    tools, (problem,) = read(row(name="before"), "", line, row(name="after"))
    assert [tool.local_name for tool in tools] == ["before", "after"]
    assert problem.where == "line 3"
    assert reason in problem.reason


def test_text_about_nul_is_only_text():
    tools, problems = read(row(description="write \\u0000 for NUL"))
    assert (len(tools), problems) == (1, [])


def test_two_ids_with_one_name_are_kept_apart_by_the_id_and_stay_so():
    lines = [row(id="first"), row(id="second"), row(id="third")]
    tools, problems = read(*lines)
    assert problems == []
    names = [tool.name for tool in tools]
    assert names[0] == "time__convert"
    assert len(set(names)) == 3
    assert all(len(name.removeprefix("time__convert-")) == 8 for name in names[1:])
    assert [tool.name for tool in read(*lines)[0]] == names
    assert len({tool.local_name for tool in tools}) == 1


def test_long_names_stay_within_the_limit_and_apart():
    lines = [row(id=str(i), name="x" * 80) for i in range(3)]
    names = [tool.name for tool in read(*lines)[0]]
    assert len(set(names)) == 3
    assert max(map(len, names)) <= MAX_NAME_LENGTH


def test_an_id_or_a_name_listed_twice_is_a_problem():
    tools, problems = read(row(id="a"), row(id="a", name="other"), row(), row())
    assert len(tools) == 1
    assert [problem.where for problem in problems] == ["line 2", "line 3", "line 4"]


def test_server_names_are_cleaned_and_kept_apart():
    lines = [row(name=f"t{i}", server=s) for i, s in enumerate(["a b", "a/b", "a b", "x__y"])]
    servers = [tool.server for tool in read(*lines)[0]]
    assert servers[0] == servers[2] == "a-b"
    assert servers[1].startswith("a-b-")
    assert servers[3] == "x_y"


def test_reading_streams():
    def endless():
        number = 0
        while True:
            yield row(name=f"t{number}")
            number += 1

    first = next(iter(read_tools_jsonl(endless())))
    assert isinstance(first, ImportedTool)
    assert first.line == 1


def test_seventeen_thousand_rows_take_seconds():
    schema = {"type": "object", "properties": {f"p{i}": {"type": "string"} for i in range(8)}}
    lines = [
        row(
            id=str(i),
            server=f"s{i % 2000}",
            name=f"t{i}",
            description="d" * 300,
            input_schema=schema,
        )
        for i in range(17_570)
    ]
    started = time.process_time()
    tools, problems = read(*lines)
    assert (len(tools), problems) == (17_570, [])
    assert time.process_time() - started < 8
