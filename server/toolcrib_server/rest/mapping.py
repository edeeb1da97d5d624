"""Domain objects to wire models and back. Nothing secret passes: transports go out masked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, cast

from toolcrib_registry import wire
from toolcrib_registry.types import (
    CatalogTransport,
    Change,
    Entry,
    HttpTransport,
    JsonObject,
    Known,
    Model,
    ModelDescriptor,
    Offer,
    OwnedEntry,
    Server,
    ServerName,
    SseTransport,
    StdioTransport,
    Tool,
    Transport,
    hash_content,
    qualified_name,
)
from toolcrib_server.selection.constraint import Ability, Constraints, Exclusion
from toolcrib_server.selection.models import Choice, Selection
from toolcrib_server.selection.question import Filters, Rerank, Stages
from toolcrib_server.selection.selector import RETRIEVERS, Answer, Found
from toolcrib_server.sync.reconcile import SyncReport

from .masking import mask_args, mask_url, mask_value, masked, unmasked

# --- servers -----------------------------------------------------------------------------------


def server_from(given: wire.ServerIn, *, name: ServerName, stored: Server | None) -> Server:
    """Build the server that a body describes; masked values are those of ``stored``."""
    transport = transport_from(given.transport)
    return Server(
        name=name,
        transport=unmasked(transport, stored.transport if stored else transport),
        enabled=given.enabled,
        tags=tuple(given.tags),
        origin=stored.origin if stored else "api",
        start_timeout_s=given.start_timeout_s,
        call_timeout_s=given.call_timeout_s,
    )


def patched(stored: Server, given: wire.ServerPatch) -> Server:
    """Apply a patch to a server."""
    changes: dict[str, Any] = {
        name: value
        for name in ("enabled", "tags", "start_timeout_s", "call_timeout_s")
        if (value := getattr(given, name)) is not None
    }
    if "tags" in changes:
        changes["tags"] = tuple(changes["tags"])
    if given.transport is not None:
        changes["transport"] = unmasked(transport_from(given.transport), stored.transport)
    return replace(stored, **changes)


def transport_from(given: wire.StdioIn | wire.HttpIn | wire.CatalogIn) -> Transport:
    """Build a transport."""
    match given:
        case wire.StdioIn():
            return StdioTransport(given.command, tuple(given.args), given.env, given.cwd)
        case wire.HttpIn(type="http"):
            return HttpTransport(given.url, given.headers)
        case wire.HttpIn():
            return SseTransport(given.url, given.headers)
        case wire.CatalogIn():
            return CatalogTransport(given.source)


def server_out(server: Server) -> wire.ServerOut:
    """Show a server, without what is secret."""
    health: dict[str, Any] = {f.name: getattr(server.health, f.name) for f in fields(server.health)}
    health["quarantined"] = [
        wire.QuarantinedOut(kind=q.kind, name=q.name, reason=q.reason)
        for q in server.health.quarantined
    ]
    return wire.ServerOut(
        name=server.name,
        transport=transport_out(server.transport),
        enabled=server.enabled,
        callable=server.callable,
        tags=list(server.tags),
        origin=server.origin,
        start_timeout_s=server.start_timeout_s,
        call_timeout_s=server.call_timeout_s,
        health=wire.HealthOfServerOut(**health),
        added_at=server.added_at,
    )


def transport_out(transport: Transport) -> wire.TransportOut:
    """Show how a server is reached, without what is secret."""
    match masked(transport):
        case StdioTransport(command=command, args=args, env=env, cwd=cwd):
            return wire.TransportOut(
                type="stdio", command=command, args=list(args), env=dict(env), cwd=cwd
            )
        case HttpTransport(url=url, headers=headers):
            return wire.TransportOut(type="http", url=url, headers=dict(headers))
        case SseTransport(url=url, headers=headers):
            return wire.TransportOut(type="sse", url=url, headers=dict(headers))
        case CatalogTransport(source=source):
            return wire.TransportOut(type="catalog", source=source)


# --- entries -----------------------------------------------------------------------------------


def entry_out(entry: Entry, *, whole: bool = False) -> wire.EntryOut:
    """Show an entry as listings do; ``whole`` adds the object its server listed."""
    shown = _entry_fields(entry)
    if whole and isinstance(entry, OwnedEntry):
        shown["definition"] = dict(entry.definition)
    return wire.EntryOut(**shown)


def tool_out(tool: Tool, *, whole: bool = False) -> wire.ToolOut:
    """Show a tool."""
    descriptor = tool.descriptor
    output_schema = tool.output_schema
    claims: dict[str, Any] = {
        f.name: _fact_out(getattr(descriptor, f.name)) for f in fields(descriptor)
    }
    return wire.ToolOut(
        **_entry_fields(tool),
        definition=dict(tool.definition) if whole else None,
        input_schema=dict(tool.input_schema),
        output_schema=dict(output_schema) if output_schema is not None else None,
        **claims,
    )


def tool_from(given: wire.ToolIn, *, server: ServerName) -> Tool:
    """Build a catalogue's tool."""
    definition: JsonObject = {
        "name": given.name,
        **({"title": given.title} if given.title else {}),
        "description": given.description,
        "inputSchema": given.input_schema,
    }
    return Tool(
        name=qualified_name(server, given.name),
        title=given.title,
        description=given.description,
        server=server,
        local_name=given.name,
        definition=definition,
        content_hash=hash_content(definition),
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
    return wire.OfferOut(**shown)


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
    }


