"""Whether a view can be saved: what it names is there, nothing collides, every tool can be called.

Names that the stored view has already are not looked up again: what an upstream took away must not
keep anybody from mending the rest.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Final, TypeVar

from toolcrib_registry.errors import InvalidView, NotFound
from toolcrib_registry.store import Store
from toolcrib_registry.types import (
    MAX_NAME_LENGTH,
    EntryKind,
    MarkReason,
    ServerName,
    Tool,
    View,
    entry_id,
)
from toolcrib_server.scan import scan_text

from .overlay import find_misfits

T = TypeVar("T", bound=str)

META_TOOLS: Final = ("search_tools", "get_tool_details", "call_tool")
"""Names of the tools that search a view: none of its own tools may have one."""
_NAME: Final = re.compile(rf"[A-Za-z0-9_.-]{{1,{MAX_NAME_LENGTH}}}")
_VIEW_NAME: Final = re.compile(rf"[A-Za-z0-9][A-Za-z0-9_.-]{{0,{MAX_NAME_LENGTH - 1}}}")
_LEAST_CONTEXT: Final = 1_000
_MOST_CONTEXT: Final = 100_000_000
_MOST_PROBLEMS: Final = 20
_MOST_MISSING: Final = 8
"""Of what is not there, near names are looked for: 30 ms each."""
_SHOWN_CHARS: Final = 80


def check_view(view: View, store: Store, *, stored: View | None = None) -> None:
    """Refuse a view that could not be served as it is written.

    Raises:
        InvalidView: Everything that is wrong with it is named.
    """
    problems = [
        *_check_words(view),
        *_check_range(view),
        *_check_twice(view),
        *_check_named(view, store, stored),
    ]
    if not problems:
        problems = [*_check_members(view, store, stored)]
    if problems:
        more = len(problems) - _MOST_PROBLEMS
        rest = [f"And {more} more."] if more > 0 else []
        raise InvalidView(view.name, [*problems[:_MOST_PROBLEMS], *rest])


def _check_words(view: View) -> Iterator[str]:
    if not _VIEW_NAME.fullmatch(view.name):
        yield (
            f"Its name must have 1 to {MAX_NAME_LENGTH} letters, digits, '_', '-' or '.', and "
            "begin with a letter or digit."
        )
    yield from _check_text("Its title", view.title)
    yield from _check_text("Its description", view.description)
    for one in view.overrides:
        if one.name is not None and not _NAME.fullmatch(one.name):
            yield (
                f"{_shown(one.tool)} cannot be called {_shown(one.name)}: a name has 1 to "
                f"{MAX_NAME_LENGTH} letters, digits, '_', '-' or '.'."
            )
        if one.name in META_TOOLS:
            yield f"{one.tool} cannot be called {one.name}: that is a tool which searches the view."
        yield from _check_text(f"The title of {_shown(one.tool)}", one.title)
        yield from _check_text(f"The description of {_shown(one.tool)}", one.description)


def _check_text(what: str, text: str | None) -> Iterator[str]:
    if any(one.reason is MarkReason.HIDDEN_TEXT for one in scan_text(text or "")):
        yield f"{what} holds characters that cannot be seen: write it without them."


def _check_range(view: View) -> Iterator[str]:
    if not (view.include.servers or view.include.tags or view.include.tools):
        yield "It includes nothing: name a server, a tag or a tool."
    if not _LEAST_CONTEXT <= view.context_tokens <= _MOST_CONTEXT:
        yield (
            f"contextTokens is {view.context_tokens}; it must be from {_LEAST_CONTEXT} to "
            f"{_MOST_CONTEXT}."
        )
    if not 0 < view.share <= 1:
        yield f"share is {view.share:g}; it must be more than 0, and at most 1."


def _check_twice(view: View) -> Iterator[str]:
    for name in _repeated([one.tool for one in view.overrides]):
        yield f"{_shown(name)} is overridden twice: make one override of both."
    for name in _repeated(view.pinned):
        yield f"{_shown(name)} is pinned twice."
    by_name: dict[str, list[str]] = {}
    for one in view.overrides:
        if one.name:
            by_name.setdefault(one.name, []).append(one.tool)
    for name, tools in by_name.items():
        if len(tools) > 1:
            yield f"{' and '.join(tools)} are both called {name}: give each a name of its own."


def _check_named(view: View, store: Store, stored: View | None) -> Iterator[str]:
    """Look up every server and tool that the view names and the stored one does not."""
    new = _new(_servers_of(view), _servers_of(stored) if stored else ())
    servers = [ServerName(name) for name in new]
    known = store.find_servers(servers)
    yield from _missing([name for name in servers if name not in known], store.get_server)
    tools = _new(_tools_of(view), _tools_of(stored) if stored else ())
    found = store.get_entries([entry_id(EntryKind.TOOL, name) for name in tools])
    missing = [name for name in tools if entry_id(EntryKind.TOOL, name) not in found]
    yield from _missing(missing, partial(store.get_entry, EntryKind.TOOL))


def _missing(names: Sequence[T], get: Callable[[T], object]) -> Iterator[str]:
    for place, name in enumerate(names):
        if place == _MOST_MISSING:
            yield f"{len(names) - place} more are not there."
            return
        try:
            get(name)
        except NotFound as error:
            yield error.detail


def _check_members(view: View, store: Store, stored: View | None) -> Iterator[str]:
    """Hold what the view says of its tools to the tools as they are."""
    tools = [m for m in store.views.members(view) if m.kind is EntryKind.TOOL]
    names = {member.name for member in tools}
    was_named = set(_tools_of(stored) if stored else ())
    for one, what in chain(
        ((one.tool, "overrides") for one in view.overrides),
        ((name, "pins") for name in view.pinned),
    ):
        if one not in names and one not in was_named:
            yield f"It {what} {one}, and does not include it."
    yield from _check_collisions(view, names)
    yield from _check_overrides(view, store, names)


def _check_collisions(view: View, names: Collection[str]) -> Iterator[str]:
    renamed: Mapping[str, str] = {one.tool: one.name for one in view.overrides if one.name}
    for tool, name in renamed.items():
        if name != tool and name in names and renamed.get(name, name) == name:
            yield f"{tool} cannot be called {name}: another tool of the view, {name}, is."


def _check_overrides(view: View, store: Store, names: Collection[str]) -> Iterator[str]:
    overrides = {one.tool: one for one in view.overrides if one.tool in names}
    ids = [entry_id(EntryKind.TOOL, name) for name in overrides]
    for entry in store.get_entries(ids).values():
        if isinstance(entry, Tool):
            yield from find_misfits(entry, overrides[entry.name])


def _servers_of(view: View) -> list[str]:
    return [*view.include.servers, *view.exclude.servers]


def _tools_of(view: View) -> list[str]:
    overridden = (one.tool for one in view.overrides)
    return [*view.include.tools, *view.exclude.tools, *overridden, *view.pinned]


def _new(names: Sequence[str], known: Sequence[str]) -> list[str]:
    before = set(known)
    return [name for name in dict.fromkeys(names) if name not in before]


def _repeated(names: Sequence[str]) -> list[str]:
    seen: set[str] = set()
    return list(dict.fromkeys(name for name in names if name in seen or seen.add(name)))


def _shown(name: str) -> str:
    return ascii(name if len(name) <= _SHOWN_CHARS else f"{name[:_SHOWN_CHARS]}…")
