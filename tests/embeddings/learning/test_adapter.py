from __future__ import annotations

import hashlib
import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolcrib_embeddings import FloatMatrix, FloatVector
from toolcrib_embeddings.learning.adapter import AdapterInvalid, QueryAdapter, train_adapter
from toolcrib_registry.types import EntryId, Outcome, Verdict

from ..outcomes import DIMENSION, A, B, C, centre_of, outcome, vectors_of


def unit(*numbers: float) -> FloatVector:
    """Make a unit vector that begins with these numbers."""
    vector = np.zeros(DIMENSION, dtype=np.float32)
    vector[: len(numbers)] = numbers
    return (vector / np.linalg.norm(vector)).astype(np.float32)


ENTRIES = {A: unit(0, 0, 1), B: unit(0, 0, 0, 1), C: unit(0, 0, 0, 0, 1)}


def worked(entry: EntryId, letter: str, count: int, **fields: object) -> list[Outcome]:
    return [outcome(f"{letter}{n}", entry, f"p{n % 7}", **fields) for n in range(count)]


def train(outcomes: list[Outcome]) -> QueryAdapter | None:
    return train_adapter(outcomes, vectors_of(outcomes), ENTRIES, encoder_id="e")


def trained(outcomes: list[Outcome]) -> QueryAdapter:
    adapter = train(outcomes)
    assert adapter is not None
    return adapter


def likeness(adapter: QueryAdapter, letter: str, entry: EntryId) -> float:
    return float(adapter.apply(centre_of(letter)) @ ENTRIES[entry])


def test_it_turns_unseen_queries_towards_what_worked_for_their_like() -> None:
    adapter = trained(worked(A, "q", 40) + worked(B, "r", 40))
    assert likeness(adapter, "q", A) > 0.8
    assert likeness(adapter, "q", B) < 0.2
    assert likeness(adapter, "r", B) > 0.8


def test_it_leaves_what_it_knows_nothing_of_near_where_it_was() -> None:
    adapter = trained(worked(A, "q", 40))
    assert adapter.apply(centre_of("m")) @ centre_of("m") > 0.9


def test_too_few_queries_teach_nothing() -> None:
    assert train(worked(A, "q", 19)) is None
    assert train([]) is None
    assert train(worked(A, "q", 20)) is not None


def test_what_failed_or_is_unknown_teaches_nothing() -> None:
    assert train(worked(A, "q", 40, verdict=Verdict.FAILED)) is None
    assert train(worked(EntryId("tool:gone"), "q", 40)) is None


def test_a_principal_counts_by_the_square_root_of_what_it_says() -> None:
    honest = worked(A, "q", 40)
    flood = [outcome(f"q{n}", B, "attacker") for n in range(40, 200)]

    adapter = trained(honest + flood)

    assert likeness(adapter, "q", A) > likeness(adapter, "q", B)


def test_what_search_finds_implausible_counts_little() -> None:
    wrong = [outcome(f"q{n}", B, f"x{n % 7}", weight=0.1) for n in range(40, 80)]
    adapter = trained(worked(A, "q", 40) + wrong)
    assert likeness(adapter, "q", A) > 5 * likeness(adapter, "q", B)


numbers = st.lists(st.floats(-1, 1, width=32), min_size=DIMENSION, max_size=DIMENSION)


@given(numbers.filter(lambda values: np.linalg.norm(values) > 1e-3))
def test_what_it_gives_has_length_one(values: list[float]) -> None:
    vector = unit(*values)
    turned = trained(worked(A, "q", 30)).apply(vector)
    assert np.linalg.norm(turned) == pytest.approx(1, abs=1e-5)
    assert turned.dtype == np.float32


def test_a_map_that_wipes_a_vector_out_leaves_it_as_it_was() -> None:
    nothing = QueryAdapter("e", np.zeros((DIMENSION, DIMENSION), dtype=np.float32))
    vector = centre_of("q")
    assert nothing.apply(vector) is vector


def test_it_comes_back_as_it_was_written() -> None:
    adapter = trained(worked(A, "q", 30))
    back = QueryAdapter.load(adapter.dump(), encoder_id="e", dimension=DIMENSION)
    vector: FloatVector = centre_of("q")
    assert back.apply(vector).tolist() == adapter.apply(vector).tolist()
    assert back.dimension == DIMENSION


def test_one_of_another_encoder_is_refused_by_name() -> None:
    data = trained(worked(A, "q", 30)).dump()
    with pytest.raises(AdapterInvalid, match="is for e, the encoder is other"):
        QueryAdapter.load(data, encoder_id="other", dimension=DIMENSION)


def test_a_damaged_one_is_refused() -> None:
    data = trained(worked(A, "q", 30)).dump()
    for broken in (b"", b"x" * 100, data[: len(data) // 2]):
        with pytest.raises(AdapterInvalid, match="cannot be read"):
            QueryAdapter.load(broken, encoder_id="e", dimension=DIMENSION)
    flipped = bytearray(data)
    place = data.index(b"NUMPY", data.index(b"matrix")) + 200
    flipped[place] ^= 0xFF
    with pytest.raises(AdapterInvalid):
        QueryAdapter.load(bytes(flipped), encoder_id="e", dimension=DIMENSION)


def test_whatever_bit_is_flipped_it_comes_back_as_it_was_or_is_refused() -> None:
    whole = QueryAdapter("e", np.eye(4, dtype=np.float32)).dump()
    refused = 0
    for place in range(8 * len(whole)):
        flipped = bytearray(whole)
        flipped[place // 8] ^= 1 << place % 8
        try:
            back = QueryAdapter.load(bytes(flipped), encoder_id="e", dimension=4)
        except AdapterInvalid:
            refused += 1
        else:
            assert back.dump() == whole
    assert refused > 8 * len(whole) // 4


@pytest.mark.parametrize(
    "matrix",
    [
        np.eye(3),
        np.ones((4, 3)),
        np.ones(4),
        np.ones((1, 4, 4)),
        np.full((4, 4), np.nan),
        np.full((4, 4), np.inf),
    ],
)
def test_a_matrix_that_does_not_fit_is_refused(matrix: FloatMatrix) -> None:
    data = written(matrix.astype("<f4"))
    with pytest.raises(AdapterInvalid, match=r"not float32 of \(4, 4\)|not all of it are numbers"):
        QueryAdapter.load(data, encoder_id="e", dimension=4)


def test_a_matrix_of_other_numbers_is_refused() -> None:
    data = written(np.eye(4, dtype=np.float64))
    with pytest.raises(AdapterInvalid, match="float64"):
        QueryAdapter.load(data, encoder_id="e", dimension=4)


def written(matrix: np.ndarray[Any, Any]) -> bytes:
    """Write a file with a checksum that fits, whatever the matrix."""
    checksum = np.array(hashlib.sha256(matrix.tobytes()).hexdigest())
    with io.BytesIO() as file:
        np.savez(file, encoder=np.array("e"), matrix=matrix, checksum=checksum)
        return file.getvalue()
