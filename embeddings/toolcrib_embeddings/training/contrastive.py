"""The loop: each query is pulled to an answer and pushed from what is none (InfoNCE).

A batch is made of one set, so that a model cannot tell documents apart by where they come from.
Progress is kept in a file, whole at any time, from which a run that was ended goes on.

InfoNCE: arXiv 1807.03748. Negatives in the batch: arXiv 2004.04906.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import torch

from .body import Hidden
from .negatives import Example, TrainingSet
from .recipe import Recipe

_STEPS_BETWEEN_REPORTS: Final = 10
_STEPS_BETWEEN_CHECKPOINTS: Final = 50
_LOWEST_RATE: Final = 0.05
_REFUSED: Final = -1e4

_log = logging.getLogger(__name__)


class Trainee(Protocol):
    """What is trained; `Body` is the one there is."""

    @property
    def trained(self) -> torch.nn.Module:
        """The part that learns."""
        ...

    @property
    def device(self) -> str:
        """Where it computes."""
        ...

    def encode(self, hidden: Sequence[Hidden], layers: Any) -> torch.Tensor:
        """Return unit vectors of remembered texts, with gradients."""
        ...


@dataclass(frozen=True, slots=True)
class Prepared:
    """A set whose texts have passed the frozen layers."""

    examples: TrainingSet
    queries: Sequence[Hidden]
    texts: Sequence[Hidden]


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of one prepared set: queries, candidates, and for each query which is right."""

    of: Prepared
    queries: tuple[int, ...]
    candidates: tuple[int, ...]
    right: tuple[int, ...]
    refused: torch.Tensor
    """(queries, candidates): True where a candidate is neither the answer nor a negative."""


def train(body: Trainee, sets: Sequence[Prepared], recipe: Recipe, *, checkpoint: Path) -> None:
    """Train in place.

    Goes on from ``checkpoint`` when it was written under the same recipe on the same sets.
    """
    optimizer = torch.optim.AdamW(body.trained.parameters(), weight_decay=recipe.weight_decay)
    state = _State(body, optimizer, checkpoint, key=_key(sets, recipe))
    first = state.load()
    started = time.monotonic()
    losses: list[float] = []
    for step, batch in enumerate(plan(sets, recipe), start=1):
        if step <= first:
            continue  # drawn again, so that chance goes on where it was
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate * warmed(step, recipe.warm_up_steps, recipe.steps)
        losses.append(_step(body, optimizer, batch, recipe))
        if step % _STEPS_BETWEEN_CHECKPOINTS == 0 or step == recipe.steps:
            state.dump(step)
        if step % _STEPS_BETWEEN_REPORTS == 0 or step == recipe.steps:
            each_s = (time.monotonic() - started) / (step - first)
            _log.info(
                "step %d of %d, loss %.3f, %.0f s to go",
                step,
                recipe.steps,
                np.mean(losses[-_STEPS_BETWEEN_REPORTS:]),
                each_s * (recipe.steps - step),
            )


def plan(sets: Sequence[Prepared], recipe: Recipe) -> Iterator[Batch]:
    """Draw the batches of a run: the same ones for the same recipe and sets."""
    chance = random.Random(recipe.seed)  # noqa: S311  # reproducible, not secret
    drawn = 0
    while drawn < recipe.steps:
        epoch = _epoch(sets, recipe, chance)
        if not epoch:
            raise ValueError("there is nothing to train on: no set has a query with an answer")
        for of, examples in epoch[: recipe.steps - drawn]:
            yield draw(of, examples, recipe, chance)
            drawn += 1


