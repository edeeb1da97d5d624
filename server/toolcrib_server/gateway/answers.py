"""What a model is shown of a search: in its terms, in order, within the tokens it has to spend.

The same answer is shown in two forms, structured and as text, because hosts differ in which of
them the model reads. Neither exceeds the budget. Nothing here depends on when it is asked.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final, cast

from toolcrib_registry.types import Entry, EntryId, EntryKind
from toolcrib_server.selection.brief import Brief
from toolcrib_server.selection.selector import RETRIEVERS, Answer, Found

from .rendering import brief_fields, identity, render_entry
from .sentences import (
    NOTHING_FITS,
    explain,
    say_grounds,
    say_lexical_only,
    say_marked,
    say_needed,
    say_nothing_fits,
    say_nothing_found,
    say_read,
    say_rerank_off,
    say_stale,
    say_steps,
    say_unanswered,
    say_unwanted,
)

_SHOWN_NAMES: Final = 5
_LISTED_NAMES: Final = 20
_NO_ENTRIES: Final[Mapping[EntryId, Entry]] = {}

CountTokens = Callable[[str], int]


class Detail(StrEnum):
    """How much to say of each result."""

    NAME = "name"
    BRIEF = "brief"
    FULL = "full"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """How an answer is to be shown."""

    detail: Detail = Detail.BRIEF
    explain: bool = False
    """Show every signal of each result, and what it gave to the score."""
    group_by_server: bool = False
    max_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """An answer in both forms."""

    view: dict[str, Any]
    text: str


def show_answer(
    answer: Answer,
    wanted: Wanted,
    *,
    entries: Mapping[EntryId, Entry] = _NO_ENTRIES,
    count_tokens: CountTokens | None = None,
) -> Shown:
    """Show a ranked answer; results beyond the budget are left out, and counted.

    ``entries`` are what was found, read in full: `Detail.FULL` needs them. Where not one result
    fits at the detail that was asked for, names are shown. Where tokens are counted, scores are
    left out, unless they are to be explained.
    """
    sheet = _Sheet(answer, wanted, entries)
    if wanted.max_tokens is None or count_tokens is None:
        return sheet.show(len(answer.found))
    shown, count = _fitted(sheet, wanted.max_tokens, count_tokens)
    if count or wanted.detail is Detail.NAME:
        return shown
    names = _Sheet(answer, replace(wanted, detail=Detail.NAME), entries, is_lowered=True)
    return _fitted(names, wanted.max_tokens, count_tokens)[0]


def _fitted(sheet: _Sheet, max_tokens: int, count_tokens: CountTokens) -> tuple[Shown, int]:
    """Show as many results as fit. What each costs adds up; the whole is counted in the end."""
    room_in_view = room_in_text = max_tokens
    empty = sheet.show(0)
    room_in_view -= count_tokens(_compact(empty.view))
    room_in_text -= count_tokens(empty.text)
    count = 0
    for found in sheet.answer.found:
        room_in_view -= count_tokens(_compact(sheet.result(found))) + 1
        room_in_text -= count_tokens(sheet.block(count, found)) + 1
        if min(room_in_view, room_in_text) < 0:
            break
        count += 1
    while count:
        shown = sheet.show(count)
        if max(count_tokens(_compact(shown.view)), count_tokens(shown.text)) <= max_tokens:
            return shown, count
        count -= 1
    return (empty if min(room_in_view, room_in_text) >= 0 else sheet.least()), 0


@dataclass(frozen=True, slots=True)
class _Sheet:
    """Lays out one answer."""

    answer: Answer
    wanted: Wanted
    entries: Mapping[EntryId, Entry]
    is_lowered: bool = False
    """Whether there was no room for the detail that was asked for."""

    def show(self, count: int) -> Shown:
        """Show the first results."""
        found = self.answer.found[:count]
        return Shown(self._view(found), "\n".join(self._lines(found)))

    def least(self) -> Shown:
        """Say as little as can be said: that nothing fits, and what to do."""
        answer = self.answer
        view: dict[str, Any] = {
            "results": [],
            "searched": answer.searched,
            "revision": answer.revision,
            "abstained": answer.abstained,
        }
        if not answer.found:
            return Shown(view, say_nothing_found(answer))
        view["omitted"] = len(answer.found)
        omission = self._omission(len(answer.found))
        return Shown(view, f"{NOTHING_FITS} {omission}" if answer.abstained else omission)

    # --- structured ------------------------------------------------------------------------

    def _view(self, found: Sequence[Found]) -> dict[str, Any]:
        answer = self.answer
        view: dict[str, Any] = {
            "results": [self.result(one) for one in found],
            "searched": answer.searched,
            "revision": answer.revision,
            "abstained": answer.abstained,
        }
        if answer.lexical_only:
            view |= {"lexicalOnly": True, "lexicalOnlyReason": answer.lexical_only}
        if answer.likelihood is not None:
            view["likelihood"] = round(answer.likelihood, 3)
        view |= self._grounded() if self.wanted.explain else {}
        if answer.steps:
            view["steps"] = list(answer.steps)
        if answer.step_likelihoods:
            view["stepLikelihoods"] = [round(each, 3) for each in answer.step_likelihoods]
        view |= self._understood()
        if self.wanted.explain and answer.unwanted:
            view["unwanted"] = list(answer.unwanted)
        if answer.unanswered:
            view["unanswered"] = list(answer.unanswered)
        if self.wanted.group_by_server:
            view["groups"] = [
                {"server": server, "names": [one.entry.name for _, one in group]}
                for server, group in _grouped(found)
            ]
        if self.is_lowered:
            view["detail"] = self.wanted.detail.value
        if len(found) < len(answer.found):
            view["omitted"] = len(answer.found) - len(found)
        return view

    def _grounded(self) -> dict[str, Any]:
        """Say what the answer as a whole rests on, and what had no part in it."""
        answer, view = self.answer, dict[str, Any]()
        if answer.rerank_off:
            view["rerankOff"] = answer.rerank_off
        if answer.grounds is not None:
            view["grounds"] = {
                "errorRate": answer.grounds.error_rate,
                "basis": str(answer.grounds),
            }
        return view

    def _understood(self) -> dict[str, Any]:
        """Say how the query was read, where there is something to say."""
        answer = self.answer
        view: dict[str, Any] = {"notice": answer.notice} if answer.notice else {}
        if answer.read is not None and answer.read.english is not None:
            view["english"] = answer.read.english
        if self.wanted.explain and answer.split_by is not None:
            view["splitBy"] = answer.split_by.value
        if self.wanted.explain and answer.read is not None:
            view["readBy"] = answer.read.model
        return view

    def result(self, found: Found) -> dict[str, Any]:
        """Render one result."""
        view = identity(found.entry)
        if self.wanted.detail is not Detail.NAME:
            view |= self._described(found.entry)
            if self.wanted.explain or self.wanted.max_tokens is None:
                view["score"] = round(found.score, 4)
                view["signals"] = self._signals(found)
        return view | self._relations(found)

    def _described(self, entry: Brief) -> dict[str, Any]:
        whole = self.entries.get(entry.id) if self.wanted.detail is Detail.FULL else None
        return render_entry(whole) if whole else brief_fields(entry)

    def _signals(self, found: Found) -> dict[str, dict[str, float]]:
        shown: dict[str, dict[str, float]] = {}
        for name, signal in found.signals.items():
            if not self.wanted.explain and name not in RETRIEVERS:
                continue
            shown[name] = {"rank": signal.rank, "score": round(signal.score, 4)}
            if self.wanted.explain and signal.contribution is not None:
                shown[name]["contribution"] = round(signal.contribution, 4)
        return shown

    def _relations(self, found: Found) -> dict[str, Any]:
        view: dict[str, Any] = {}
        if found.likelihood is not None and self.wanted.detail is not Detail.NAME:
            view["likelihood"] = round(found.likelihood, 3)
        if self.answer.abstained:
            view["unlikely"] = True
        if found.alternatives:
            view["alternatives"] = list(found.alternatives[:_LISTED_NAMES])
        if found.required_by:
            view["neededBy"] = list(found.required_by[:_LISTED_NAMES])
            if found.required_how:
                view["neededHow"] = found.required_how.value
            if found.required_why and self.wanted.explain:
                view["neededWhy"] = found.required_why
        if found.steps:
            view["steps"] = list(found.steps)
        if found.stale_since:
            view["staleSince"] = found.stale_since.isoformat()
        return view

    # --- text ------------------------------------------------------------------------------

    def _lines(self, found: Sequence[Found]) -> Iterator[str]:
        answer = self.answer
        yield from _headlines(answer, explained=self.wanted.explain)
        if self.wanted.group_by_server:
            for server, group in _grouped(found):
                yield f"{server or 'of no server'}:"
                yield from (self.block(place, one) for place, one in group)
        else:
            yield from (self.block(place, one) for place, one in enumerate(found))
        if self.wanted.explain:
            yield from say_unwanted(answer)
            yield from say_rerank_off(answer)
        if self.wanted.explain and answer.grounds is not None:
            yield say_grounds(answer)
        if self.is_lowered:
            yield "There is room for names only: get_tool_details tells the rest."
        if len(found) < len(answer.found):
            yield self._omission(len(answer.found) - len(found))
        if answer.abstained and found:
            yield "If none of them does it, say so, or search in other words."
        elif any(one.entry.kind is EntryKind.TOOL for one in found):
            yield "Run one with call_tool(name, arguments)."

    def block(self, place: int, found: Found) -> str:
        """Render one result as lines; ``place`` counts from 0."""
        return "\n   ".join(self._parts(place, found))

    def _parts(self, place: int, found: Found) -> Iterator[str]:
        result = self.result(found)
        step = ", ".join(str(step + 1) for step in found.steps)
        marks = [
            "unlikely" if self.answer.abstained else "",
            f"for step {step}" if step else "",
            say_needed(found, names=_names(found.required_by)),
            say_stale(found.stale_since) if found.stale_since else "",
            say_marked(found.entry.marks),
        ]
        shown = "; ".join(mark for mark in marks if mark)
        yield f"{place + 1}. {_line(result)}" + (f" ({shown})" if shown else "")
        if found.alternatives:
            yield f"also at: {_names(found.alternatives)}"
        if "inputSchema" in result:
            yield f"inputSchema: {_compact(result['inputSchema'])}"
        if self.wanted.explain:
            yield f"why: {explain(found)}"

    def _omission(self, omitted: int) -> str:
        budget = self.wanted.max_tokens
        more = "raise it" if self.wanted.detail is Detail.NAME else 'raise it, or ask detail="name"'
        return f"{omitted} left out to keep within max_tokens={budget}: {more}."


def _headlines(answer: Answer, *, explained: bool) -> Iterator[str]:
    if not answer.found:
        yield say_nothing_found(answer)
    elif answer.abstained:
        yield f"{say_nothing_fits(answer)} The nearest, all unlikely:"
    yield from say_lexical_only(answer)
    yield from say_read(answer, explained=explained)
    if answer.steps and answer.found:
        yield f"Steps: {' '.join(say_steps(answer, is_cut=True))}"
        yield from say_unanswered(answer)


def _grouped(found: Sequence[Found]) -> list[tuple[str | None, list[tuple[int, Found]]]]:
    """Group by server, with each one's place; the server of the best result comes first."""
    groups: dict[str | None, list[tuple[int, Found]]] = {}
    for place, one in enumerate(found):
        groups.setdefault(one.entry.server, []).append((place, one))
    return list(groups.items())


def _line(result: Mapping[str, Any]) -> str:
    arguments: Any = result.get("arguments")
    # A prompt's own are a list of objects, which stand in full beside it.
    types = cast("dict[str, str]", arguments) if isinstance(arguments, dict) else {}
    signature = ", ".join(f"{name}: {kind}" for name, kind in types.items())
    kind, name = result["kind"], str(result["name"])
    if kind != EntryKind.TOOL:
        call = f"{name} [{kind}]"
    else:
        call = f"{name}({signature})" if "arguments" in result else name
    description = result.get("description")
    return f"{call}: {' '.join(str(description).split())}" if description else call


def _names(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN_NAMES
    return ", ".join(names[:_SHOWN_NAMES]) + (f" and {more} more" if more > 0 else "")


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
