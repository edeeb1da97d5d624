"""Queries whose encoder fails: a clear error, and nothing is remembered of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from toolcrib_embeddings import SearchIndex
from toolcrib_embeddings.encoding.encoder import Encoding
from toolcrib_embeddings.queries.steps import Span
from toolcrib_embeddings.testing import HashEncoder
from toolcrib_registry.errors import EncoderError
from toolcrib_registry.types import Revision

from .conftest import MakeDocument


class SickEncoder(HashEncoder):
    """Gives vectors that are none, or of another length, while it is ill."""

    ill: str = ""

    def encode_query(self, text: str, spans: Sequence[Span] = ()) -> Encoding:
        """Encode a query, as well as it can."""
        sound = super().encode_query(text, spans)
        if self.ill == "nan":
            return Encoding(np.full_like(sound.vectors, np.nan))
        return Encoding(sound.vectors[:, :-1]) if self.ill else sound


@pytest.mark.parametrize("ill", ["nan", "short"])
def test_a_query_whose_vector_does_not_fit_is_a_clear_error_and_not_an_empty_list(
    document: MakeDocument, ill: str
) -> None:
    encoder = SickEncoder()
    index = SearchIndex(encoder)
    one = document("clock", "tell the time")
    index.update([(one, encoder.encode([one.text])[0])], (), revision=Revision(1))
    encoder.ill = ill
    with pytest.raises(EncoderError, match="the query"):
        index.search("time", k=3)
    with pytest.raises(EncoderError, match="the query"):
        index.strength("time")
    encoder.ill = ""
    assert index.search("time", k=3).ids == [one.id]
