"""How a document becomes one vector: which of its parts are embedded, and how they are weighed.

The Tool Document Weighted Average of ScaleMCP (arXiv 2505.06416, section 3): each part has a
vector, the document's is their weighted average, of length 1. Plain concatenation is the case of
one part, the whole text. Knows no encoder and no index.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np

from toolcrib_embeddings.vectors import FloatVector
from toolcrib_registry.errors import InvalidInput

from .corpus import Component, Document, hash_text

_NO_LENGTH: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Part:
    """A text to embed, and what its vector weighs in the document's."""

    text: str
    weight: float

    @property
    def text_hash(self) -> str:
        """SHA-256 of the text: the same text has the same vector."""
        return hash_text(self.text)


@dataclass(frozen=True, slots=True)
class Representation:
    """Weights above 0 by component, in the order of their names; `of` makes sure of both.

    Those of components that a document lacks fall away.
    """

    weights: tuple[tuple[Component, float], ...]

    @classmethod
    def of(cls, weights: Mapping[str, float]) -> Self:
        """Build one from any mapping of component names to weights.

        Raises:
            InvalidInput: a name is no component's, a weight is no positive number, or all are 0.
        """
        unknown = sorted(set(weights) - set(Component))
        if unknown:
            raise InvalidInput(
                f"{unknown[0]!r} is no component of a document. There are {', '.join(Component)}."
            )
        wrong = [name for name, weight in weights.items() if not 0 <= weight < float("inf")]
        if wrong or not any(weights.values()):
            raise InvalidInput(
                f"The weights {dict(weights)} make no average: each must be 0 or more, and one "
                "above 0."
            )
        return cls(tuple((Component(n), float(weights[n])) for n in sorted(weights) if weights[n]))

    @property
    def id(self) -> str:
        """The weights, as text; two that are alike give the same vectors."""
        return json.dumps(dict(self.weights), separators=(",", ":"))

    def parts(self, document: Document) -> tuple[Part, ...]:
        """Return what must be embedded for a document; never nothing."""
        listed = tuple(self._weighed(document))
        return listed or (Part(document.text, 1.0),)

    def _weighed(self, document: Document) -> Iterator[Part]:
        for component, weight in self.weights:
            text = document.components.get(component, "")
            if text:
                yield Part(text, weight)

    @staticmethod
    def combine(parts: Sequence[Part], vectors: Mapping[str, FloatVector]) -> FloatVector:
        """Average the vectors of a document's parts, which ``vectors`` holds by text hash."""
        if len(parts) == 1:
            return vectors[parts[0].text_hash]
        rows = np.array([vectors[part.text_hash] for part in parts], dtype=np.float32)
        total = np.array([part.weight for part in parts], dtype=np.float32) @ rows
        length = float(np.linalg.norm(total))
        # Parts that cancel each other out leave no direction: the heaviest one speaks then.
        heaviest = max(range(len(parts)), key=lambda n: parts[n].weight)
        vector: Any = total / length if length > _NO_LENGTH else rows[heaviest]
        return np.asarray(vector, dtype=np.float32)


CONCATENATION: Final = Representation(((Component.DOCUMENT, 1.0),))
"""One vector of the whole text; example questions count as words only."""

DEFAULT_REPRESENTATION: Final = Representation(
    ((Component.DOCUMENT, 1.0), (Component.QUESTIONS, 1.0), (Component.WRITTEN, 0.25))
)
"""The whole text, as much of the example questions where there are some, and a quarter as much of
those that a model wrote (docs/adr/0028)."""

SCALEMCP: Final = Representation(
    (
        (Component.DESCRIPTION, 0.3),
        (Component.NAME, 0.2),
        (Component.PARAMETERS, 0.2),
        (Component.QUESTIONS, 0.3),
    )
)
"""A weighted average of separate parts, as ScaleMCP's section 3 has it."""

NAMED: Final[Mapping[str, Representation]] = {
    "default": DEFAULT_REPRESENTATION,
    "concatenation": CONCATENATION,
    "scalemcp": SCALEMCP,
}


def choose(weights: Mapping[str, float] | None) -> Representation:
    """Return the representation with these weights; the default one without any.

    Raises:
        InvalidInput: they make no representation.
    """
    return Representation.of(weights) if weights else DEFAULT_REPRESENTATION
