"""Reading what is trained on: the shared format, catalogues, and what is wrong with them."""

import json
from pathlib import Path

import pytest

from toolcrib_embeddings.training.data import DataError, read_pairs, read_query_set

_TOOLS = [
    {
        "id": "t/clock",
        "server": "t",
        "name": "get_time",
        "description": "Tells the exact time. By zone.",
    },
    {"id": "t/mail", "server": "t", "name": "send_mail", "description": "Sends a letter at once."},
]


def _write(folder: Path, *, qrels: str = "q1\tt/mail\t1\nq2\tt/gone\t1\n") -> Path:
    folder.mkdir(exist_ok=True)
    lines = "".join(json.dumps(tool) + "\n" for tool in _TOOLS)
    (folder / "tools.jsonl").write_text(lines)
    (folder / "queries.jsonl").write_text(
        '{"id": "q1", "text": "write to mum"}\n{"id": "q2", "text": "?"}\n'
    )
    (folder / "qrels.tsv").write_text(qrels)
    return folder


def test_a_folder_is_read_as_the_product_would_embed_it(tmp_path: Path):
    found = read_query_set(_write(tmp_path / "mine"))
    assert found.name == "mine"
    assert [query.text for query in found.queries] == ["write to mum"], "q2 has no tool"
    assert found.queries[0].relevant == {1}
    assert "send mail: Sends a letter at once" in found.documents[1].text


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(DataError, match=r"tools\.jsonl cannot be read"):
        read_query_set(tmp_path)


def test_a_bad_line_is_named(tmp_path: Path):
    with pytest.raises(DataError, match=r"qrels\.tsv:2: expected query id, tool id"):
        read_query_set(_write(tmp_path / "a", qrels="q1\tt/mail\t1\nq1 t/clock 1\n"))
    folder = _write(tmp_path / "b")
    for line in ("[1]", "{"):
        (folder / "tools.jsonl").write_text(line + "\n")
        with pytest.raises(DataError, match=r"tools\.jsonl:1: "):
            read_query_set(folder)


def test_a_pair_asks_for_what_the_document_no_longer_says(tmp_path: Path):
    pairs = read_pairs(_write(tmp_path / "a") / "tools.jsonl", limit=10, seed=3)
    assert len(pairs) == 2
    for pair in pairs:
        assert pair.query.lower().rstrip(".") not in pair.text.lower()
    assert {pair.query.lower() for pair in pairs} == {
        "tells the exact time.",
        "sends a letter at once.",
    }


def test_pairs_are_the_same_for_the_same_seed_and_no_more_than_asked(tmp_path: Path):
    file = _write(tmp_path / "a") / "tools.jsonl"
    assert read_pairs(file, limit=10, seed=3) == read_pairs(file, limit=10, seed=3)
    assert len(read_pairs(file, limit=1, seed=3)) == 1


def test_a_tool_without_a_description_makes_no_pair(tmp_path: Path):
    (tmp_path / "tools.jsonl").write_text(
        '{"id": "a", "name": "a", "description": null}\n'
        '{"id": "b", "name": "b", "description": "Description not available"}\n'
    )
    assert read_pairs(tmp_path / "tools.jsonl", limit=10, seed=3) == []