def _facts_out(described: ModelDescriptor | Offer) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for f in fields(described):
        value = getattr(described, f.name)
        is_fact = isinstance(value, Known)
        shown[f.name] = _fact_out(cast("Known[Any]", value)) if is_fact else value
    return shown


def _fact_out(known: Known[Any] | None) -> dict[str, Any] | None:
    if known is None:
        return None
    value = known.value
    if isinstance(value, tuple):
        value = list(cast("tuple[Any, ...]", value))
    return {"value": value, "source": known.source, "as_of": known.as_of}


# --- search and selection ----------------------------------------------------------------------


def filters_from(given: wire.SearchQuery) -> Filters:
    """Build filters."""
    return Filters.of(
        kinds=given.kinds,
        servers=given.servers,
        tags=given.tags,
        read_only=given.read_only,
        destructive=given.destructive,
    )


def stages_from(given: wire.SearchQuery) -> Stages:
    """Build the choice of stages."""
    return Stages(
        rerank=Rerank(given.rerank),
        split=given.split,
        fold=given.fold,
        dependencies=given.dependencies,
    )


def results_out(answer: Answer, hits: list[wire.SearchHit], *, grouped: bool) -> wire.SearchResults:
    """Show the answer with those of its hits that there is room for."""
    return wire.SearchResults(
        query=answer.query if isinstance(answer.query, str) else list(answer.query),
        hits=hits,
        revision=answer.revision,
        searched=answer.searched,
        left_out=len(answer.found) - len(hits),
        steps=list(answer.steps),
        unanswered=list(answer.unanswered),
        likelihood=answer.likelihood,
        abstained=answer.abstained,
        reranked=answer.reranked,
        took_ms=round(answer.took_ms, 3),
        groups=_groups(hits) if grouped else None,
    )


def _groups(hits: Sequence[wire.SearchHit]) -> list[wire.SearchGroup]:
    names: dict[str | None, list[str]] = {}
    for hit in hits:
        names.setdefault(hit.server, []).append(hit.name)
    return [wire.SearchGroup(server=server, names=its) for server, its in names.items()]


def hit_out(found: Found, *, detail: str, explain: bool, entry: Entry | None) -> wire.SearchHit:
    """Show a hit with as much detail as was asked for; ``entry`` is it in full."""
    brief = found.entry
    shown: dict[str, Any] = {}
    if detail != "name":
        shown = {"title": brief.title, "description": brief.description}
    if entry is not None:
        shown["description"] = entry.description
    if isinstance(entry, OwnedEntry):
        shown["definition"] = dict(entry.definition)
    if isinstance(entry, Model):
        shown["model"] = model_out(entry)
    return wire.SearchHit(
        id=brief.id,
        kind=brief.kind,
        name=brief.name,
        score=found.score,
        signals=_signals_out(found, explain=explain),
        server=brief.server,
        likelihood=found.likelihood,
        alternatives=list(found.alternatives),
        required_by=list(found.required_by),
        steps=list(found.steps),
        **shown,
    )


