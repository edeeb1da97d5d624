"""An encoder that stands for another does all as that one does."""

import numpy as np

from toolcrib_embeddings.encoding.encoder import Encoder
from toolcrib_embeddings.encoding.forwarding import ForwardingEncoder
from toolcrib_embeddings.testing import HashEncoder

TEXTS = ["set an alarm", "list the zones of Europe"]


def test_it_gives_what_the_encoder_gives() -> None:
    real = HashEncoder(64)
    encoder: Encoder = ForwardingEncoder(real)
    told: list[int] = []
    assert (encoder.id, encoder.dimension, encoder.token_id) == (real.id, 64, real.token_id)
    assert np.array_equal(encoder.rarity, real.rarity)
    assert np.array_equal(encoder.encode(TEXTS, on_progress=told.append), real.encode(TEXTS))
    assert told == [1, 2]
    read, wanted = encoder.encode_documents(TEXTS), real.encode_documents(TEXTS)
    assert np.array_equal(read.vectors, wanted.vectors)
    assert [rows.tolist() for rows in read.tokens or ()] == [
        rows.tolist() for rows in wanted.tokens or ()
    ]
    asked = encoder.encode_query(TEXTS[0], [(4, 12)])
    assert np.array_equal(asked.vectors, real.encode_query(TEXTS[0], [(4, 12)]).vectors)
    assert len(asked.vectors) == 2
