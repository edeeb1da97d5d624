"""How a search looks in a terminal: a table, and lines for what a table has no column for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TypeAlias, TypeVar

from toolcrib_server.gateway.sentences import (
    explain,
    say_chance,
    say_grounds,
    say_lexical_only,
    say_needed,
    say_nothing_fits,
    say_nothing_found,
    say_read,
    say_rerank_off,
    say_steps,
    say_unanswered,
    say_unwanted,
)
from toolcrib_server.selection.freshness import say_stale
from toolcrib_server.selection.selector import RETRIEVERS, Answer, Found

from .output import Cell, clipped, print_line, print_table

T = TypeVar("T")

_Placed: TypeAlias = tuple[int, Found]


def print_answer(answer: Answer, *, explained: bool = False, grouped: bool = False) -> None:
    """Print what was found; ``grouped``: a table for each server, the best result's first."""
    for line in (*say_lexical_only(answer), *say_read(answer, explained=explained)):
        print_line(f"{line}\n")
    if not answer.found:
        print_line(_nothing(answer))
        return
    if answer.abstained:
        print_line(f"{say_nothing_fits(answer)} The nearest, all unlikely:\n")
    if answer.steps:
        steps = (f"  {step}" for step in say_steps(answer))
        print_line("\n".join(("The task in steps:", *steps, *say_unanswered(answer), "")))
    placed = list(enumerate(answer.found, start=1))
    for number, (heading, group) in enumerate(_groups(placed) if grouped else [(None, placed)]):
        if heading is not None:
            print_line(f"{chr(10) if number else ''}{heading}")
        _print_group(answer, group, explained=explained)
    for line in say_unwanted(answer):
        print_line(line)
    for line in say_rerank_off(answer) if explained else ():
        print_line(line)
    if explained and answer.grounds is not None:
        print_line(say_grounds(answer))


def _nothing(answer: Answer) -> str:
    if answer.searched:
        return say_nothing_found(answer)
    return "The registry is empty. Add a server with `toolcrib add`, or import a catalogue."


def _print_group(answer: Answer, group: Sequence[_Placed], *, explained: bool) -> None:
    stepped = bool(answer.steps)
    likely = any(found.likelihood is not None for _, found in group)
    columns = ("#", "name", "kind", *_if(stepped, "step"), *_if(likely, "likely"), "score")
    rows = [_row(*placed, stepped=stepped, likely=likely) for placed in group]
    columns = (*columns, "found by", "description")
    # A name is typed again to call what it names, so it is the last to be cut.
    print_table(columns, rows, empty="", spare=("found by", "score"))
    for line in _lines(group, explained=explained):
        print_line(line)


def _row(place: int, found: Found, *, stepped: bool, likely: bool) -> list[Cell]:
    entry = found.entry
    steps = ", ".join(str(step + 1) for step in found.steps) or None
    chance = None if found.likelihood is None else say_chance(found.likelihood)
    return [
        place,
        entry.name,
        entry.kind,
        *_if(stepped, steps),
        *_if(likely, chance),
        f"{found.score:.3f}",
        _found_by(found),
        clipped(entry.description),
    ]


def _found_by(found: Found) -> str:
    signals = sorted((name, found.signals[name]) for name in RETRIEVERS if name in found.signals)
    return ", ".join(f"{name} #{signal.rank}" for name, signal in signals)


def _lines(group: Sequence[_Placed], *, explained: bool) -> Iterator[str]:
    for place, found in group:
        if found.alternatives:
            yield f"{place} also at: {', '.join(found.alternatives)}"
        if found.required_by:
            needed = say_needed(found, names=", ".join(found.required_by))
            yield f"{place} {needed.replace(' by ', ' by: ', 1)}"
        if found.stale_since:
            yield f"{place} stale: {say_stale(found.stale_since, datetime.now(UTC))}"
        if explained:
            yield f"{place} why: {explain(found)}"


def _groups(placed: Sequence[_Placed]) -> Iterator[tuple[str, list[_Placed]]]:
    groups: dict[str, list[_Placed]] = {}
    for place, found in placed:
        groups.setdefault(found.entry.server or f"{found.entry.kind}s", []).append((place, found))
    yield from groups.items()


def _if(shown: bool, cell: T) -> tuple[T, ...]:  # noqa: FBT001  # reads as a condition
    return (cell,) if shown else ()
