"""Rows of servers and entries in, domain types out, and back: total, and without loss.

Written are columns by name, as bulk statements take them: building a SQLModel row costs 80 us, a
half of all writing. Read are typed rows. Nothing here knows sessions or queries.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from datetime import date
from typing import Any, TypeGuard, cast

from toolcrib_registry.tables import (
    EntryRow,
    OfferRow,
    ServerRow,
    UnreadableValueError,
)
from toolcrib_registry.types import (
    CatalogTransport,
    ChangePolicy,
    Entry,
    EntryKind,
    Evaluation,
    HttpTransport,
    Known,
    Launch,
    Malformed,
    Mark,
    MarkReason,
    Model,
    ModelDescriptor,
    Offer,
    OwnedEntry,
    Prompt,
    Resource,
    Revision,
    Server,
    ServerHealth,
    ServerName,
    ServerStatus,
    SseTransport,
    StdioTransport,
    Tool,
    Transport,
    Trust,
)

_OWNED: dict[EntryKind, type[OwnedEntry]] = {
    EntryKind.TOOL: Tool,
    EntryKind.PROMPT: Prompt,
    EntryKind.RESOURCE: Resource,
}
_OFFER_COLUMNS = frozenset({"provider", "remote_model", "endpoint", "api_key"})
_LAUNCH = "launch"
_DISPUTED = "disputed"
_EVALUATIONS = "evaluations"
_NO_FIELDS = frozenset({_DISPUTED, _EVALUATIONS})
"""What stands among the fields of a descriptor and is none."""


# --- servers -----------------------------------------------------------------------------------


def server_columns(server: Server) -> dict[str, Any]:
    """Give the columns of a server."""
    return {
        "name": server.name,
        "enabled": server.enabled,
        "origin": server.origin,
        "start_timeout_s": server.start_timeout_s,
        "call_timeout_s": server.call_timeout_s or 0.0,
        "added_at": server.added_at,
        "tags": list(server.tags),
        "on_change": server.on_change.value,
        "transport": dump_transport(server.transport),
        **health_columns(server.health),
    }


def server_from(row: ServerRow) -> Server:
    """Read a server off its row."""
    return Server(
        name=ServerName(row.name),
        transport=_load_transport(row.transport),
        enabled=row.enabled,
        tags=tuple(row.tags),
        on_change=ChangePolicy(row.on_change),
        origin=row.origin,
        start_timeout_s=row.start_timeout_s,
        call_timeout_s=row.call_timeout_s or None,
        health=_health_from(row),
        added_at=row.added_at,
    )


def health_columns(health: ServerHealth) -> dict[str, Any]:
    """Give the columns of `ServerRow` that hold its health."""
    return {
        "status": health.status.value,
        "attempted_at": health.attempted_at,
        "synced_at": health.synced_at,
        "error": health.error,
        "protocol_version": health.protocol_version,
        "reported_name": health.reported_name,
        "reported_version": health.reported_version,
        "instructions": health.instructions,
        "quarantined": [
            {"kind": item.kind.value, "name": item.name, "reason": item.reason}
            for item in health.malformed
        ],
        "failures": health.failures,
        "next_attempt_at": health.next_attempt_at,
        "fresh_until": health.fresh_until,
        "changed_at": health.changed_at,
        "duration_ms": health.duration_ms,
        "listing_digest": health.listing_digest,
        "cache_scope": health.cache_scope,
        "capabilities": None if health.capabilities is None else dict(health.capabilities),
    }


def _health_from(row: ServerRow) -> ServerHealth:
    return ServerHealth(
        status=ServerStatus(row.status),
        attempted_at=row.attempted_at,
        synced_at=row.synced_at,
        error=row.error,
        protocol_version=row.protocol_version,
        reported_name=row.reported_name,
        reported_version=row.reported_version,
        instructions=row.instructions,
        malformed=tuple(
            Malformed(EntryKind(item["kind"]), item["name"], item["reason"])
            for item in row.quarantined
        ),
        failures=row.failures,
        next_attempt_at=row.next_attempt_at,
        fresh_until=row.fresh_until,
        changed_at=row.changed_at,
        duration_ms=row.duration_ms,
        listing_digest=row.listing_digest,
        cache_scope=row.cache_scope,
        capabilities=row.capabilities,
    )


def dump_transport(transport: Transport) -> dict[str, Any]:
    """Write a transport as JSON, its kind under ``type``."""
    match transport:
        case StdioTransport(command=command, args=args, env=env, cwd=cwd):
            body = {"command": command, "args": list(args), "env": dict(env), "cwd": cwd}
            return {"type": "stdio", **body}
        case HttpTransport(url=url, headers=headers):
            return {"type": "http", "url": url, "headers": dict(headers)}
        case SseTransport(url=url, headers=headers):
            return {"type": "sse", "url": url, "headers": dict(headers)}
        case CatalogTransport(source=source):
            return {"type": "catalog", "source": source}


def _load_transport(body: Mapping[str, Any]) -> Transport:
    match body["type"]:
        case "stdio":
            args = tuple(body["args"])
            return StdioTransport(body["command"], args, body["env"], body["cwd"])
        case "http":
            return HttpTransport(body["url"], body["headers"])
        case "sse":
            return SseTransport(body["url"], body["headers"])
        case "catalog":
            return CatalogTransport(body["source"])
        case other:
            raise UnreadableValueError(f"a server has an unknown transport {other!r}")


def is_live(transport: Mapping[str, Any]) -> bool:
    """Tell from a transport's column whether its server can be asked anything."""
    return transport["type"] != "catalog"


