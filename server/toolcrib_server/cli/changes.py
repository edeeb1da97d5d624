"""What changed, for people: the log with its differences, as it is or as it grows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from toolcrib_registry.errors import NotFound
from toolcrib_registry.store import Store
from toolcrib_registry.types import Change, ChangeAction, Revision, ServerName
from toolcrib_server.rest.masked_changes import masked_change
from toolcrib_server.runtime import Runtime
from toolcrib_server.sync.edits import Edit, EditKind, mark_up, say_edit
from toolcrib_server.sync.feed import Feed, Wanted
from toolcrib_server.sync.history import edits_of, list_revisions
from toolcrib_server.sync.prose import Fate, cut

from .options import AsJson
from .output import (
    Style,
    flush,
    has_colour,
    plain,
    print_json,
    print_line,
    print_note,
    print_styled,
    print_table,
)
from .running import run, run_until_interrupted

_INDENT = " " * 8
_SHOWN_CHARS = 160
_WIDEST_ACTION = 11  # "quarantined"
_STYLES = {Fate.REMOVED: Style.GONE, Fate.ADDED: Style.NEW, Fate.KEPT: Style.PLAIN}
_ACTIONS = {
    ChangeAction.ADDED: Style.NEW,
    ChangeAction.REMOVED: Style.GONE_ACTION,
    ChangeAction.QUARANTINED: Style.ALARM,
}


def changes(
    since: Annotated[int | None, typer.Option(min=0, help="Only after this revision.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="The last so many.")] = 20,
    server: Annotated[str | None, typer.Option(help="Only of this server.")] = None,
    entry: Annotated[
        str | None, typer.Option(help="Only of this entry, also when it is gone.")
    ] = None,
    diff: Annotated[
        bool | None,
        typer.Option("--diff/--no-diff", help="Say what differs; --json only says so with --diff."),
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Go on with new changes until Ctrl-C.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show what changed in the registry: who, what, when, and how it differs.

    With --watch, new changes are shown as they commit, whoever commits them; --json prints a line
    for each. Without --since, watching begins now.
    """
    shown = Shown(diff=not as_json if diff is None else diff, as_json=as_json)
    owner = ServerName(server) if server else None
    if watch:
        run_until_interrupted(lambda runtime: _watch(runtime, since, owner, entry, shown))
        return

    async def work(runtime: Runtime) -> tuple[Change, ...]:
        return runtime.store.last_changes(
            limit=limit,
            since=Revision(since or 0),
            server=owner,
            subject=_subject(runtime.store, entry) if entry else None,
        )

    found = run(work)
    if found or as_json or not (since or server or entry):
        print_changes(found, diff=shown.diff, as_json=as_json)
    else:
        print_line("Nothing has changed there, or not since then.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """How changes are shown as they come."""

    diff: bool
    as_json: bool


async def _watch(
    runtime: Runtime, since: int | None, server: ServerName | None, entry: str | None, shown: Shown
) -> None:
    subject = _subject(runtime.store, entry) if entry else None
    begin = runtime.store.head() if since is None else Revision(since)
    feed = Feed(runtime.store, since=begin, wanted=Wanted(server=server, subject=subject))
    print_note(f"Watching for changes after revision {begin}. Ctrl-C ends.")
    async for batch in feed.follow():
        for change in batch:
            if shown.as_json:
                view = json.dumps(plain(change_view(change, diff=shown.diff)), ensure_ascii=False)
                print_line(view)
            else:
                print_change(change, diff=shown.diff)
        flush()


def _subject(store: Store, entry: str) -> str:
    kind, separator, _ = entry.partition(":")
    if separator and store.last_changes(subject=entry, limit=1):
        return entry
    try:
        return list_revisions(store, None, entry, limit=1)[-1].subject
    except NotFound:
        if kind == "server":
            raise NotFound("server", entry) from None
        raise


def print_changes(found: Sequence[Change], *, diff: bool, as_json: bool) -> None:
    """Print changes, the newest last."""
    if as_json:
        print_json([change_view(change, diff=diff) for change in found])
    elif diff and found:
        for change in found:
            print_change(change, diff=True)
    else:
        rows = [
            (c.revision, c.at, c.actor, c.action, c.subject, ", ".join(_fields(c))) for c in found
        ]
        columns = ("revision", "when", "who", "what", "subject", "fields")
        print_table(columns, rows, empty="Nothing has changed yet.")


def print_change(change: Change, *, diff: bool) -> None:
    """Print a change: a line, and under it how it differs."""
    shown = masked_change(change)
    at = shown.at.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    action = _ACTIONS.get(shown.action, Style.PLAIN)
    print_styled(
        (f"{shown.revision:>6}  {at}  ", Style.FAINT),
        (f"{shown.actor}  ", Style.PLAIN),
        (f"{shown.action:<{_WIDEST_ACTION}}  ", action),
        (shown.subject, Style.STRONG),
    )
    for line in _asides(shown):
        print_styled((f"{_INDENT}{line}", Style.ALARM if line.startswith("!") else Style.PLAIN))
    for line in _differences(shown) if diff else ():
        print_styled((_INDENT, Style.PLAIN), *line)


def change_view(change: Change, *, diff: bool) -> dict[str, Any]:
    """Render a change for scripts, in the wire's spelling."""
    shown = masked_change(change)
    view: dict[str, Any] = plain(shown)
    if diff:
        from toolcrib_server.rest.mapping.changes import edit_out  # noqa: PLC0415  # slow to import

        edits = [edit_out(edit) for edit in edits_of(shown)]
        view["diff"] = [edit.model_dump(mode="json", exclude_none=True) for edit in edits]
    return view


def _fields(change: Change) -> tuple[str, ...]:
    marks = tuple(f"!{mark.reason}" for mark in change.marks)
    return (*change.fields, *marks)


def _asides(change: Change) -> Iterator[str]:
    if change.related:
        verb = "replaced by" if change.action is ChangeAction.REMOVED else "replaces"
        yield f"{verb} {change.related}"
    for mark in change.marks:
        yield f"! {mark.reason}: {cut(mark.detail, _SHOWN_CHARS)}"


def _differences(change: Change) -> Iterator[list[tuple[str, Style]]]:
    if change.action in (ChangeAction.ADDED, ChangeAction.QUARANTINED) and change.before is None:
        about = (change.after or {}).get("description")
        if isinstance(about, str) and about.strip():
            yield [(cut(" ".join(about.split()), _SHOWN_CHARS), Style.FAINT)]
        return
    yield from edit_lines(edits_of(change))


def edit_lines(edits: Iterable[Edit]) -> Iterator[list[tuple[str, Style]]]:
    """Say each edit in a line of parts with their styles."""
    for edit in edits:
        if has_colour() or edit.kind is not EditKind.REWORDED:
            yield [(_one_line(piece.text), _STYLES[piece.fate]) for piece in say_edit(edit)]
        else:
            yield [(_one_line(mark_up(edit)), Style.PLAIN)]


def _one_line(text: str) -> str:
    return text.replace("\n", " ").replace("\t", " ")
