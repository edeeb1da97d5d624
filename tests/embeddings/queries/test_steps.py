"""Where a task is cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolcrib_embeddings.queries.steps import MAX_STEPS, split_steps


@pytest.mark.parametrize(
    ("task", "steps"),
    [
        ("what time is it in Tokyo", []),
        ("salt and pepper", []),
        (
            "find the newest invoice and then send it to Anna",
            ["find the newest invoice", "send it to Anna"],
        ),
        (
            "Check the weather in Oslo. Book a table for two; call me a taxi!",
            ["Check the weather in Oslo.", "Book a table for two;", "call me a taxi!"],
        ),
        ("find trains from Rome to Milan and back home again please", None),
        ("translate this text into German and French", []),
        ("what did I change in my copy and not commit yet", []),
        ("今天的天气怎么样 在北京。 请 帮 我 订 机票。", None),
        ("line one has words\nline two has words", ["line one has words", "line two has words"]),
    ],
)
def test_a_task_is_cut_into_its_steps(task: str, steps: list[str] | None):
    found = [task[start:end] for start, end in split_steps(task)]
    assert len(found) != 1
    assert steps is None or found == steps


@given(st.text(alphabet=st.sampled_from(list("ab ,.;\n")) | st.characters(), max_size=300))
def test_steps_are_ordered_spans_of_the_text(text: str):
    spans = split_steps(text)
    assert len(spans) <= MAX_STEPS
    assert len(spans) != 1
    edges = [edge for span in spans for edge in span]
    assert edges == sorted(edges)
    assert all(0 <= start < end <= len(text) for start, end in spans)


def test_a_hostile_text_is_cut_in_no_time():
    for text in (" and" * 20_000, ", " * 40_000, "a" * 100_000, "\n" * 50_000, ".; " * 30_000):
        assert len(split_steps(text[:4_000])) <= MAX_STEPS
