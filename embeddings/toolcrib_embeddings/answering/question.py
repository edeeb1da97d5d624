"""What is asked: a question as its asker gave it, and as the retrievers need it.

Encodes; knows no index.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import numpy as np

from toolcrib_embeddings.encoding.encoder import Encoder, Encoding
from toolcrib_embeddings.encoding.unencoded import NoEncoder
from toolcrib_embeddings.indexing.scope import Scope
from toolcrib_embeddings.learning.lessons import Lessons
from toolcrib_embeddings.options import SearchOptions
from toolcrib_embeddings.queries.steps import MAX_STEPS, Reading, Span, split_steps
from toolcrib_embeddings.ranking.companions import NO_COMPANIONS, Companions
from toolcrib_embeddings.ranking.rerank import AskedTokens
from toolcrib_embeddings.vectors import FloatMatrix
from toolcrib_registry.errors import EncoderError

_BETWEEN_STEPS: Final = ". "


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: the texts are one task, or the steps of one that the asker split."""

    texts: tuple[str, ...]
    k: int
    scope: Scope
    options: SearchOptions
    lessons: Lessons | None = None
    """What was learned from use, for whom it is asked."""
    reading: Reading | None = None
    """How a model read the one text that is asked."""
    companions: Companions = NO_COMPANIONS
    """What was learned of entries that need each other, for whom it is asked."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as the retrievers need it: a text and a vector for the whole and each step."""

    texts: tuple[str, ...]
    vectors: FloatMatrix
    given: bool
    """Whether the asker gave the steps."""
    unencoded: str | None = None
    """Why the vectors say nothing; None when they do."""
    tokens: AskedTokens | None = None
    """Token vectors of the whole; None where the encoder makes none."""

    def turned(self, lessons: Lessons | None) -> Asked:
        """Turn its vectors the way that was learned from use."""
        if lessons is None or lessons.adapter is None or self.unencoded:
            return self
        return replace(self, vectors=np.stack([lessons.turn(vector) for vector in self.vectors]))


def ask(question: Question, encoder: Encoder) -> Asked:
    """Split a question and encode it; where that fails its words are left, and are asked alone."""
    text, *others = question.texts
    if question.reading is not None and not others:
        return _ask_read(question, question.reading, encoder)
    if others:
        texts = (_BETWEEN_STEPS.join(question.texts), *question.texts[:MAX_STEPS])
        return _encoded(texts, partial(_encode_apart, texts, encoder), encoder, given=True)
    spans = split_steps(text) if question.options.split else ()
    steps = tuple(text[start:end] for start, end in spans)
    encode = partial(encoder.encode_query, text, spans)
    return _encoded((text, *steps), encode, encoder, given=False)


def _ask_read(question: Question, reading: Reading, encoder: Encoder) -> Asked:
    """Ask as somebody understood it: in English, and by its steps where it has several."""
    text = question.texts[0]
    # Beside its English the text itself: names survive there, and tools told in its language.
    whole = f"{reading.english}. {text}" if reading.english else text
    split = question.options.split and len(reading.steps) > 1
    steps = reading.steps[:MAX_STEPS] if split else ()
    texts = (whole, *steps)
    return _encoded(texts, partial(_encode_apart, texts, encoder), encoder, given=bool(steps))


def _encode_apart(texts: Sequence[str], encoder: Encoder) -> Encoding:
    """Encode a whole and its steps as texts of their own; of the whole, which tokens are whose."""
    whole, *steps = texts
    spans: list[Span] = []
    for step in steps:
        start = whole.find(step, spans[-1][1] if spans else 0)
        if start >= 0:
            spans.append((start, start + len(step)))
    read = encoder.encode_query(whole, spans)
    if not steps:
        return read
    vectors = np.concatenate((read.vectors[:1], encoder.encode(steps)))
    return Encoding(vectors, read.tokens, read.inside)


def _encoded(
    texts: tuple[str, ...], encode: Callable[[], Encoding], encoder: Encoder, *, given: bool
) -> Asked:
    try:
        why = encoder.reason if isinstance(encoder, NoEncoder) else None
        read = encode()
        tokens = AskedTokens.of(read, encoder.rarity)
        return Asked(texts, read.vectors, given, why, tokens)
    except EncoderError as error:
        nothing = np.zeros((len(texts), encoder.dimension), dtype=np.float32)
        return Asked(texts, nothing, given, error.detail)
