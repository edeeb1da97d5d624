"""Late interaction as it is learned: a linear map of token states, and what it says of candidates.

The form is that of `ranking.rerank`, with gradients (ColBERT, arXiv 2004.12832). Word
pieces weigh by how rare they are; only the map learns. Knows no files. Imports torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from toolcrib_embeddings.ranking.rerank import COVERED_WEIGHT, WEIGHT
from toolcrib_embeddings.vectors import FloatMatrix, FloatVector, standardise

from .states import States

SMOOTHING: Final = 200
"""Documents of the table that stand beside a set's own, where word pieces are counted."""
_FIRST_SCALE: Final = 5.0
_LITTLE: Final = 1e-4
_AFAR: Final = -1.0


@dataclass(frozen=True, slots=True)
class Asked:
    """A query's token states ``(n, width)``, and what its tokens weigh in each step ``(s, n)``."""

    states: torch.Tensor
    steps: torch.Tensor


@dataclass(frozen=True, slots=True)
class Texts:
    """Candidates' token states ``(c, m, width)`` and weights ``(c, m)``, 0 where there is none."""

    states: torch.Tensor
    weights: torch.Tensor


class Interaction(torch.nn.Module):
    """What the token vectors of a query and of candidates say, both ways."""

    def __init__(self, head: FloatMatrix) -> None:
        """Start from a head ``(width, numbers)``."""
        super().__init__()
        self.head = torch.nn.Parameter(torch.tensor(head))
        self.scales = torch.nn.Parameter(torch.tensor([_FIRST_SCALE, _FIRST_SCALE, 1.0]))

    def both(self, asked: Asked, texts: Texts) -> tuple[torch.Tensor, torch.Tensor]:
        """Return for each candidate how much of the query's best step it covers, and the reverse.

        Each is a mean of the nearest tokens' cosines, by the tokens' weights.
        """
        query, text = self._short(asked.states), self._short(texts.states)
        near = (text @ query.T).masked_fill((texts.weights == 0)[..., None], _AFAR)
        covered = near.max(dim=1).values @ asked.steps.T / _sum(asked.steps)
        spoken_of = (near.max(dim=2).values * texts.weights).sum(dim=1) / _sum(texts.weights)
        return covered.max(dim=1).values, spoken_of

    def forward(self, asked: Asked, texts: Texts, first: torch.Tensor) -> torch.Tensor:
        """Score candidates by both, beside the first stage's standardised scores."""
        covered, spoken_of = self.both(asked, texts)
        return self.scales[0] * covered + self.scales[1] * spoken_of + self.scales[2] * first

    def signal(self, asked: Asked, texts: Texts) -> FloatVector:
        """Return what the second stage adds to the first stage's scores."""
        with torch.no_grad():
            covered, spoken_of = (part.cpu().numpy() for part in self.both(asked, texts))
        said = COVERED_WEIGHT * standardise(covered) + WEIGHT * standardise(spoken_of)
        return said.astype(np.float32)

    def _short(self, states: torch.Tensor) -> torch.Tensor:
        unit: Any = torch.nn.functional.normalize
        return unit(unit(states, dim=-1) @ self.head, dim=-1)


def flat_directions(states: NDArray[np.float16], *, numbers: int, flattening: float) -> FloatMatrix:
    """Return the strongest directions of token states as a head ``(width, numbers)``.

    ``flattening`` is how far what is strong in most tokens is held down: 0 not at all, 0.5 wholly.
    """
    rows = states.astype(np.float32)
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), _LITTLE)
    sizes, directions = np.linalg.eigh(rows.T @ rows / max(len(rows), 1))
    sizes, directions = sizes[::-1][:numbers], directions[:, ::-1][:, :numbers]
    held = np.maximum(sizes / sizes[0], 1e-9) ** -flattening
    return np.ascontiguousarray(directions * held, dtype=np.float32)


def weigh_pieces(rarity: FloatVector, counts: NDArray[np.int64], documents: int) -> FloatVector:
    """Return what each word piece weighs in a set: its rarity there, smoothed by the table's."""
    share = (counts + SMOOTHING * np.exp(-rarity)) / (documents + SMOOTHING)
    return (-np.log(share)).clip(0).astype(np.float32)


def ask(
    states: States, query: int, steps: NDArray[np.bool_], weights: FloatVector, device: str
) -> Asked:
    """Take one query out of those that were read."""
    place = states.of(query)
    heavy = steps * (weights[states.pieces[place]] + _LITTLE)
    rows = torch.tensor(states.rows[place].astype(np.float32))
    return Asked(rows.to(device), torch.tensor(heavy.astype(np.float32)).to(device))


def gather(states: States, rows: Sequence[int], weights: FloatVector, device: str) -> Texts:
    """Take some candidates out of the texts that were read."""
    places = [range(*states.of(row).indices(len(states.pieces))) for row in rows]
    longest = max(1, *map(len, places))
    held = np.zeros((len(rows), longest, states.rows.shape[1]), dtype=np.float32)
    heavy = np.zeros((len(rows), longest), dtype=np.float32)
    for line, place in enumerate(places):
        held[line, : len(place)] = states.rows[place.start : place.stop]
        heavy[line, : len(place)] = weights[states.pieces[place.start : place.stop]] + _LITTLE
    return Texts(torch.tensor(held).to(device), torch.tensor(heavy).to(device))


def _sum(weights: torch.Tensor) -> torch.Tensor:
    return weights.sum(dim=-1).clamp_min(_LITTLE)
