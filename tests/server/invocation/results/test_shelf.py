"""What is kept of large results: whole when read page by page, bounded, and nobody else's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolcrib_registry.errors import InvalidInput, NotFound
from toolcrib_server.invocation.results.shelf import PAGE_KEY, PREFIX, Kept, ResultShelf


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def put(shelf: ResultShelf, text: str, *, principal: str = "me", page_bytes: int = 10) -> Kept:
    return shelf.put(principal, text.encode(), media_type="text/plain", page_bytes=page_bytes)


@given(text=st.text(max_size=300), page_bytes=st.integers(4, 50))
def test_the_pages_together_are_the_whole_and_none_is_too_large(text: str, page_bytes: int) -> None:
    kept = put(ResultShelf(), text, page_bytes=page_bytes)
    pages = [kept.read(number) for number in range(1, kept.pages + 1)]
    assert "".join(pages) == text
    # A character that would be parted goes to the page after it.
    assert all(len(page.encode()) <= page_bytes + 3 for page in pages)


def test_each_page_says_where_the_next_one_is() -> None:
    shelf = ResultShelf()
    uri = put(shelf, "abcdefghij" * 2 + "end").uri(1)
    read: list[str] = []
    while uri:
        result = shelf.read("me", uri)
        (content,) = result["contents"]
        assert content["uri"] == uri
        assert content["mimeType"] == "text/plain"
        read.append(content["text"])
        told = result["_meta"][PAGE_KEY]
        assert (told["page"], told["pages"], told["bytes"]) == (len(read), 3, 23)
        uri = told.get("next")
    assert read == ["abcdefghij", "abcdefghij", "end"]


def test_nobody_reads_what_is_kept_for_another() -> None:
    shelf = ResultShelf()
    kept = put(shelf, "secret")
    with pytest.raises(NotFound):
        shelf.read("other", kept.uri(1))
    with pytest.raises(NotFound):
        shelf.read("me", f"{PREFIX}guess?page=1")


@pytest.mark.parametrize("page", ["0", "4", "-1", "x", "1e3", "9" * 30, "\u0661"])
def test_a_page_that_is_none_is_refused(page: str) -> None:
    shelf = ResultShelf()
    kept = put(shelf, "abcdefghij" * 3)
    with pytest.raises(InvalidInput, match="page"):
        shelf.read("me", f"{PREFIX}{kept.id}?page={page}")


def test_without_a_page_the_first_is_read() -> None:
    shelf = ResultShelf()
    kept = put(shelf, "abcdefghijk")
    assert shelf.read("me", f"{PREFIX}{kept.id}")["contents"][0]["text"] == "abcdefghij"


def test_what_is_kept_goes_after_its_time() -> None:
    clock = Clock()
    shelf = ResultShelf(kept_s=60, now=clock)
    kept = put(shelf, "text")
    clock.now = 59
    shelf.read("me", kept.uri(1))
    clock.now = 60
    with pytest.raises(NotFound):
        shelf.read("me", kept.uri(1))
    assert (len(shelf), shelf.bytes) == (0, 0)


def test_who_keeps_much_pushes_out_nobody_but_themselves() -> None:
    shelf = ResultShelf(capacity_bytes=100)
    modest = put(shelf, "x" * 10, principal="modest")
    greedy = [put(shelf, "y" * 30, principal="greedy") for _ in range(10)]
    assert shelf.read("modest", modest.uri(1))
    assert shelf.read("greedy", greedy[-1].uri(1))
    with pytest.raises(NotFound):
        shelf.read("greedy", greedy[0].uri(1))
    assert shelf.bytes <= 100


def test_of_what_is_larger_than_all_room_the_beginning_is_kept() -> None:
    shelf = ResultShelf(capacity_bytes=100)
    put(shelf, "a" * 50, principal="other")
    kept = put(shelf, "b" * 1000)
    told = shelf.read("me", kept.uri(kept.pages))["_meta"][PAGE_KEY]
    assert (told["bytes"], told["keptBytes"]) == (1000, 100)
    assert shelf.bytes == 100