def draw(of: Prepared, examples: Sequence[Example], recipe: Recipe, chance: random.Random) -> Batch:
    """Give each query one answer and one negative; everybody's are candidates for all."""
    answers = [chance.choice(example.answers) for example in examples]
    hard = [chance.choice(example.negatives) for example in examples if example.negatives]
    candidates = tuple(dict.fromkeys([*answers, *hard]))
    place = {row: number for number, row in enumerate(candidates)}
    right = tuple(place[row] for row in answers)
    vectors = of.examples.vectors
    refused = vectors[answers] @ vectors[list(candidates)].T > recipe.alike
    for number, example in enumerate(examples):
        refused[number, [place[row] for row in example.relevant if row in place]] = True
    refused[np.arange(len(examples)), list(right)] = False
    rows = tuple(example.query for example in examples)
    return Batch(of, rows, candidates, right, torch.tensor(refused))


def contrast(
    queries: torch.Tensor,
    candidates: torch.Tensor,
    right: torch.Tensor,
    refused: torch.Tensor,
    *,
    temperature: float,
) -> torch.Tensor:
    """Return the mean loss of unit vectors; ``right`` is a candidate for each query."""
    scores = (queries @ candidates.T / temperature).masked_fill(refused, _REFUSED)
    return torch.nn.functional.cross_entropy(scores, right)


def _step(body: Trainee, optimizer: torch.optim.Optimizer, batch: Batch, recipe: Recipe) -> float:
    hidden = [batch.of.queries[row] for row in batch.queries]
    hidden += [batch.of.texts[row] for row in batch.candidates]
    vectors = body.encode(hidden, body.trained)
    count = len(batch.queries)
    loss: Any = contrast(  # its gradient has no types
        vectors[:count],
        vectors[count:],
        torch.tensor(batch.right, device=body.device),
        batch.refused.to(body.device),
        temperature=recipe.temperature,
    )
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(body.trained.parameters(), 1.0)
    optimizer.step()
    return float(loss.detach())


def _epoch(
    sets: Sequence[Prepared], recipe: Recipe, chance: random.Random
) -> list[tuple[Prepared, Sequence[Example]]]:
    """Cut every set into batches, in any order, with a share of those without negatives."""
    judged: list[tuple[Prepared, Sequence[Example]]] = []
    described: list[tuple[Prepared, Sequence[Example]]] = []
    for of in sets:
        examples = list(of.examples.examples)
        catalogue = not any(example.negatives for example in examples)
        size = recipe.batch_size
        if not catalogue:
            chance.shuffle(examples)
        cuts = [examples[start : start + size] for start in range(0, len(examples), size)]
        (described if catalogue else judged).extend((of, cut) for cut in cuts)
    count = round(recipe.catalogue_share * len(judged)) if judged else len(described)
    epoch = judged + chance.sample(described, min(count, len(described)))
    chance.shuffle(epoch)
    return epoch


def warmed(step: int, warm_up_steps: int, steps: int) -> float:
    """Rise to 1 in the first steps, then fall in a line."""
    return min(1.0, step / max(1, warm_up_steps)) * max(_LOWEST_RATE, 1 - (step - 1) / steps)


def _key(sets: Sequence[Prepared], recipe: Recipe) -> str:
    return repr((recipe, [(of.examples.name, len(of.queries), len(of.texts)) for of in sets]))


class _State:
    """What a run that was ended needs to go on."""

    def __init__(self, body: Trainee, optimizer: Any, file: Path, *, key: str) -> None:
        self._body, self._optimizer, self._file, self._key = body, optimizer, file, key

    def dump(self, step: int) -> None:
        made = self._file.with_suffix(".part")
        kept = {
            "key": self._key,
            "step": step,
            "layers": self._body.trained.state_dict(),
            "optimizer": self._optimizer.state_dict(),
        }
        torch.save(kept, made)
        made.replace(self._file)

    def load(self) -> int:
        """Return the step that was reached: 0 when there is nothing to go on from."""
        if not self._file.is_file():
            return 0
        kept = torch.load(self._file, map_location=self._body.device, weights_only=True)
        if kept["key"] != self._key:
            _log.warning("%s is of another run: starting anew", self._file)
            return 0
        self._body.trained.load_state_dict(kept["layers"])
        self._optimizer.load_state_dict(kept["optimizer"])
        _log.info("going on from step %d", kept["step"])
        return int(kept["step"])
