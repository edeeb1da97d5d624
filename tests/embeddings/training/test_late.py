"""What the second stage's head learns from, what it learns, and a run from folders to a file."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch

from toolcrib_embeddings import SentenceTransformerEncoder
from toolcrib_embeddings.encoding.model_folder import read_model
from toolcrib_embeddings.encoding.tokens import TokenHead
from toolcrib_embeddings.training.__main__ import main
from toolcrib_embeddings.training.interaction import (
    Asked,
    Interaction,
    Texts,
    ask,
    flat_directions,
    gather,
    weigh_pieces,
)
from toolcrib_embeddings.training.states import StateReader, States
from toolcrib_embeddings.vectors import FloatMatrix

_WORDS = ("time zone", "mail letter", "rain weather", "stock price", "bus route", "tax form")


def _states(*texts: tuple[int, ...]) -> States:
    """Make states of texts in which each word piece has a direction of its own."""
    pieces = np.array([piece for text in texts for piece in text], dtype=np.int32)
    starts = np.cumsum([0, *map(len, texts)])
    rows = np.eye(8, dtype=np.float16)[pieces]
    return States(rows, pieces, starts, np.ones((len(texts), 8), dtype=np.float32))


def _head() -> FloatMatrix:
    return np.eye(8, dtype=np.float32)


def test_word_pieces_are_counted_once_a_text():
    assert _states((1, 1, 2), (2,), ()).count_documents(4).tolist() == [0, 1, 2, 0]


def test_a_piece_that_every_text_holds_weighs_least_and_none_weighs_less_than_nothing():
    table = np.full(3, 2.0, dtype=np.float32)
    weights = weigh_pieces(table, np.array([1_000, 10, 0]), 1_000)
    assert 0 <= weights[0] < weights[1] < weights[2]
    alone = weigh_pieces(table, np.array([0, 0, 0]), 0)
    assert alone == pytest.approx(table), "without documents of its own the table is all"


def test_both_directions_count_what_is_covered_and_padding_covers_nothing():
    weights = np.ones(8, dtype=np.float32)
    texts = gather(_states((1, 2), (1, 2, 3, 4), (5,)), [0, 1, 2], weights, "cpu")
    asked = ask(_states((1, 2)), 0, np.ones((1, 2), dtype=np.bool_), weights, "cpu")
    covered, spoken_of = Interaction(_head()).both(asked, texts)
    assert covered.tolist() == pytest.approx([1, 1, 0], abs=1e-3)
    assert spoken_of.tolist() == pytest.approx([1, 0.5, 0], abs=1e-3)


def test_a_candidate_is_held_against_the_step_that_it_covers_best():
    weights = np.ones(8, dtype=np.float32)
    steps = np.array([[True, True, False, False], [False, False, True, True]])
    texts = gather(_states((3, 4)), [0], weights, "cpu")
    covered, _ = Interaction(_head()).both(
        ask(_states((1, 2, 3, 4)), 0, steps, weights, "cpu"), texts
    )
    assert covered.item() == pytest.approx(1, abs=1e-3)


def test_rare_pieces_weigh_more():
    weights = np.array([0, 9, 1, 0, 0, 0, 0, 0], dtype=np.float32)
    asked = ask(_states((1, 2)), 0, np.ones((1, 2), dtype=np.bool_), weights, "cpu")
    covered, _ = Interaction(_head()).both(
        asked, gather(_states((1,), (2,)), [0, 1], weights, "cpu")
    )
    assert covered.tolist() == pytest.approx([0.9, 0.1], abs=1e-2)


def test_a_query_and_a_text_without_a_token_that_weighs_anything_say_nothing():
    empty = Texts(torch.zeros(1, 1, 8), torch.zeros(1, 1))
    signal = Interaction(_head()).signal(Asked(torch.ones(1, 8), torch.zeros(1, 1)), empty)
    assert signal.tolist() == [0]


def test_the_directions_are_the_strongest_and_what_all_share_is_held_down():
    chance = np.random.default_rng(3)
    spread = np.array([8.0, 4.0, 2.0, 0.1])
    states = (chance.normal(size=(500, 4)) * spread).astype(np.float16)
    plain = flat_directions(states, numbers=2, flattening=0.0)
    flat = flat_directions(states, numbers=2, flattening=0.5)
    assert np.abs(plain).argmax(axis=0).tolist() == [0, 1]
    assert np.linalg.norm(plain, axis=0) == pytest.approx([1, 1], abs=1e-4)
    assert np.linalg.norm(flat, axis=0)[1] > 1.1, "the weaker direction counts for more"


def test_states_read_are_those_of_the_served_encoder(real_encoder: SentenceTransformerEncoder):
    texts = [
        "time__convert_time. Convert time between zones",
        "",
        "Send a mail. Then book a room now.",
    ]
    reader = StateReader(read_model(None))
    read = reader.read(texts, kept=3)
    served = real_encoder.encode(texts)
    assert np.sum(read.vectors * served, axis=1) == pytest.approx(1, abs=1e-4)
    assert np.diff(read.starts).tolist() == [3, 0, 3]
    assert reader.steps(texts[0]).shape[0] == 1
    assert reader.steps(texts[2]).sum(axis=0).max() == 1, "no token is in two steps"
    assert len(reader.steps(texts[2])) == 2


def _write_set(folder: Path) -> Path:
    folder.mkdir()
    with (folder / "tools.jsonl").open("w") as tools, (folder / "queries.jsonl").open("w") as asked:
        for row, word in enumerate(_WORDS):
            said = f"Handles the {word} for a caller. Fast and safe in all of them."
            tool = {"id": f"t{row}", "name": f"do_{row}", "server": "s", "description": said}
            tools.write(json.dumps(tool) + "\n")
            asked.write(json.dumps({"id": f"q{row}", "text": f"please do {word}"}) + "\n")
    (folder / "qrels.tsv").write_text("".join(f"q{n}\tt{n}\t1\n" for n in range(len(_WORDS))))
    return folder


def test_a_run_makes_a_head_for_the_encoder_that_is_served(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    folder = _write_set(tmp_path / "mine")
    catalogue = ["--catalogue", str(folder / "tools.jsonl"), "--numbers", "16", "--batch-size", "2"]

    def make(name: str, *others: str) -> TokenHead:
        out = tmp_path / name
        main(["late", "--out", str(out), *catalogue, *others])
        return TokenHead.load(out)

    with caplog.at_level(logging.INFO):
        head = make("a.safetensors", str(folder), "--rounds", "2", "--hold-out", str(folder))
    assert "mine, held out: NDCG@10 first stage" in caplog.text
    assert "step 6 of 6" in caplog.text
    assert read_model(None).encoder_id == f"{head.encoder_id}/onnx-fp32"
    assert head.matrix.shape == (384, 16)
    assert head.recipe["trained_on"] == {"mine": len(_WORDS)}
    again = make("b.safetensors", str(folder), "--rounds", "2")
    assert np.array_equal(head.matrix, again.matrix), "chance is seeded"
    start = make("c.safetensors")
    assert not np.array_equal(head.matrix, start.matrix), "it learned something"
    assert start.recipe["trained_on"] == {}


def test_a_catalogue_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(SystemExit, match=r"nowhere\.jsonl cannot be read"):
        main(["late", "--catalogue", str(tmp_path / "nowhere.jsonl"), "--out", str(tmp_path / "o")])


def test_folders_without_a_round_are_not_passed_over_in_silence(tmp_path: Path):
    folder = _write_set(tmp_path / "mine")
    asked = ["late", str(folder), "--catalogue", str(folder / "tools.jsonl"), "--out", "o"]
    with pytest.raises(SystemExit, match="--rounds 1 or more"):
        main(asked)
