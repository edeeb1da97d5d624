"""Every number that decides what training gives. The defaults made the weights that are shipped."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What is trained, on how much, how hard, and how much of it is kept."""

    seed: int = 11
    steps: int = 110
    batch_size: int = 48
    """Queries; each brings a document that answers it and one that nearly does."""
    trained_layers: int = 3
    """From the top. Those below are frozen, so that each text passes them once."""
    max_query_tokens: int = 64
    max_document_tokens: int = 96
    temperature: float = 0.05
    learning_rate: float = 4e-5
    weight_decay: float = 0.01
    warm_up_steps: int = 15
    queries_per_set: int = 450
    """So that a large set does not outweigh the others."""
    catalogue_pairs: int = 2_600
    catalogue_share: float = 0.25
    """Batches made of a catalogue alone, for each batch of a set with queries."""
    alike: float = 0.9
    """Documents whose base vectors are this near mean the same, and are no negatives."""
    negatives_kept: int = 15
    answers_kept: int = 3
    """The nearest; some sets count as answers what an answer only depends on."""
    share: float = 0.75
    """How far from the base to the trained weights the result lies (WiSE-FT, arXiv 2109.01903)."""
    rank: int = 64
    """Directions of each matrix that are kept: a quarter of the size, and the same ranking."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LateRecipe:
    """What the second stage's head is trained on, how hard, and what it keeps of a text."""

    seed: int = 11
    numbers: int = 128
    """That each token's vector has; a byte each."""
    tokens: int = 64
    """Of each document that are kept."""
    flattening: float = 0.25
    """How far directions that all tokens share are held down where training starts from."""
    rounds: int = 0
    """Times that each query is learned from; 0 keeps the head that training starts from, since
    no training gained on sets left out: see docs/models/toolcrib-late.md."""
    queries_per_set: int = 150
    batch_size: int = 8
    candidates: int = 80
    """Of the first stage, among which negatives are."""
    negatives: int = 15
    """A query; half of them the first stage's best, the others from anywhere in its ranking."""
    alike: float = 0.95
    """Documents whose vectors are this near to an answer's are no negatives."""
    answers_kept: int = 3
    learning_rate: float = 1e-3
    warm_up_steps: int = 15
    catalogue_documents: int = 1_200
    """Whose token states say which directions there are; word pieces are counted in all of them."""
