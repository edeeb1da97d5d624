"""Folders into judged sets, and what is said of folders that are none."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from toolcrib_registry.errors import InvalidInput
from toolcrib_server.evaluation.rows import MAX_LINE_BYTES
from toolcrib_server.evaluation.sets import LeftOut, find_sets, read_set

from .conftest import TOOLS, WriteSet


def test_a_set_is_read_with_the_folders_own_ids(write_set: WriteSet) -> None:
    found = read_set("mine", write_set())
    assert sorted(found.ids.values()) == ["m/1", "m/2", "w/1"]
    assert found.ids[found.documents[0].id] == "w/1"
    assert found.queries == {"q1": "weather of a city", "q2": "list unread e-mails"}
    assert found.judgements == {"q1": {"w/1": 1}, "q2": {"m/2": 2, "m/1": 1}}
    assert found.left_out == LeftOut()


def test_tools_without_an_id_go_by_the_name_that_they_get(write_set: WriteSet) -> None:
    tools = [{key: value for key, value in tool.items() if key != "id"} for tool in TOOLS]
    folder = write_set(tools=tools, judged=[("q1", "weather__forecast", 1)])
    assert "weather__forecast" in read_set("mine", folder).ids.values()


@pytest.mark.parametrize(
    "text",
    [
        "q1 0 w/1 1\nq2 0 m/2 1\n",
        "q1\tQ0\tw/1\t1\nq2\tQ0\tm/2\t1\n",
        "query-id\tcorpus-id\tscore\nq1\tw/1\t1\n\nq2\tm/2\t1.0\n",
        "\ufeffq1\tw/1\t1\r\nq2\tm/2\t1\r\n",
        "q1\tw/1\t1\nq2\tm/2\t1\nq2\tm/2\t1\nq2\tm/1\t-1\n",
    ],
)
def test_judgements_are_read_in_the_shapes_that_are_about(write_set: WriteSet, text: str) -> None:
    found = read_set("mine", write_set(judged=text)).judgements
    relevant = {q: [t for t, grade in tools.items() if grade] for q, tools in found.items()}
    assert relevant == {"q1": ["w/1"], "q2": ["m/2"]}


def test_judgements_may_have_another_of_the_usual_names(write_set: WriteSet) -> None:
    folder = write_set()
    (folder / "qrels.tsv").rename(folder / "qrels.txt")
    assert len(read_set("mine", folder).queries) == 2


def test_what_is_left_out_is_counted(write_set: WriteSet) -> None:
    queries = {"q1": "a", "q2": "b", "q3": "not judged", "q4": "nothing is relevant"}
    judged = [("q1", "w/1", 1), ("q1", "gone", 1), ("q2", "m/1", 1), ("q4", "m/1", 0)]
    tools = [*TOOLS, {"id": "m/1", "server": "mail", "name": "again"}, {"id": "x"}]
    folder = write_set(tools=tools, queries=queries, judged=[*judged, ("q9", "m/1", 1)])
    found = read_set("mine", folder, limit=1)
    assert len(found.queries) == 1
    out = found.left_out
    assert (out.tools, out.queries_without_judgement, out.queries_beyond_limit) == (2, 2, 1)
    assert out.judgements_of_unknown_queries == 1
    assert "line 4: id 'm/1' is that of line 2 too" in out.problems[0]
    assert read_set("mine", folder).left_out.judgements_of_unknown_tools == 1
    assert "gone" in read_set("mine", folder).judgements["q1"], "it counts as not found"


def test_a_sample_is_the_same_for_the_same_seed(write_set: WriteSet) -> None:
    queries = {f"q{n}": "text" for n in range(50)}
    folder = write_set(queries=queries, judged=[(q, "w/1", 1) for q in queries])
    first, again, other = (
        list(read_set("mine", folder, limit=10, seed=seed).queries) for seed in (1, 1, 2)
    )
    assert first == again != other
    assert first == sorted(first, key=lambda q: int(q[1:])), "in the file's order"


def test_the_data_has_a_hash_that_follows_its_content(write_set: WriteSet) -> None:
    one, same = (read_set(n, write_set(n)).data_hash for n in ("one", "same"))
    other = read_set("other", write_set("other", queries={"q1": "else"})).data_hash
    assert one == same != other


def test_a_folder_of_sets_is_each_of_them_and_names_stay_apart(
    write_set: WriteSet, tmp_path: Path
) -> None:
    write_set("v1/tools")
    write_set("v1/other")
    write_set("v2/tools")
    (tmp_path / "v1/notes").mkdir()
    found = find_sets([tmp_path / "v1", tmp_path / "v2", tmp_path / "v1/other"])
    assert list(found) == ["v1-other", "v1-tools", "v2-tools"]
    assert list(find_sets([tmp_path / "v1"])) == ["other", "tools"]


def test_a_folder_that_is_no_set_is_named_with_what_it_lacks(
    write_set: WriteSet, tmp_path: Path
) -> None:
    folder = write_set()
    (folder / "qrels.tsv").unlink()
    (tmp_path / "empty").mkdir()
    for path, says in (
        (folder, "has no qrels.tsv"),
        (tmp_path, "mine has no qrels.tsv"),
        (tmp_path / "empty", "holds no set to judge"),
        (tmp_path / "none", "is no folder"),
        (folder / "tools.jsonl", "is no folder"),
    ):
        with pytest.raises(InvalidInput, match=says):
            find_sets([path])


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"judged": "q1\tw/1\n"}, "qrels.tsv, line 1: 2 columns"),
        ({"judged": "q1\tw/1\t1\nq1\t\t1\n"}, "qrels.tsv, line 2: 3 columns, or an empty one"),
        ({"judged": "q1\tw/1\tyes\n"}, "line 1: the grade 'yes' is not a whole number"),
        ({"judged": "q1\tw/1\t0.5\n"}, "line 1: the grade '0.5' is not a whole number"),
        ({"judged": "q1\tw/1\tnan\n"}, "line 1: the grade 'nan' is not a whole number"),
        ({"judged": "q1\tw/1\tinf\n"}, "line 1: the grade 'inf' is not a whole number"),
        ({"judged": "q1\tw/1\t1\nq1\tw/1\t2\n"}, "line 2: 'w/1' was graded 1 for 'q1' before"),
        ({"judged": "\n"}, "qrels.tsv holds no judgement"),
        ({"judged": "other\tw/1\t1\n"}, "names no relevant tool for any query"),
        ({"judged": "q1\tw/1\t0\n"}, "names no relevant tool for any query"),
        ({"queries": ""}, "queries.jsonl holds no query"),
        ({"queries": '{"id": "q1", "text": "a"}\nnonsense\n'}, "queries.jsonl, line 2: not JSON"),
        ({"queries": '{"id": "q1"}\n'}, "queries.jsonl, line 1: no 'text'"),
        ({"queries": '{"id": "q1", "text": " "}\n'}, "queries.jsonl, line 1: no 'text'"),
        ({"queries": '{"text": "a"}\n'}, "queries.jsonl, line 1: no 'id'"),
        (
            {"queries": '{"id": 1, "text": "a"}\n{"id": "1", "text": "b"}\n'},
            "line 2: the id '1' is that of line 1 too",
        ),
        ({"tools": ""}, "tools.jsonl holds no tool that can be read, it is empty"),
        ({"tools": "{}\n"}, "tools.jsonl holds no tool that can be read: line 1: no 'name'"),
    ],
)
def test_what_is_wrong_in_a_file_is_said_with_its_line(
    write_set: WriteSet, files: Mapping[str, Any], says: str
) -> None:
    folder = write_set(**files)
    with pytest.raises(InvalidInput) as raised:
        read_set("mine", folder)
    assert says in raised.value.detail
    assert str(folder) in raised.value.detail


@pytest.mark.parametrize("name", ["tools.jsonl", "queries.jsonl", "qrels.tsv"])
def test_a_file_that_is_no_text_is_refused_by_name(write_set: WriteSet, name: str) -> None:
    folder = write_set()
    (folder / name).write_bytes(b"\xff\xfe\x00q\x00\n" * 3)
    with pytest.raises(InvalidInput, match=name):
        read_set("mine", folder)


def test_a_line_without_end_is_refused_before_it_fills_the_memory(write_set: WriteSet) -> None:
    folder = write_set()
    (folder / "queries.jsonl").write_bytes(b"x" * (MAX_LINE_BYTES + 1))
    with pytest.raises(InvalidInput, match="line 1: longer than"):
        read_set("mine", folder)
