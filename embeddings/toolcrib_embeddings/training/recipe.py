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
