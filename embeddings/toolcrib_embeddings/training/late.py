"""The second stage's head: one run from folders and a catalogue to the file that is served.

Reads token states once, takes the first stage's mistakes for negatives, and learns the map by which
late interaction tells them from answers, beside what the first stage says already. Writes what
`toolcrib_embeddings.encoding.tokens` serves. See docs/training.md.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from toolcrib_embeddings.encoding.model_folder import ModelFolder, read_model
from toolcrib_embeddings.encoding.tokens import TokenHead
from toolcrib_embeddings.ranking.rerank import MOST_RERANKED
from toolcrib_embeddings.vectors import FloatVector

from .contrastive import warmed
from .data import DataError, read_documents, read_query_set
from .interaction import Interaction, flat_directions
from .late_sets import LateSet, Ranked
from .measure import ndcg
from .recipe import LateRecipe
from .states import StateReader

_MEASURED_QUERIES: Final = 400
_SCALES_ARE_FASTER: Final = 20.0
_STEPS_BETWEEN_REPORTS: Final = 10

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class LateSources:
    """What a run reads."""

    folders: tuple[Path, ...]
    catalogue: Path
    held_out: tuple[Path, ...] = ()
    model: Path | None = None
    """As ``TOOLCRIB_ENCODER`` names one; without one the encoder that is shipped."""


@dataclass(frozen=True, slots=True)
class Gain:
    """NDCG@10 of a set that was held out, 0 to 1: the first stage alone, and with the second."""

    first: float
    second: float


def run(
    sources: LateSources, recipe: LateRecipe, *, out: Path, device: str = "cpu"
) -> dict[str, Gain]:
    """Train a head and write it to ``out``. Returns what it gains on each set held out.

    Raises:
        DataError: a folder or file is not what it should be, or there are rounds without folders.
        EncoderError: the model has no token states.
        OSError: the output cannot be written.
    """
    if bool(sources.folders) != (recipe.rounds > 0):
        raise DataError(
            "Name folders and --rounds 1 or more to train on them; neither, to make the head of "
            "the catalogue alone."
        )
    model = read_model(sources.model)
    reader = StateReader(model, device=device)
    texts = [document.text for document in read_documents(sources.catalogue)]
    rarity = reader.rarity(texts, kept=recipe.tokens)
    interaction = _start(reader, texts, recipe).to(device)
    sets = [
        LateSet(read_query_set(folder), reader, rarity, recipe, most=recipe.queries_per_set)
        for folder in sources.folders
    ]
    learn(interaction, sets, recipe)
    out.parent.mkdir(parents=True, exist_ok=True)
    _head(interaction, model, rarity, sets, recipe).dump(out)
    _log.info("wrote %s, %.0f kB", out, out.stat().st_size / 1e3)
    return dict(_measure_all(interaction, sources.held_out, reader, rarity, recipe))


def _start(reader: StateReader, texts: Sequence[str], recipe: LateRecipe) -> Interaction:
    chance = random.Random(recipe.seed)  # noqa: S311  # reproducible, not secret
    some = chance.sample(texts, min(recipe.catalogue_documents, len(texts)))
    states = reader.read(some, kept=recipe.tokens)
    _log.info("read %d texts of the catalogue, %d tokens", len(some), len(states.rows))
    return Interaction(
        flat_directions(states.rows, numbers=recipe.numbers, flattening=recipe.flattening)
    )


def _head(
    interaction: Interaction,
    model: ModelFolder,
    rarity: FloatVector,
    sets: Sequence[LateSet],
    recipe: LateRecipe,
) -> TokenHead:
    trained_on = {of.name: len(of.queries) for of in sets}
    return TokenHead(
        encoder_id=model.encoder_id.rpartition("/")[0],  # whatever tunes it reads the same
        matrix=interaction.head.detach().cpu().numpy(),
        rarity=rarity,
        tokens=recipe.tokens,
        recipe={"recipe": asdict(recipe), "trained_on": trained_on},
    )


# --- learning ------------------------------------------------------------------------------------


def learn(interaction: Interaction, sets: Sequence[LateSet], recipe: LateRecipe) -> None:
    """Train in place: the same head for the same recipe and sets."""
    chance = random.Random(recipe.seed)  # noqa: S311  # reproducible, not secret
    batches = list(_batches(sets, recipe, chance))
    optimizer: Any = torch.optim.AdamW(
        [{"params": [interaction.head]}, {"params": [interaction.scales]}], weight_decay=0.0
    )
    losses: list[float] = []
    for step, batch in enumerate(batches, start=1):
        rate = recipe.learning_rate * warmed(step, recipe.warm_up_steps, len(batches))
        for group, faster in zip(optimizer.param_groups, (1.0, _SCALES_ARE_FASTER), strict=True):
            group["lr"] = rate * faster
        loss: Any = torch.stack([_loss(interaction, *one, recipe, chance) for one in batch]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if step % _STEPS_BETWEEN_REPORTS == 0 or step == len(batches):
            last = np.mean(losses[-_STEPS_BETWEEN_REPORTS:])
            _log.info("step %d of %d, loss %.3f", step, len(batches), last)


def _batches(
    sets: Sequence[LateSet], recipe: LateRecipe, chance: random.Random
) -> Iterator[list[tuple[LateSet, Ranked]]]:
    """Draw queries that have an answer among the candidates, and something to tell it from."""
    drawn = [
        (of, query)
        for _ in range(recipe.rounds)
        for of in sets
        for query in of.queries
        if of.answers(query) and of.mistakes(query)
    ]
    chance.shuffle(drawn)
    for start in range(0, len(drawn), recipe.batch_size):
        yield drawn[start : start + recipe.batch_size]


def _loss(
    interaction: Interaction,
    of: LateSet,
    query: Ranked,
    recipe: LateRecipe,
    chance: random.Random,
) -> torch.Tensor:
    """InfoNCE of each answer against the same negatives (arXiv 1807.03748)."""
    answers, wrong = of.answers(query), of.mistakes(query)
    hard = wrong[: (recipe.negatives + 1) // 2]
    others = wrong[len(hard) :]
    drawn = chance.sample(others, min(len(others), recipe.negatives - len(hard)))
    places = [*answers, *hard, *drawn]
    first = torch.tensor(query.scores[places], dtype=torch.float32)
    texts = of.gather(query.rows[places].tolist())
    scores = interaction(of.ask(query), texts, first.to(texts.states.device))
    right, against = scores[: len(answers)], scores[len(answers) :].logsumexp(dim=0)
    return (torch.logaddexp(right, against) - right).mean()


# --- measuring -----------------------------------------------------------------------------------


def _measure_all(
    interaction: Interaction,
    folders: Sequence[Path],
    reader: StateReader,
    rarity: FloatVector,
    recipe: LateRecipe,
) -> Iterator[tuple[str, Gain]]:
    for folder in folders:
        whole = read_query_set(folder)
        of = LateSet(whole, reader, rarity, replace(recipe, seed=7), most=_MEASURED_QUERIES)
        gain = measure(interaction, of)
        _log.info(
            "%s, held out: NDCG@10 first stage %.1f, with the second %.1f",
            of.name,
            100 * gain.first,
            100 * gain.second,
        )
        yield of.name, gain


def measure(interaction: Interaction, of: LateSet) -> Gain:
    """Rank each query of a set by the first stage, and by both."""
    alone: list[float] = []
    both: list[float] = []
    for query in of.queries:
        rows = query.rows[:MOST_RERANKED]
        signal = interaction.signal(of.ask(query), of.gather(rows.tolist()))
        order = np.argsort(-(query.scores[:MOST_RERANKED] + signal), kind="stable")
        alone.append(ndcg(rows.tolist(), query.relevant))
        both.append(ndcg(rows[order].tolist(), query.relevant))
    return Gain(float(np.mean(alone)), float(np.mean(both)))
