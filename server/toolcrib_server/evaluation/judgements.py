"""Relevance judgements: which tools answer which query, and how well.

Reads three columns (query, tool, grade) and TREC's four, of which the second means nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, TypeAlias

from toolcrib_registry.errors import InvalidInput

from .rows import iter_lines, wrong

Judgements: TypeAlias = Mapping[str, Mapping[str, int]]
"""Grades by query and tool; above zero is relevant."""

NAMES: Final = ("qrels.tsv", "qrels.txt", "qrels.trec", "qrels")
_COLUMNS: Final = 3
_TREC_COLUMNS: Final = 4
_HEADINGS: Final = frozenset({"grade", "label", "rel", "relevance", "score"})
_MAX_GRADE: Final = 1_000


def read_judgements(file: Path) -> Judgements:
    """Read a file of judgements, in columns parted by tabs or by white space.

    A first line of headings is passed over; a judgement below zero counts as not relevant.

    Raises:
        InvalidInput: It cannot be read, a line is malformed, or two lines contradict each other.
    """
    grades: dict[str, dict[str, int]] = {}
    for number, line in enumerate(iter_lines(file), start=1):
        columns = _columns(file, number, line)
        if not columns or (number == 1 and columns[-1].lower() in _HEADINGS):
            continue
        query, tool, grade = columns[0], columns[-2], _grade(file, number, columns[-1])
        known = grades.setdefault(query, {}).setdefault(tool, grade)
        if known != grade:
            raise wrong(
                file, number, f"{tool!r} was graded {known} for {query!r} before, now {grade}"
            )
    if not grades:
        raise InvalidInput(f"{file} holds no judgement. {EXPECTED}")
    return grades


EXPECTED: Final = "A line is a query's id, a tool's id and a grade, parted by tabs."


def _columns(file: Path, number: int, line: bytes) -> list[str]:
    try:
        text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip("\r\n")
    except UnicodeDecodeError as error:
        raise wrong(file, number, "not UTF-8") from error
    columns = [column.strip() for column in text.split("\t")] if "\t" in text else text.split()
    if columns and (len(columns) not in {_COLUMNS, _TREC_COLUMNS} or not all(columns)):
        found = f"{len(columns)} columns, or an empty one, where 3 (or TREC's 4) were expected"
        raise wrong(file, number, f"{found}. {EXPECTED.rstrip('.')}")
    return columns


def _grade(file: Path, number: int, text: str) -> int:
    try:
        value = float(text)
        grade = int(value)
    except (ValueError, OverflowError) as error:
        raise wrong(file, number, f"the grade {text[:40]!r} is not a whole number") from error
    if grade != value or grade > _MAX_GRADE:
        raise wrong(file, number, f"the grade {text[:40]!r} is not a whole number up to 1000")
    return max(grade, 0)


def render_judgements(judgements: Judgements, queries: Iterable[str]) -> str:
    """Render those of some queries as TREC's qrels."""
    return "".join(
        f"{one_word(query)} 0 {one_word(tool)} {grade}\n"
        for query in queries
        for tool, grade in judgements[query].items()
    )


def one_word(id_: str) -> str:
    """Write an id so that white space, which parts TREC's columns, is not in it."""
    return "_".join(id_.split())