# --- entries -----------------------------------------------------------------------------------


def entry_columns(entry: Entry) -> dict[str, Any]:
    """Give the columns of an entry. A model's offers have their own rows, see `offer_columns`."""
    owned = entry if isinstance(entry, OwnedEntry) else None
    model = entry if isinstance(entry, Model) else None
    return {
        "id": entry.id,
        "kind": entry.kind.value,
        "name": entry.name,
        "server": owned.server if owned else None,
        "enabled": entry.enabled,
        "content_hash": entry.content_hash,
        "revision": entry.revision,
        "added_at": entry.added_at,
        "updated_at": entry.updated_at,
        "local_name": owned.local_name if owned else None,
        "source_id": entry.source_id,
        "family": model.family if model else None,
        "title": entry.title,
        "tags": list(entry.tags),
        "description": entry.description,
        "definition": dict(owned.definition) if owned else None,
        "descriptor": dump_known(model.descriptor) if model else None,
        "trust": (owned.trust if owned else Trust.TRUSTED).value,
        "pinned_hash": owned.pinned_hash if owned else "",
        "marks": dump_marks(owned.marks) if owned else [],
    }


def entry_from(row: EntryRow, offers: Sequence[OfferRow] = ()) -> Entry:
    """Read an entry off its row, and a model's offers off theirs."""
    kind = EntryKind(row.kind)
    common: dict[str, Any] = {
        "name": row.name,
        "title": row.title,
        "description": row.description,
        "tags": tuple(row.tags),
        "enabled": row.enabled,
        "content_hash": row.content_hash,
        "source_id": row.source_id,
        "revision": Revision(row.revision),
        "added_at": row.added_at,
        "updated_at": row.updated_at,
    }
    if kind is EntryKind.MODEL:
        descriptor = ModelDescriptor(**_load_known(row.descriptor or {}))
        terms = tuple(_offer_from(offer) for offer in sorted(offers, key=lambda o: o.position))
        return Model(**common, family=row.family, descriptor=descriptor, offers=terms)
    if row.server is None or row.local_name is None or row.definition is None:
        raise UnreadableValueError(f"the entry {row.id!r} has no owner")
    server = ServerName(row.server)
    return _OWNED[kind](
        **common,
        server=server,
        local_name=row.local_name,
        definition=row.definition,
        trust=Trust(row.trust),
        pinned_hash=row.pinned_hash,
        marks=load_marks(row.marks),
    )


