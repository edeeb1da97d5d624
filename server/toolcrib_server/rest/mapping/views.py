"""Views to wire models. Values of arguments are shown to administrators alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from toolcrib_registry import wire
from toolcrib_registry.types import EntryKind, Members, ToolOverride, View
from toolcrib_server.rest.masking import MASK
from toolcrib_server.views.desk import Shown


def view_out(view: View, *, values: bool) -> wire.ViewOut:
    """Show a view; without ``values``, of default and fixed arguments only their names."""
    overrides = view.overrides if values else tuple(map(_masked, view.overrides))
    return wire.ViewOut(
        name=view.name,
        title=view.title,
        description=view.description,
        include=_members_out(view.include),
        exclude=_members_out(view.exclude),
        overrides=[_override_out(one) for one in overrides],
        pinned=list(view.pinned),
        mode=view.mode,
        context_tokens=view.context_tokens,
        share=view.share,
        revision=view.revision,
        added_at=view.added_at,
        updated_at=view.updated_at,
        mcp=f"/mcp/v/{quote(view.name)}",
    )


def shown_out(shown: Shown) -> wire.ViewShownOut:
    """Show what a client of a view is shown."""
    resolved = shown.resolved
    kinds = [member.kind for member in resolved.others]
    return wire.ViewShownOut(
        name=resolved.view.name,
        searches=resolved.searches,
        tools=len(resolved.tools),
        prompts=kinds.count(EntryKind.PROMPT),
        resources=kinds.count(EntryKind.RESOURCE),
        listed=[
            _listed_out(shown, definition, tokens)
            for definition, tokens in zip(resolved.listed, shown.tokens, strict=True)
        ],
        tokens=shown.total_tokens,
        all_tokens=shown.all_tokens,
        budget_tokens=resolved.view.budget_tokens,
        problems=list(resolved.problems),
        notes=list(resolved.notes),
    )


def _listed_out(shown: Shown, definition: Mapping[str, Any], tokens: int) -> wire.ListedToolOut:
    name = str(definition["name"])
    member = shown.resolved.tools[name].member
    return wire.ListedToolOut(
        name=name,
        tool=member.name,
        server=member.server,
        title=definition.get("title"),
        description=definition.get("description") or "",
        input_schema=definition.get("inputSchema") or {},
        tokens=tokens,
    )


def _masked(one: ToolOverride) -> ToolOverride:
    return replace(
        one, defaults=dict.fromkeys(one.defaults, MASK), fixed=dict.fromkeys(one.fixed, MASK)
    )


def _members_out(members: Members) -> wire.MembersOut:
    return wire.MembersOut(
        servers=list(members.servers), tags=list(members.tags), tools=list(members.tools)
    )


def _override_out(one: ToolOverride) -> wire.ToolOverrideOut:
    return wire.ToolOverrideOut(
        tool=one.tool,
        name=one.name,
        title=one.title,
        description=one.description,
        defaults=dict(one.defaults),
        fixed=dict(one.fixed),
        hidden=list(one.hidden),
    )
