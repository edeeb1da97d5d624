"""Entries to wire models: tools both ways, models one way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any, TypeAlias, cast

from toolcrib_registry import wire
from toolcrib_registry.types import (
    Entry,
    JsonObject,
    Known,
    Launch,
    Mark,
    Model,
    ModelDescriptor,
    Offer,
    OwnedEntry,
    ServerName,
    Tool,
    Trust,
    hash_content,
    qualified_name,
)
from toolcrib_server.catalog.declared import read_declared, read_tags
from toolcrib_server.rest.masking import mask_value
from toolcrib_server.selection.freshness import stale_since
from toolcrib_server.upstream.config.references import has_reference

Stale: TypeAlias = Mapping[ServerName, datetime]
NOT_STALE: Stale = {}
"""Servers that cannot be reached, with when each was last heard; or none of them."""


def entry_out(entry: Entry, *, whole: bool = False, stale: Stale = NOT_STALE) -> wire.EntryOut:
    """Show an entry as listings do; ``whole`` adds the object its server listed."""
    shown: dict[str, Any] = {**_entry_fields(entry), "stale_since": stale_since(entry, stale)}
    if whole and isinstance(entry, OwnedEntry):
        shown["definition"] = dict(entry.definition)
    return wire.EntryOut(**shown)


def tool_out(tool: Tool, *, whole: bool = False, stale: Stale = NOT_STALE) -> wire.ToolOut:
    """Show a tool."""
    descriptor = tool.descriptor
    output_schema = tool.output_schema
    claims: dict[str, Any] = {
        f.name: _fact_out(getattr(descriptor, f.name)) for f in fields(descriptor)
    }
    return wire.ToolOut(
        **_entry_fields(tool),
        stale_since=stale_since(tool, stale),
        definition=dict(tool.definition) if whole else None,
        input_schema=dict(tool.input_schema),
        output_schema=dict(output_schema) if output_schema is not None else None,
        **claims,
    )


def tool_from(given: wire.ToolIn, *, server: ServerName) -> Tool:
    """Build a catalogue's tool."""
    declared = given.model_dump(include={"title", "tags", "depends_on", "questions"})
    definition: JsonObject = {
        "name": given.name,
        "description": given.description,
        "inputSchema": given.input_schema,
        **read_declared(declared),
    }
    return Tool(
        name=qualified_name(server, given.name),
        title=given.title,
        description=given.description,
        server=server,
        local_name=given.name,
        definition=definition,
        content_hash=hash_content(definition),
        tags=read_tags(declared),
    )


def model_out(model: Model) -> wire.ModelOut:
    """Show a model."""
    return wire.ModelOut(
        **_entry_fields(model),
        family=model.family,
        descriptor=wire.DescriptorOut(**_facts_out(model.descriptor)),
        offers=[offer_out(offer) for offer in model.offers],
    )


def offer_out(offer: Offer) -> wire.OfferOut:
    """Show an offer; its key is a reference, never a key."""
    shown = _facts_out(offer)
    shown["api_key"] = mask_value(offer.api_key) if offer.api_key else None
    shown["launch"] = _launch_out(offer.launch) if offer.launch else None
    return wire.OfferOut(**shown)


def _without_defaults(value: str) -> str:
    """Mask around references, whose defaults may be secret; a plain literal is none."""
    return mask_value(value) if has_reference(value) else value


def _launch_out(launch: Launch) -> wire.LaunchOut:
    return wire.LaunchOut(
        command=launch.command,
        args=[_without_defaults(arg) for arg in launch.args],
        env={name: _without_defaults(value) for name, value in launch.env.items()},
        cwd=launch.cwd,
        health=launch.health,
        start_timeout_s=launch.start_timeout_s,
        idle_timeout_s=launch.idle_timeout_s,
    )


def _entry_fields(entry: Entry) -> dict[str, Any]:
    owned = isinstance(entry, OwnedEntry)
    return {
        "id": entry.id,
        "kind": entry.kind,
        "name": entry.name,
        "title": entry.title,
        "description": entry.description,
        "server": entry.server if owned else None,
        "local_name": entry.local_name if owned else None,
        "tags": list(entry.tags),
        "enabled": entry.enabled,
        "source_id": entry.source_id,
        "revision": entry.revision,
        "added_at": entry.added_at,
        "updated_at": entry.updated_at,
        "trust": entry.trust if owned else Trust.TRUSTED,
        "marks": marks_out(entry.marks if owned else ()),
    }


def marks_out(marks: Sequence[Mark]) -> list[wire.MarkOut]:
    """Show marks."""
    return [wire.MarkOut(reason=mark.reason, detail=mark.detail) for mark in marks]


def _facts_out(described: ModelDescriptor | Offer) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for f in fields(described):
        value = getattr(described, f.name)
        is_fact = isinstance(value, Known)
        shown[f.name] = _fact_out(cast("Known[Any]", value)) if is_fact else value
    shown["disputed"] = {
        name: [_fact_out(known) for known in others] for name, others in described.disputed.items()
    }
    if isinstance(described, ModelDescriptor):
        shown["evaluations"] = [asdict(one) for one in described.evaluations]
    return shown


def _fact_out(known: Known[Any] | None) -> dict[str, Any] | None:
    if known is None:
        return None
    value = known.value
    if isinstance(value, tuple):
        value = list(cast("tuple[Any, ...]", value))
    return {"value": value, "source": known.source, "as_of": known.as_of}
