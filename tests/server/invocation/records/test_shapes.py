"""What a record tells of arguments is never a value of theirs."""

from hypothesis import given
from hypothesis import strategies as st

from toolcrib_server.invocation.records.shapes import shape_of


@given(st.dictionaries(st.text(min_size=1), st.text(min_size=9, alphabet="sekrit"), max_size=5))
def test_the_shape_of_arguments_never_holds_a_value(arguments: dict[str, str]) -> None:
    shape = shape_of(arguments)
    assert all(described == f"string({len(arguments[key])})" for key, described in shape.items())
