"""The loss, the batches, and a run of the command from folders to an encoder that serves."""

import json
import logging
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from toolcrib_embeddings import SentenceTransformerEncoder
from toolcrib_embeddings.encoding.delta import WeightDelta
from toolcrib_embeddings.encoding.model_folder import DEFAULT_WEIGHTS_SHA256
from toolcrib_embeddings.training.__main__ import main
from toolcrib_embeddings.training.contrastive import Prepared, contrast, draw, plan, train
from toolcrib_embeddings.training.negatives import Example, TrainingSet
from toolcrib_embeddings.training.recipe import Recipe

_RECIPE = Recipe(steps=7, batch_size=2, catalogue_share=0.5)


def _prepared(name: str, *, negatives: tuple[int, ...]) -> Prepared:
    examples = tuple(Example(q, (q,), frozenset({q, 3}), negatives) for q in range(3))
    queries, texts = ("a", "b", "c"), ("A", "B", "C", "D", "A again")
    vectors = np.eye(5, dtype=np.float32)
    vectors[4] = vectors[0]
    hidden = [torch.zeros(2, 4)] * 5
    return Prepared(TrainingSet(name, queries, texts, vectors, examples), hidden[:3], hidden)


def test_the_loss_falls_as_a_query_nears_its_answer():
    def loss(query: list[float], *, refused: bool = False) -> float:
        candidates = torch.eye(2)
        return float(
            contrast(
                torch.tensor([query]),
                candidates,
                torch.tensor([0]),
                torch.tensor([[False, refused]]),
                temperature=0.1,
            )
        )

    assert loss([1.0, 0.0]) < loss([0.6, 0.8]) < loss([0.0, 1.0])
    assert loss([0.6, 0.8], refused=True) == pytest.approx(0, abs=1e-6)


def test_what_answers_too_or_means_the_same_pushes_nothing():
    of = _prepared("s", negatives=(4,))
    batch = draw(of, of.examples.examples[:2], _RECIPE, random.Random(1))
    assert batch.candidates == (0, 1, 4)
    assert batch.right == (0, 1)
    assert batch.refused.tolist() == [[False, False, True], [False, False, False]]


def test_a_plan_is_the_same_each_time_and_mixes_no_sets():
    sets = [_prepared("s", negatives=(4,)), _prepared("catalogue", negatives=())]
    first, again = list(plan(sets, _RECIPE)), list(plan(sets, _RECIPE))
    assert len(first) == _RECIPE.steps
    assert [(b.queries, b.candidates) for b in first] == [(b.queries, b.candidates) for b in again]
    assert {batch.of.examples.name for batch in first} == {"s", "catalogue"}


def test_nothing_to_train_on_is_an_error():
    with pytest.raises(ValueError, match="nothing to train on"):
        list(plan([], _RECIPE))


class _Line:
    """A trainee of one matrix, which may be ended in the middle of a run."""

    device = "cpu"

    def __init__(self, *, ends_after: int | None = None) -> None:
        torch.manual_seed(5)
        self.trained = torch.nn.Linear(4, 4)
        self._left = ends_after

    def encode(self, hidden: Sequence[torch.Tensor], layers: torch.nn.Module) -> torch.Tensor:
        if self._left == 0:
            raise KeyboardInterrupt
        self._left = None if self._left is None else self._left - 1
        means = torch.stack([states.mean(0) for states in hidden])
        return torch.nn.functional.normalize(layers(means), dim=-1)


def test_a_run_that_was_ended_goes_on_to_the_same_weights(tmp_path: Path):
    recipe = Recipe(steps=60, batch_size=2, learning_rate=0.1)
    hidden = [torch.randn(2, 4, generator=torch.Generator().manual_seed(s)) for s in range(5)]
    sets = [replace(_prepared("s", negatives=(4,)), queries=hidden[:3], texts=hidden)]

    whole, ended, resumed, other = _Line(), _Line(ends_after=55), _Line(ends_after=10), _Line()
    train(whole, sets, recipe, checkpoint=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(ended, sets, recipe, checkpoint=tmp_path / "ended")
    train(resumed, sets, recipe, checkpoint=tmp_path / "ended")
    assert torch.equal(whole.trained.weight, resumed.trained.weight)

    train(other, sets, replace(recipe, seed=3), checkpoint=tmp_path / "ended")
    assert not torch.equal(whole.trained.weight, other.trained.weight), "another run starts anew"


def _write_set(folder: Path) -> Path:
    folder.mkdir()
    words = ("time zone", "mail letter", "rain weather", "stock price", "bus route", "tax form")
    with (folder / "tools.jsonl").open("w") as tools, (folder / "queries.jsonl").open("w") as asked:
        for row, word in enumerate(words):
            said = f"Handles the {word} for a caller. Fast and safe in all of them."
            tool = {"id": f"t{row}", "name": f"do_{row}", "server": "s", "description": said}
            tools.write(json.dumps(tool) + "\n")
            asked.write(json.dumps({"id": f"q{row}", "text": f"please do {word}"}) + "\n")
    (folder / "qrels.tsv").write_text("".join(f"q{row}\tt{row}\t1\n" for row in range(len(words))))
    return folder


def test_a_run_makes_a_delta_that_the_product_serves(
    tmp_path: Path, real_encoder: SentenceTransformerEncoder, caplog: pytest.LogCaptureFixture
):
    folder, out = _write_set(tmp_path / "mine"), tmp_path / "out" / "mine.safetensors"
    numbers = [
        "--steps",
        "3",
        "--batch-size",
        "4",
        "--trained-layers",
        "1",
        "--learning-rate",
        "0.001",
    ]
    places = map(
        str, (folder, "--out", out, "--hold-out", folder, "--catalogue", folder / "tools.jsonl")
    )
    with caplog.at_level(logging.INFO):
        main([*places, *numbers])
    assert "step 3 of 3" in caplog.text
    assert "mine, held out: NDCG@10 dense" in caplog.text
    assert [file.name for file in out.parent.iterdir()] == ["mine.safetensors"]

    delta = WeightDelta.load(out)
    assert delta.base_sha256 == DEFAULT_WEIGHTS_SHA256
    assert all(name.startswith("encoder.layer.5.") for name in delta.changes)
    assert delta.recipe["recipe"]["steps"] == 3

    encoder = SentenceTransformerEncoder.open(tmp_path / "cache", model=out)
    assert "+mine@" in encoder.id
    texts = ["please do stock price", "Handles the tax form"]
    cosines = np.sum(encoder.encode(texts) * real_encoder.encode(texts), axis=1)
    assert 0.5 < cosines.max() < 0.99999, "another model of the same kind"


def test_a_folder_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(SystemExit, match=r"nowhere/tools\.jsonl cannot be read"):
        main([str(tmp_path / "nowhere"), "--out", str(tmp_path / "d.safetensors")])
