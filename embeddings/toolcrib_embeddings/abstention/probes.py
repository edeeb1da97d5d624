"""Questions made from a registry's own tools, to learn its scale without anybody's questions.

A probe is four content words of a tool's description, or of its whole text, asked with the tool in
the registry and again with the tool and its doubles taken away. Knows vectors and scores, no index.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

from toolcrib_embeddings.documents.corpus import Component, Document
from toolcrib_embeddings.documents.words import split_words
from toolcrib_embeddings.encoding.encoder import Encoder
from toolcrib_embeddings.vectors import FloatMatrix, FloatVector

from .calibration import SHIPPED_CONSTANTS, Calibration, Constants
from .signals import Background, SearchSignals

PROBED: Final = 160
"""Entries; each gives two probes."""
_WORDS: Final = 4
_READ_WORDS: Final = 60
_DOUBLE: Final = 0.999
"""Cosine from which two documents are the same."""
_NOT_CONTENT: Final = (
    " a an and are as at based be by for from given in is it of on or that the this to use used"
    " using with which you your "
)

WordScores: TypeAlias = Callable[[str], tuple[FloatVector, float]]
"""The BM25 score of every row for a question, and the most that it can give."""


@dataclass(frozen=True, slots=True)
class Probe:
    """A question that the entry in ``row`` answers."""

    row: int
    text: str


def make_probes(documents: Iterable[tuple[int, Document]]) -> list[Probe]:
    """Make two questions for each document, given with its row, that has the words for them.

    The same document gives the same questions.
    """
    return [
        Probe(row, question)
        for row, document in documents
        for said in _descriptions(document)
        if (question := _question(said))
    ]


def choose(count: int) -> list[int]:
    """Choose which of ``count`` documents to make probes from: at most 160, evenly spaced."""
    chosen: list[int] = np.linspace(0, max(count - 1, 0), min(count, PROBED)).astype(int).tolist()
    return chosen


def measure_probes(
    probes: Sequence[Probe], vectors: FloatMatrix, encoder: Encoder, word_scores: WordScores
) -> tuple[list[SearchSignals], list[SearchSignals]]:
    """Ask each probe of all rows, and again without its own: the signals of both."""
    background = Background.of(vectors)
    asked = encoder.encode([probe.text for probe in probes])
    present: list[SearchSignals] = []
    absent: list[SearchSignals] = []
    for probe, vector in zip(probes, asked, strict=True):
        dense = vectors @ vector
        lexical, possible = word_scores(probe.text)
        place = background.describe(vector)
        others = vectors @ vectors[probe.row] < _DOUBLE
        others[probe.row] = False
        for rows, into in ((slice(None), present), (others, absent)):
            into.append(
                SearchSignals.measure(
                    dense[rows], lexical[rows], possible=possible, background=place
                )
            )
    return present, absent


def calibrate(
    probes: Sequence[Probe],
    vectors: FloatMatrix,
    encoder: Encoder,
    word_scores: WordScores,
    *,
    constants: Constants = SHIPPED_CONSTANTS,
) -> Calibration:
    """Calibrate a registry by its probes: a second, or three with 17,570 entries (measured)."""
    if not probes:
        return Calibration.shipped(constants)
    present, absent = measure_probes(probes, vectors, encoder, word_scores)
    return Calibration.fit(present, absent, constants=constants)


def _descriptions(document: Document) -> tuple[str, str]:
    text = document.text.partition(": ")[2] or document.text
    return document.components.get(Component.DESCRIPTION, text), text


def _question(said: str) -> str:
    words = [w for w in split_words(said)[:_READ_WORDS] if f" {w.lower()} " not in _NOT_CONTENT]
    if len(words) < _WORDS:
        return ""
    seed = int.from_bytes(hashlib.sha256(said.encode()).digest()[:8])
    chosen: list[int] = np.random.default_rng(seed).permutation(len(words))[:_WORDS].tolist()
    return " ".join(words[place] for place in sorted(chosen))
