"""A line of a file is judged by its text where that is enough: never otherwise than its value."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from toolcrib_registry.types import canonical_json
from toolcrib_server.catalog.problem import Malformed, as_object, parse_object

ODD = [
    "\0",
    "\ud800",
    "\udfff",
    "\ufeff",
    "\\u0000",
    "\\ud800",
    "\x7f",
    "힣",
    "\ud7ff",
    "é",
    "\U0001f600",
]
texts = st.lists(st.sampled_from([*ODD, "a", "\\", '"', "[", "{", "\n"]), max_size=6).map("".join)
values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32-be"]


def judged(read, given):
    """What comes of it, or why nothing does; as text, for NaN is not equal to itself."""
    try:
        return canonical_json(read(given))
    except Malformed as malformed:
        return str(malformed)


@given(
    row=st.dictionaries(texts, values, max_size=4),
    plain=st.booleans(),
    encoding=st.sampled_from([None, *ENCODINGS]),
)
@example(row={"name": "\ud800"}, plain=True, encoding="utf-8")
@example(row={"name": "\0"}, plain=False, encoding="utf-16")
def test_a_line_is_judged_as_what_it_holds(row, plain, encoding):
    text = json.dumps(row, ensure_ascii=not plain)
    line = text if encoding is None else text.encode(encoding, "surrogatepass")
    assert judged(parse_object, line) == judged(as_object, json.loads(line))


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_a_line_that_is_taken_can_be_written_however_deep_it_is(opening, closing):
    for deep in (*range(190, 210), *range(900, 1_000), 5_000):
        line = f'{{"name": {opening * deep}0{closing * deep}}}'
        reached = judged(parse_object, line)
        # One that is refused says so; one that is not was written above.
        assert reached.startswith('{"name":') or (deep > 900 and "recursion" in reached)
