"""A head of one's own for the second stage: made by training, named by a setting, and used."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from toolcrib_embeddings.encoding.model_folder import TUNING, read_model
from toolcrib_embeddings.encoding.tokens import TokenHead
from toolcrib_embeddings.training.__main__ import main

from .conftest import ROOT, Toolcrib

QUERY = "what is the weather in Oslo tomorrow"
WORDS = ("time zones", "letters by mail", "the weather", "stock prices", "bus routes", "tax forms")


@pytest.fixture
def catalogue(tmp_path: Path, toolcrib: Toolcrib) -> Path:
    """Import a few tools; the file is one that a head can be made of."""
    file = tmp_path / "tools.jsonl"
    rows = [
        {"id": f"t{n}", "server": "s", "name": f"do_{n}", "description": f"Tells of {word}."}
        for n, word in enumerate(WORDS)
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert toolcrib("import", file).code == 0
    return file


def asked(toolcrib: Toolcrib) -> dict[str, Any]:
    """Search, and give what the second stage says of each hit."""
    answer = toolcrib("search", QUERY, "--explain", "--json", "--rerank", "on").json
    assert "lexicalOnly" not in answer
    return {hit["name"]: hit["signals"].get("tokens") for hit in answer["results"]}


def checks(toolcrib: Toolcrib, *options: str) -> dict[str, Any]:
    found = toolcrib("doctor", "--json", *options).json
    listed = found["checks"] if isinstance(found, dict) else found
    return {check["name"]: check for check in listed}


def test_a_head_that_was_trained_is_taken_up_and_every_entry_read_anew(
    tmp_path: Path, toolcrib: Toolcrib, catalogue: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_ours = asked(toolcrib)
    assert any(by_ours.values())
    assert "second stage" not in checks(toolcrib)

    mine = tmp_path / "mine.safetensors"
    main(["late", "--catalogue", str(catalogue), "--numbers", "16", "--out", str(mine)])
    monkeypatch.setenv("TOOLCRIB_TOKEN_HEAD", str(mine))
    encoder = read_model(None).encoder_id
    name = TokenHead.load(mine).name(encoder).removeprefix(f"{encoder}/")

    # Entries are read anew; until then the second stage passes over them.
    assert not any(asked(toolcrib).values())
    found = checks(toolcrib)
    assert found["encoder"]["detail"].endswith(f"second stage by {name}")
    assert found["second stage"]["detail"].startswith("0 of 6 entries")
    toolcrib("doctor", "--repair")
    found = checks(toolcrib)
    assert "second stage" not in found
    assert "without a text" not in found["vectors"]["detail"], "the other head's are dropped"

    by_mine = asked(toolcrib)
    assert any(by_mine.values())
    assert by_mine != by_ours


@pytest.mark.usefixtures("catalogue")
def test_a_head_that_cannot_be_used_costs_the_second_stage_alone_and_every_face_says_so(
    tmp_path: Path,
    toolcrib: Toolcrib,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    encoder = read_model(None).encoder_id.rpartition("/")[0]
    rarity = np.ones(9, dtype=np.float32)

    def refusal(file: Path) -> str:
        monkeypatch.setenv("TOOLCRIB_TOKEN_HEAD", str(file))
        found = checks(toolcrib)
        assert found["encoder"]["ok"], "the encoder is well"
        assert not found["second stage"]["ok"]
        assert "TOOLCRIB_TOKEN_HEAD" in found["second stage"]["advice"]
        return found["second stage"]["detail"]

    def head(named: str, numbers: int) -> Path:
        file = tmp_path / "other.safetensors"
        matrix = np.ones((numbers, 4), dtype=np.float32)
        TokenHead(encoder_id=named, matrix=matrix, rarity=rarity, tokens=8).dump(file)
        return file

    said = refusal(head("other@0123", 384))
    assert "other.safetensors reads the encoder other@0123, but all-MiniLM-L6-v2@" in said
    assert "training late --model" in said
    assert "reads 12 numbers a token" in refusal(head(encoder, 12))
    assert "nowhere.safetensors cannot be read" in refusal(tmp_path / "nowhere.safetensors")
    shipped = ROOT / "embeddings/toolcrib_embeddings" / TUNING
    assert "toolcrib-minilm.safetensors is no" in refusal(shipped)

    caplog.clear()
    by_meaning = toolcrib("search", "the climate", "--json")
    said = "TOOLCRIB_TOKEN_HEAD names it: name another, or unset it, and start again."
    assert caplog.text.count("goes without its second stage") == 1
    assert said in caplog.text
    answer = by_meaning.json
    assert (answer["results"][0]["name"], answer["reranked"]) == ("s__do_2", False)
    assert "dense" in answer["results"][0]["signals"]
    assert answer["rerankOff"].endswith(said)
    assert "lexicalOnly" not in answer
    assert "The second stage is off." not in toolcrib("search", "the climate").out
    assert f"{said}\n" in toolcrib("search", "the climate", "--explain").out
    insisting = toolcrib("search", "the climate", "--rerank", "on")
    assert (insisting.code, "The second stage is off." in insisting.err) == (0, True)
    assert "rerankOff" not in toolcrib("search", "the climate", "--rerank", "off", "--json").json


@pytest.mark.usefixtures("catalogue")
def test_who_insists_on_a_second_stage_is_told_what_it_wants(
    toolcrib: Toolcrib, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "rerankOff" not in toolcrib("search", QUERY, "--rerank", "on", "--json").json
    monkeypatch.setenv("TOOLCRIB_ENCODER", "base")
    told = toolcrib("search", QUERY, "--rerank", "on", "--json").json
    assert told["reranked"] or "doctor --repair" in told["rerankOff"]


def test_what_is_judged_is_the_head_that_is_set(
    tmp_path: Path, toolcrib: Toolcrib, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOOLCRIB_TOKEN_HEAD", str(tmp_path / "nowhere.safetensors"))
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "tools.jsonl").write_text('{"id": "a", "name": "a", "description": "weather"}\n')
    (folder / "queries.jsonl").write_text('{"id": "q", "text": "weather"}\n')
    (folder / "qrels.tsv").write_text("q\ta\t1\n")
    judged = toolcrib("eval", "retrieval", folder)
    assert (judged.code, "TOOLCRIB_TOKEN_HEAD names it" in judged.err) == (2, True)
