"""Only whole texts are kept, and a stream of one is put together to the letter."""

import pytest

from toolcrib_server.answers.keeping import StreamedText, is_worth_keeping

TEXT = {"message": {"role": "assistant", "content": "Paris"}, "finish_reason": "stop"}


def chunk(content=None, *, finish=None, index=0, **more):
    delta = {} if content is None else {"content": content}
    return {
        "id": "1",
        "choices": [{"index": index, "delta": delta | more, "finish_reason": finish}],
    }


def test_a_whole_text_is_worth_keeping():
    assert is_worth_keeping({"choices": [TEXT]})


@pytest.mark.parametrize(
    "choices",
    [
        [],
        [TEXT, TEXT],
        [TEXT | {"finish_reason": "length"}],
        [TEXT | {"finish_reason": "content_filter"}],
        [TEXT | {"finish_reason": None}],
        [TEXT | {"message": None}],
        [TEXT | {"message": {"content": ""}}],
        [TEXT | {"message": {"content": None, "refusal": "no"}}],
        [TEXT | {"message": {"content": "x", "refusal": "no"}}],
        [TEXT | {"message": {"content": "x", "tool_calls": [{"id": "1"}]}}],
    ],
)
def test_what_is_cut_refused_or_no_text_is_not(choices):
    assert not is_worth_keeping({"choices": choices})


def test_chunks_make_the_answer_that_would_have_come_whole():
    stream = StreamedText()
    for each in (chunk("", role="assistant"), chunk("Pa"), chunk("ris"), chunk(finish="stop")):
        stream.add(each)
    stream.add({"choices": [], "usage": {"total_tokens": 3}})
    whole = stream.whole()
    assert whole is not None
    assert whole["choices"][0]["message"] == {"role": "assistant", "content": "Paris"}
    assert (whole["id"], whole["usage"]) == ("1", {"total_tokens": 3})
    assert is_worth_keeping(whole)


@pytest.mark.parametrize(
    "odd", [chunk("x", index=1), chunk(tool_calls=[{"index": 0}]), chunk("x", refusal="no")]
)
def test_a_stream_that_is_more_than_one_text_is_not_put_together(odd):
    stream = StreamedText()
    stream.add(chunk("Paris", finish="stop"))
    stream.add(odd)
    assert stream.whole() is None


def test_a_stream_that_breaks_off_is_not_worth_keeping():
    stream = StreamedText()
    stream.add(chunk("Par"))
    whole = stream.whole()
    assert whole is not None
    assert not is_worth_keeping(whole)


def test_a_stream_without_end_is_given_up():
    stream = StreamedText(most_chars=10)
    for _ in range(100):
        stream.add(chunk("x"))
    assert stream.whole() is None
