"""Which documents a query learns to pass over, and which it must not."""

import numpy as np

from toolcrib_embeddings import Document, FloatMatrix
from toolcrib_embeddings.testing import HashEncoder
from toolcrib_embeddings.training.data import Pair, Query, QuerySet
from toolcrib_embeddings.training.measure import measure, ndcg
from toolcrib_embeddings.training.negatives import TrainingSet, choose_queries, mine, pair_up
from toolcrib_embeddings.training.recipe import Recipe
from toolcrib_registry.types import EntryKind, entry_id

_TEXTS = (
    "send mail to a person",
    "send mail to a person",  # another server's twin, which nobody judged
    "send parcel to a person",
    "read the weather of tomorrow",
)


def _set(*relevant: int) -> QuerySet:
    documents = tuple(
        Document(
            id=entry_id(EntryKind.TOOL, f"t{row}"),
            kind=EntryKind.TOOL,
            server=None,
            name=f"t{row}",
            text=text,
            terms=text,
        )
        for row, text in enumerate(_TEXTS)
    )
    return QuerySet("s", documents, (Query("send a mail", frozenset(relevant)),))


def _vectors() -> FloatMatrix:
    return HashEncoder().encode(_TEXTS)


def _mine(of: QuerySet, **numbers: float) -> TrainingSet:
    asked = HashEncoder().encode([query.text for query in of.queries])
    recipe = Recipe(**numbers)  # pyright: ignore[reportArgumentType]  # numbers by name
    return mine(of, of.queries, vectors=_vectors(), query_vectors=asked, recipe=recipe)


def test_a_twin_of_the_answer_is_no_negative():
    (example,) = _mine(_set(0)).examples
    assert example.answers == (0,)
    assert 1 not in example.negatives
    assert example.negatives[0] == 2, "the nearest that is wrong comes first"


def test_an_answer_is_no_negative():
    (example,) = _mine(_set(0, 2)).examples
    assert not {0, 1, 2} & set(example.negatives)


def test_no_more_negatives_are_kept_than_asked():
    (example,) = _mine(_set(0), negatives_kept=1).examples
    assert example.negatives == (2,)


def test_a_large_set_brings_no_more_queries_than_others():
    many = QuerySet("s", _set(0).documents, _set(0).queries * 50)
    assert len(choose_queries(many, Recipe(queries_per_set=8))) == 8
    assert len(choose_queries(_set(0), Recipe(queries_per_set=8))) == 1


def test_pairs_answer_each_other():
    made = pair_up([Pair("q0", "a"), Pair("q1", "b")], np.eye(2, dtype=np.float32))
    assert [example.answers for example in made.examples] == [(0,), (1,)]
    assert made.texts == ("a", "b")


def test_ndcg_is_one_for_the_best_order_and_falls_with_rank():
    assert ndcg([4, 2, 9], {4, 2}) == 1
    assert ndcg([9, 4], {4}) < ndcg([4, 9], {4})
    assert ndcg([9], {4}) == 0


def test_vectors_that_point_at_the_answer_measure_best():
    of = _set(3)
    right = measure(of, vectors=_vectors(), query_vectors=_vectors()[[3]])
    wrong = measure(of, vectors=_vectors(), query_vectors=_vectors()[[2]])
    assert right.dense_ndcg == 1
    assert wrong.dense_ndcg < 1
    assert right.fused_ndcg > wrong.fused_ndcg
