"""Words that changed are shown, what hides is seen, and nothing takes long."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolcrib_server.sync.prose import Fate, Piece, compare_words, cut, visible

WORDS = st.lists(st.sampled_from(["list", "all", "files", "of", "a.", "folder", "\n"]), max_size=30)


def words(fate: Fate, pieces: tuple[Piece, ...]) -> str:
    return "".join(piece.text for piece in pieces if piece.fate is fate).strip()


def test_only_the_words_that_differ_are_marked():
    pieces = compare_words("List the files of a folder.", "List all files of a folder.")
    assert words(Fate.REMOVED, pieces) == "the"
    assert words(Fate.ADDED, pieces) == "all"
    assert "".join(p.text for p in pieces if p.fate is not Fate.REMOVED).strip() == (
        "List all files of a folder."
    )


def test_a_word_at_the_end_is_no_change_because_another_follows():
    pieces = compare_words("Read a file.", "Read a file. Then stop.")
    assert words(Fate.REMOVED, pieces) == ""
    assert words(Fate.ADDED, pieces) == "Then stop."


def test_what_is_far_from_a_change_is_left_out():
    before = " ".join(f"w{n}" for n in range(100))
    pieces = compare_words(before, before.replace("w50 ", "new "))
    shown = "".join(piece.text for piece in pieces)
    assert "w49" in shown
    assert "w51" in shown
    assert "w10 " not in shown
    assert "…" in shown


@given(WORDS, WORDS)
def test_short_texts_can_be_put_together_again(old: list[str], new: list[str]):
    before, after = " ".join(old), " ".join(new)
    pieces = compare_words(before, after)
    if before == after:
        assert all(piece.fate is Fate.KEPT for piece in pieces)
    elif all("…" not in piece.text for piece in pieces):
        kept = [p.text for p in pieces if p.fate is not Fate.REMOVED]
        assert "".join(kept).split() == after.split() or len(after.split()) > 11


@pytest.mark.parametrize("word", ["word ", "a b ", "x" * 50 + " ", "end. ", "é"])
def test_a_text_of_a_megabyte_takes_no_longer_than_a_few_pages(word: str):
    before = word * (1_000_000 // len(word))
    half = len(before) // 2
    after = f"begin {before[:half]} between {before[half:]} end"
    began = time.process_time()
    pieces = compare_words(before, after)
    assert time.process_time() - began < 5
    assert pieces
    assert sum(len(piece.text) for piece in pieces) < 30_000


def test_a_thousand_changes_are_counted_and_not_shown():
    before = " ".join(f"w{n}" for n in range(500))
    after = " ".join(f"w{n}" if n % 3 else f"x{n}" for n in range(500))
    pieces = compare_words(before, after)
    assert len(pieces) <= 41
    assert "more changes of words" in pieces[-1].text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("é ✓ 漢", "é ✓ 漢"),
        ("a\x1b[31mb", "a\\u{1b}[31mb"),
        ("abc\u202edef", "abc\\u{202e}def"),
        ("zero\u200bwidth\ufeff", "zero\\u{200b}width\\u{feff}"),
        ("tag\U000e0041", "tag\\u{e0041}"),
        ("half\ud800", "half\\u{d800}"),
        ("a\nb\tc", "a\nb\tc"),
    ],
)
def test_what_cannot_be_seen_is_escaped(text: str, shown: str):
    assert visible(text) == shown


def test_a_long_text_is_cut_before_it_is_escaped():
    assert cut("x" * 10, 5) == "xxxx…"
    assert len(cut("\x00" * 1_000_000, 5)) < 50