def dump_marks(marks: Sequence[Mark]) -> list[dict[str, str]]:
    """Write marks as JSON."""
    return [{"reason": mark.reason.value, "detail": mark.detail} for mark in marks]


def load_marks(body: Sequence[Mapping[str, str]]) -> tuple[Mark, ...]:
    """Read marks off JSON."""
    return tuple(Mark(MarkReason(item["reason"]), item["detail"]) for item in body)


def offer_columns(model: Model) -> list[dict[str, Any]]:
    """Give the columns of each of a model's offers, in order."""
    return [
        {
            "entry_id": model.id,
            "position": position,
            "provider": offer.provider,
            "remote_model": offer.remote_model,
            "endpoint": offer.endpoint,
            "api_key": offer.api_key,
            "terms": dump_known(offer) | _dump_launch(offer),
        }
        for position, offer in enumerate(model.offers)
    ]


def _offer_from(row: OfferRow) -> Offer:
    return Offer(
        provider=row.provider,
        remote_model=row.remote_model,
        endpoint=row.endpoint,
        api_key=row.api_key,
        launch=_load_launch(row.terms.get(_LAUNCH)),
        **_load_known({name: term for name, term in row.terms.items() if name != _LAUNCH}),
    )


def _dump_launch(offer: Offer) -> dict[str, Any]:
    if offer.launch is None:
        return {}
    return {_LAUNCH: {**asdict(offer.launch), "args": list(offer.launch.args)}}


def _load_launch(body: Mapping[str, Any] | None) -> Launch | None:
    if body is None:
        return None
    known: dict[str, Any] = {**body, "args": tuple(body["args"])}
    return Launch(**known)


def dump_known(record: ModelDescriptor | Offer) -> dict[str, Any]:
    """Write the known fields of a descriptor or an offer as JSON; unknown ones are left out."""
    values = {field.name: getattr(record, field.name) for field in fields(record)}
    known: dict[str, Any] = {n: _dump_field(item) for n, item in values.items() if _is_known(item)}
    if record.disputed:
        known[_DISPUTED] = {n: [_dump_field(k) for k in ks] for n, ks in record.disputed.items()}
    if isinstance(record, ModelDescriptor) and record.evaluations:
        known[_EVALUATIONS] = [_dump_evaluation(one) for one in record.evaluations]
    return known


def _is_known(item: Any) -> TypeGuard[Known[Any]]:
    return isinstance(item, Known)


def _dump_field(item: Known[Any]) -> dict[str, Any]:
    value = item.value
    if isinstance(value, tuple):
        value = list(cast("tuple[str, ...]", value))
    return {"value": value, "source": item.source, "as_of": item.as_of.isoformat()}


def _load_known(body: Mapping[str, Any]) -> dict[str, Any]:
    known: dict[str, Any] = {
        n: _load_field(item) for n, item in body.items() if n not in _NO_FIELDS
    }
    if disputed := body.get(_DISPUTED):
        known[_DISPUTED] = {n: tuple(map(_load_field, items)) for n, items in disputed.items()}
    if evaluations := body.get(_EVALUATIONS):
        known[_EVALUATIONS] = tuple(map(_load_evaluation, evaluations))
    return known


def _dump_evaluation(one: Evaluation) -> dict[str, Any]:
    return {**asdict(one), "as_of": one.as_of.isoformat()}


def _load_evaluation(body: Mapping[str, Any]) -> Evaluation:
    known: dict[str, Any] = {**body, "as_of": date.fromisoformat(body["as_of"])}
    return Evaluation(**known)


def _load_field(item: Mapping[str, Any]) -> Known[Any]:
    value = item["value"]
    if isinstance(value, list):  # JSON has no tuples, and a descriptor no lists
        value = tuple(cast("list[str]", value))
    return Known(value, item["source"], date.fromisoformat(item["as_of"]))


def dump_offer(offer: Offer) -> dict[str, Any]:
    """Write an offer as JSON, as the change log shows it."""
    columns = {name: getattr(offer, name) for name in sorted(_OFFER_COLUMNS)}
    return columns | dump_known(offer) | _dump_launch(offer)
