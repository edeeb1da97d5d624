"""Words of names and prose: one split, whatever letters stand beside them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolcrib_embeddings.documents.words import split_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("list_all-Files", ["list", "all", "Files"]),
        ("getHTTPResponse", ["get", "HTTP", "Response"]),
        ("ABc aB AB1c 2D", ["A", "Bc", "a", "B", "AB", "1", "c", "2", "D"]),
        ("the user's ids, 3x", ["the", "user", "s", "ids", "3", "x"]),
        ("größeÄndern", ["größeÄndern"]),
        ("naïveText2 λ9", ["naïve", "Text", "2", "λ", "9"]),
    ],
)
def test_words_end_where_an_identifier_joins_them(text: str, words: list[str]):
    assert split_words(text) == words


@given(text=st.text(st.sampled_from("abZQ09_ -.'\n\x7f") | st.characters(max_codepoint=127)))
def test_ascii_is_split_as_it_is_beside_a_word_that_is_not(text: str):
    assert [*split_words(text), "é"] == split_words(f"{text} é")
