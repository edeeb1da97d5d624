"""Files of outcomes: every row is taken, or refused with its place and the reason."""

import json
from pathlib import Path

import pytest

from toolcrib_registry.errors import InvalidInput
from toolcrib_server.routing.rows import read_outcomes

GOOD = {"query": "write a poem", "model": "poet", "score": 0.5, "cost": 0.01, "latency_ms": 20}


def test_each_row_is_taken_or_refused_by_line(tmp_path: Path) -> None:
    lines = [
        json.dumps(GOOD),
        "",
        "{not json",
        json.dumps(GOOD | {"score": 1.5}),
        json.dumps(GOOD | {"model": ""}),
        json.dumps({"query": "x", "model": "poet"}),
        json.dumps(GOOD | {"score": "high"}),
        json.dumps(GOOD | {"cost": -1}),
        json.dumps([1]),
        json.dumps({"text": "x", "model_id": "poet", "score": None, "cost_usd": 0.1}),
    ]
    file = tmp_path / "outcomes.jsonl"
    file.write_text("\n".join(lines))

    read = read_outcomes(file)

    assert [(row.where, row.score, row.cost_usd) for row in read.rows] == [
        ("line 1", 0.5, 0.01),
        ("line 10", None, 0.1),
    ]
    assert [refusal.where for refusal in read.refusals] == [f"line {n}" for n in range(3, 10)]
    assert "it must be from 0 to 1" in read.refusals[1].reason
    assert "says nothing" in read.refusals[3].reason


def test_a_line_ends_only_where_json_lets_it(tmp_path: Path) -> None:
    queries = [f"before{mark}after" for mark in ("\x85", "\u2028", "\u2029")]
    rows = [json.dumps(GOOD | {"query": query}, ensure_ascii=False) for query in queries]
    file = tmp_path / "outcomes.jsonl"
    file.write_bytes("\r\n".join(rows).encode() + b"\r\n")
    texts = [
        json.dumps({"id": str(place), "text": query}, ensure_ascii=False)
        for place, query in enumerate(queries)
    ]
    (tmp_path / "queries.jsonl").write_text("\n".join(texts), encoding="utf-8")
    (tmp_path / "outcomes.csv").write_text(
        "query_id,model_id,score\r\n" + "".join(f"{n},poet,1\r\n" for n in range(3)), newline=""
    )

    for read in (read_outcomes(file), read_outcomes(tmp_path)):
        assert [row.query for row in read.rows] == queries
        assert read.refusals == ()


def test_a_folder_is_read_with_its_models(tmp_path: Path) -> None:
    (tmp_path / "queries.jsonl").write_text('{"id": "q1", "text": "write a poem"}\n')
    (tmp_path / "outcomes.csv").write_text(
        "query_id,model_id,score,cost,latency_ms\nq1,poet,1,,\nq2,poet,1,,\nq1,poet,x,,\n"
    )
    (tmp_path / "models.jsonl").write_text(
        '{"id": "poet", "name": "Poet", "params_b": 7.0, "price_in_per_1m": 0.2, '
        '"price_out_per_1m": 0.4}\n'
    )

    read = read_outcomes(tmp_path)

    assert [(row.query, row.model, row.score) for row in read.rows] == [("write a poem", "poet", 1)]
    assert [str(refusal) for refusal in read.refusals] == [
        "outcomes.csv line 3: queries.jsonl has no query 'q2'",
        "outcomes.csv line 4: score must be a number, not 'x'",
    ]
    (poet,) = read.models
    assert poet.descriptor.parameters_b is not None
    assert poet.descriptor.parameters_b.value == 7.0
    assert poet.offers[0].price_out_usd is not None


@pytest.mark.parametrize("content", ["", "{}\n", "hello"])
def test_a_file_without_an_outcome_says_what_one_is(tmp_path: Path, content: str) -> None:
    file = tmp_path / "outcomes.jsonl"
    file.write_text(content)
    with pytest.raises(InvalidInput, match="An outcome is a line of JSON"):
        read_outcomes(file)


def test_a_folder_without_its_files_or_columns_says_so(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"queries\.jsonl cannot be read"):
        read_outcomes(tmp_path)
    (tmp_path / "queries.jsonl").write_text('{"id": "q1", "text": "x"}\n')
    (tmp_path / "outcomes.csv").write_text("query,model\nq1,poet\n")
    with pytest.raises(InvalidInput, match="has no column model_id, query_id, score"):
        read_outcomes(tmp_path)
