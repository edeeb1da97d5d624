"""Laws of fusing."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from toolcrib_embeddings.fusion import fuse

_PAIRS = st.integers(0, 20).flatmap(
    lambda n: st.tuples(
        arrays.arrays(np.float32, n, elements=st.floats(-1, 1, width=32)),
        arrays.arrays(np.float32, n, elements=st.floats(0, 50, width=32)),
    )
)


@given(_PAIRS)
def test_better_in_both_is_better_in_the_sum(scores):
    dense, lexical = scores
    fused = fuse(dense, lexical)
    assert np.isfinite(fused).all()
    for a in range(len(dense)):
        for b in range(len(dense)):
            if dense[a] >= dense[b] and lexical[a] >= lexical[b]:
                assert fused[a] >= fused[b]


@given(_PAIRS)
def test_the_order_of_candidates_does_not_matter(scores):
    dense, lexical = scores
    assert np.allclose(fuse(dense[::-1], lexical[::-1])[::-1], fuse(dense, lexical), atol=1e-4)
