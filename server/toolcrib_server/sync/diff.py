"""What a server lists against what the registry holds: a pure comparison.

Knows no connection and no database. Equality is a hash over the whole listed object, so that a
change of annotations or of a schema's smallest part counts as much as a new description.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from toolcrib_registry.types import (
    EntryChanges,
    EntryId,
    EntryKind,
    JsonObject,
    Malformed,
    OwnedEntry,
    Prompt,
    Resource,
    ServerName,
    Tool,
    hash_content,
    qualified_name,
    split_id,
)
from toolcrib_server.upstream.lists.listing import Listing


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What has to be written, how much is as it was, and what could not be named apart."""

    changes: EntryChanges
    unchanged: int
    collisions: tuple[Malformed, ...] = ()


def compare(
    server: ServerName,
    entries: Iterable[OwnedEntry],
    known: Mapping[EntryId, str],
    *,
    unlisted: Collection[EntryKind] = (),
) -> Difference:
    """Compare the entries a server has now with the hashes the registry holds of it.

    ``known`` maps each stored entry of this server to its content hash. Entries of the
    ``unlisted`` kinds are kept: the server failed to list these, which does not say they are gone.
    Two listed objects that come to the same public name collide: the first keeps it, the others
    are set aside.
    """
    upserts: list[OwnedEntry] = []
    collisions: list[Malformed] = []
    seen: dict[EntryId, OwnedEntry] = {}
    for entry in entries:
        id_ = entry.id
        if id_ in seen:
            reason = f"its public name {entry.name!r} is taken by {seen[id_].local_name!r}"
            collisions.append(Malformed(entry.kind, entry.local_name, reason))
            continue
        seen[id_] = entry
        if known.get(id_) != entry.content_hash:
            upserts.append(entry)
    gone = known.keys() - seen.keys()
    removals = tuple(sorted(key for key in gone if split_id(key)[0] not in unlisted))
    return Difference(
        changes=EntryChanges(server=server, upserts=tuple(upserts), removals=removals),
        unchanged=len(seen) - len(upserts),
        collisions=tuple(collisions),
    )


def entries_of(server: ServerName, listing: Listing) -> Iterator[OwnedEntry]:
    """Turn a listing into entries: tools, prompts, resources, resource templates."""
    for definition in listing.tools:
        yield tool_entry(server, definition)
    for definition in listing.prompts:
        yield Prompt(**_owned(server, definition, local_name=definition["name"]))
    for definition in listing.resources:
        yield Resource(**_owned(server, definition, local_name=definition["uri"]))
    for definition in listing.templates:
        yield Resource(**_owned(server, definition, local_name=definition["uriTemplate"]))


def tool_entry(server: ServerName, definition: JsonObject, *, source_id: str | None = None) -> Tool:
    """Turn one listed tool into an entry."""
    tool = Tool(**_owned(server, definition, local_name=definition["name"]))
    return replace(tool, source_id=source_id) if source_id is not None else tool


def _owned(server: ServerName, definition: JsonObject, *, local_name: str) -> dict[str, Any]:
    return {
        "name": qualified_name(server, local_name),
        "title": _title(definition),
        "description": _text(definition.get("description")),
        "server": server,
        "local_name": local_name,
        "definition": definition,
        "content_hash": hash_content(definition),
    }


def _title(definition: JsonObject) -> str | None:
    """Take the display name, in the specification's order: title, then annotations.title."""
    annotations = definition.get("annotations")
    nested = cast("JsonObject", annotations).get("title") if isinstance(annotations, dict) else None
    return next((t for t in (definition.get("title"), nested) if isinstance(t, str) and t), None)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
