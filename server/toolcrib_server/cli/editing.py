"""Changes to a view as a command line says them: options in, a changed view out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from toolcrib_registry.errors import InvalidInput
from toolcrib_registry.types import Members, ServerName, ToolOverride, View, ViewMode

from .options import parse_value

Selectors = tuple[Sequence[str], Sequence[str], Sequence[str]]
"""Servers, tags and tools, as they were given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edits:
    """What was given; None and nothing leave what there is."""

    title: str | None = None
    description: str | None = None
    include: Selectors = ((), (), ())
    exclude: Selectors = ((), (), ())
    pinned: Sequence[str] = ()
    renames: Sequence[str] = ()
    """Each ``TOOL=NAME``."""
    descriptions: Sequence[str] = ()
    """Each ``TOOL=TEXT``."""
    defaults: Sequence[str] = ()
    """Each ``TOOL.PARAM=VALUE``, as ``fixed``; a value is JSON, or else a text."""
    fixed: Sequence[str] = ()
    hidden: Sequence[str] = ()
    """Each ``TOOL.PARAM``."""
    reset: Sequence[str] = ()
    """Tools of which nothing is to be said any more."""
    mode: ViewMode | None = None
    context_tokens: int | None = None
    share: float | None = None


def apply_edits(view: View, edits: Edits) -> View:
    """Change a view.

    Raises:
        InvalidInput: An option is not written as it must be.
    """
    given = {
        name: value
        for name in ("title", "description", "mode", "context_tokens", "share")
        if (value := getattr(edits, name)) is not None
    }
    return replace(
        view,
        include=_selected(view.include, edits.include),
        exclude=_selected(view.exclude, edits.exclude),
        pinned=tuple(edits.pinned) or view.pinned,
        overrides=_overridden(view, edits),
        **given,
    )


def _selected(members: Members, given: Selectors) -> Members:
    servers, tags, tools = given
    return Members(
        servers=tuple(map(ServerName, servers)) or members.servers,
        tags=tuple(tags) or members.tags,
        tools=tuple(tools) or members.tools,
    )


def _overridden(view: View, edits: Edits) -> tuple[ToolOverride, ...]:
    known = {one.tool: one for one in view.overrides if one.tool not in edits.reset}

    def say(tool: str, **said: Any) -> None:
        known[tool] = replace(known.get(tool) or ToolOverride(tool=tool), **said)

    for tool, name in _pairs(edits.renames, "--rename", "TOOL=NAME"):
        say(tool, name=name)
    for tool, text in _pairs(edits.descriptions, "--describe", "TOOL=TEXT"):
        say(tool, description=text)
    for tool, parameter, value in _arguments(edits.defaults, "--default"):
        say(tool, defaults={**_of(known, tool).defaults, parameter: value})
    for tool, parameter, value in _arguments(edits.fixed, "--fix"):
        say(tool, fixed={**_of(known, tool).fixed, parameter: value})
    for place in edits.hidden:
        tool, parameter = _split(place, "--hide", "TOOL.PARAM")
        say(tool, hidden=tuple(dict.fromkeys((*_of(known, tool).hidden, parameter))))
    return tuple(known.values())


def _of(known: dict[str, ToolOverride], tool: str) -> ToolOverride:
    return known.get(tool) or ToolOverride(tool=tool)


def _pairs(given: Sequence[str], option: str, form: str) -> Iterator[tuple[str, str]]:
    for each in given:
        left, separator, right = each.partition("=")
        if not separator or not left:
            raise InvalidInput(f"{option} {each!r}: write {form}.")
        yield left, right


def _arguments(given: Sequence[str], option: str) -> Iterator[tuple[str, str, Any]]:
    form = "TOOL.PARAM=VALUE"
    for place, value in _pairs(given, option, form):
        yield (*_split(place, option, form), parse_value(value))


def _split(place: str, option: str, form: str) -> tuple[str, str]:
    tool, separator, parameter = place.rpartition(".")
    if not separator or not tool or not parameter:
        raise InvalidInput(f"{option} {place!r}: write {form}.")
    return tool, parameter
