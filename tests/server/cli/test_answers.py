"""How a search looks in a terminal."""

from typing import Any

import pytest

from toolcrib_embeddings import Signal
from toolcrib_registry.types import Model, Revision, ServerName, Tool
from toolcrib_server.cli.answers import print_answer
from toolcrib_server.selection.brief import brief_of
from toolcrib_server.selection.question import Filters
from toolcrib_server.selection.selector import Answer, Found


def found(name: str, *, server: str = "clock", **more: Any) -> Found:
    tool = Tool(
        name=f"{server}__{name}",
        description="Tell\nthe time.",
        server=ServerName(server),
        local_name=name,
        definition={},
    )
    signals = {"lexical": Signal(2, 3.0), "dense": Signal(1, 0.5, 1.25), "name": Signal(1, 1.0)}
    return Found(brief_of(tool), 1.25, signals, **more)


def printed(capsys: pytest.CaptureFixture[str], answer: Answer, **options: bool) -> list[str]:
    print_answer(answer, **options)
    return capsys.readouterr().out.splitlines()


def answer(*results: Found, **more: Any) -> Answer:
    return Answer("x", results, Revision(1), searched=9, **more)


def test_a_plain_answer_is_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    heading, row = printed(capsys, answer(found("now")))
    assert heading.split() == ["#", "name", "kind", "score", "found", "by", "description"]
    assert " ".join(row.split()) == "1 clock__now tool 1.250 dense #1, lexical #2 Tell the time."


def test_what_a_table_has_no_column_for_stands_below_it(capsys: pytest.CaptureFixture[str]) -> None:
    first = found("now", alternatives=("mail__now", "post__now"))
    second = found("zone", required_by=("clock__now",))
    lines = printed(capsys, answer(first, second), explained=True)
    assert lines[3] == "1 also at: mail__now, post__now"
    assert lines[4].startswith("1 why: dense #1 0.500 (+1.250), lexical #2 3.000, name #1")
    assert lines[5] == "2 needed by: clock__now"


def test_steps_and_likelihoods_have_columns(capsys: pytest.CaptureFixture[str]) -> None:
    given = answer(
        found("now", steps=(0, 1), likelihood=0.834), found("zone"), steps=("ask", "book")
    )
    lines = printed(capsys, given)
    assert lines[:3] == ["The task in steps:", "  1. ask", "  2. book"]
    assert lines[4].split()[:6] == ["#", "name", "kind", "step", "likely", "score"]
    assert " ".join(lines[5].split()).startswith("1 clock__now tool 1, 2 83% 1.250")
    assert " ".join(lines[6].split()).startswith("2 clock__zone tool - - 1.250")


def test_a_step_says_how_likely_it_is_that_something_fits(
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = answer(found("now"), steps=("ask", "book"), step_likelihoods=(0.834, 0.042))
    lines = printed(capsys, given)
    assert lines[1:3] == ["  1. ask (something fits: 83%)", "  2. book (something fits: 4%)"]


def test_an_abstention_is_said_first(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, answer(found("now"), abstained=True, likelihood=0.04))
    assert lines[0] == (
        "Nothing in the registry seems to fit (likelihood that anything does: 4%). "
        "The nearest, all unlikely:"
    )


def test_results_are_grouped_by_server(capsys: pytest.CaptureFixture[str]) -> None:
    model = Found(brief_of(Model(name="acme/m")), 0.5, {})
    given = answer(found("a"), found("b", server="mail"), found("c"), model)
    lines = printed(capsys, given, grouped=True)
    firsts = [line.split()[0] for line in lines if line and not line.startswith("#")]
    assert firsts == ["clock", "1", "3", "mail", "2", "models", "4"]


@pytest.mark.parametrize(
    ("searched", "filters", "says"),
    [
        (0, Filters(), "The registry is empty. Add a server with `toolcrib add`"),
        (9, Filters(), "Nothing fits among 9 entries."),
        (9, Filters.of(read_only=True), "passes the filters"),
    ],
)
def test_an_empty_answer_says_why(
    capsys: pytest.CaptureFixture[str], searched: int, filters: Filters, says: str
) -> None:
    given = Answer("x", (), Revision(1), searched=searched, filters=filters)
    (line,) = printed(capsys, given)
    assert says in line


def test_what_others_wrote_does_not_drive_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    (_, row) = printed(capsys, answer(found("\x1b[2Jnow")))
    assert "\x1b" not in row