def _signals_out(found: Found, *, explain: bool) -> dict[str, wire.SignalOut]:
    return {
        name: wire.SignalOut(
            rank=signal.rank,
            score=signal.score,
            contribution=signal.contribution if explain else None,
        )
        for name, signal in found.signals.items()
        if explain or name in RETRIEVERS
    }


def constraints_from(given: wire.ConstraintsIn) -> Constraints:
    """Build constraints."""
    sets = {"modalities_in", "modalities_out", "licenses", "regions", "providers"}
    values: dict[str, Any] = {name: getattr(given, name) for name in type(given).model_fields}
    for name in (*sets, "without_providers"):
        values[name] = None if values[name] is None else frozenset(values[name])
    values["abilities"] = frozenset(Ability(word) for word in given.abilities)
    return Constraints(**values)


def selection_out(selection: Selection, *, max_exclusions: int) -> wire.SelectResults:
    """Show a selection with the first of its exclusions."""
    return wire.SelectResults(
        choices=[_choice_out(choice) for choice in selection.choices],
        exclusions=[_exclusion_out(e) for e in selection.exclusions[:max_exclusions]],
        excluded_by=selection.excluded_by,
        considered=selection.considered,
        passed=selection.passed,
        notes=list(selection.notes),
        revision=selection.revision,
    )


def _choice_out(choice: Choice) -> wire.ChoiceOut:
    candidate = choice.candidate
    return wire.ChoiceOut(
        model=candidate.model.name,
        title=candidate.model.title,
        relevance=candidate.relevance,
        offer=offer_out(candidate.offer) if candidate.offer else None,
        alternatives=[other.provider for other in choice.alternatives if other.provider],
        reasons=list(choice.reasons),
    )


def _exclusion_out(exclusion: Exclusion) -> wire.ExclusionOut:
    return wire.ExclusionOut(
        model=exclusion.candidate.model.name,
        provider=exclusion.candidate.provider,
        violations=[
            wire.ViolationOut(
                field=v.field, value=v.value, bound=v.bound, source=v.source, as_of=v.as_of
            )
            for v in exclusion.violations
        ],
        reason=str(exclusion),
    )


# --- calls, syncs, changes ---------------------------------------------------------------------


def call_out(name: str, result: JsonObject, *, duration_ms: float) -> wire.CallOut:
    """Show a tool's result object."""
    return wire.CallOut(
        name=name,
        content=list(result.get("content") or ()),
        structured_content=result.get("structuredContent"),
        is_error=bool(result.get("isError", False)),
        duration_ms=duration_ms,
    )


def report_out(report: SyncReport) -> wire.SyncReportOut:
    """Show what a sync did."""
    return wire.SyncReportOut(
        server=report.server,
        status=report.status,
        added=list(report.added),
        updated=list(report.updated),
        removed=list(report.removed),
        unchanged=report.unchanged,
        quarantined=report.quarantined,
        revision=report.revision,
        duration_s=report.duration_s,
        error=report.error,
    )


def change_out(change: Change) -> wire.ChangeOut:
    """Show a change; of a server's settings, no secret."""
    return wire.ChangeOut(
        revision=change.revision,
        at=change.at,
        actor=change.actor,
        action=change.action,
        subject=change.subject,
        server=change.server,
        fields=list(change.fields),
        before=_state_out(change.subject, change.before),
        after=_state_out(change.subject, change.after),
    )


def _state_out(subject: str, state: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if state is None or not subject.startswith("server:"):
        return dict(state) if state is not None else None
    shown = dict(state)
    if isinstance(shown.get("url"), str):
        shown["url"] = mask_url(shown["url"])
    if isinstance(shown.get("args"), list):
        shown["args"] = mask_args(shown["args"])
    return shown
