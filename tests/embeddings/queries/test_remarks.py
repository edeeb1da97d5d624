"""Which steps ask for something."""

import pytest

from toolcrib_embeddings.queries.remarks import asks_for_something


@pytest.mark.parametrize(
    "step",
    ["", "and", "Then,", "Thanks in advance!", "Can you help me with that?", "I'd like it please"],
)
def test_a_remark_asks_for_nothing(step: str):
    assert not asks_for_something(step)


@pytest.mark.parametrize(
    "step", ["translate", "where am I", "then send it", "help me pack", "东京 天气", "10", "und"]
)
def test_a_word_of_its_own_asks_for_something(step: str):
    assert asks_for_something(step)
