"""Domain objects to wire models and back. Nothing secret passes: transports go out masked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from toolcrib_registry import wire
from toolcrib_registry.types import (
    CatalogTransport,
    ChangePolicy,
    Entry,
    HttpTransport,
    JsonObject,
    Known,
    Launch,
    Mark,
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
    Trust,
    hash_content,
    qualified_name,
)
from toolcrib_server.catalog.declared import read_declared, read_tags
from toolcrib_server.invocation.shelf import PAGE_KEY
from toolcrib_server.relay.servers import endpoint_of
from toolcrib_server.selection.brief import MARKED
from toolcrib_server.selection.constraint import Ability, Constraints, Exclusion
from toolcrib_server.selection.freshness import stale_since
from toolcrib_server.selection.models import Choice, Selection
from toolcrib_server.selection.question import Filters, Rerank, Stages
from toolcrib_server.selection.selector import RETRIEVERS, Answer, Found
from toolcrib_server.sync.reconcile import SyncReport
from toolcrib_server.upstream.references import has_reference

from .masking import mask_value, masked, unmasked
from .routing import expectation_out, forecast_out, routing_out

if TYPE_CHECKING:
    from toolcrib_embeddings.abstention.calibration import Grounds

Stale: TypeAlias = Mapping[ServerName, datetime]
NOT_STALE: Stale = {}
"""Servers that cannot be reached, with when each was last heard; or none of them."""
_DECIMALS = 6
"""Of scores: they come of vectors of 32 bits, and what is beyond says nothing."""

# --- servers -----------------------------------------------------------------------------------


def server_from(
    given: wire.ServerIn,
    *,
    name: ServerName,
    stored: Server | None,
    on_change: ChangePolicy = ChangePolicy.MARK,
) -> Server:
    """Build the server that a body describes; masked values are those of ``stored``.

    Unless the body names a policy, it is that of ``stored``, or ``on_change``.
    """
    transport = transport_from(given.transport)
    return Server(
        name=name,
        transport=unmasked(transport, stored.transport if stored else transport),
        enabled=given.enabled,
        tags=tuple(given.tags),
        origin=stored.origin if stored else "api",
        start_timeout_s=given.start_timeout_s,
        call_timeout_s=given.call_timeout_s,
        on_change=given.on_change or (stored.on_change if stored else on_change),
    )


def patched(stored: Server, given: wire.ServerPatch) -> Server:
    """Apply a patch to a server."""
    changes: dict[str, Any] = {
        name: value
        for name in ("enabled", "tags", "start_timeout_s", "call_timeout_s", "on_change")
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
    health["malformed"] = [
        wire.MalformedOut(kind=q.kind, name=q.name, reason=q.reason) for q in health["malformed"]
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
        on_change=server.on_change,
        health=wire.HealthOfServerOut(**health),
        added_at=server.added_at,
        endpoint=endpoint_of(server),
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
        split_by=None if answer.split_by is None else answer.split_by.value,
        read_by=None if answer.read is None else answer.read.model,
        english=None if answer.read is None else answer.read.english,
        notice=answer.notice,
        unwanted=list(answer.unwanted),
        likelihood=answer.likelihood,
        abstained=answer.abstained,
        grounds=_grounds_out(answer.grounds),
        reranked=answer.reranked,
        lexical_only=answer.lexical_only is not None,
        lexical_only_reason=answer.lexical_only,
        took_ms=round(answer.took_ms, 3),
        groups=_groups(hits) if grouped else None,
    )


def _grounds_out(grounds: Grounds | None) -> wire.GroundsOut | None:
    if grounds is None:
        return None
    return wire.GroundsOut(
        error_rate=grounds.error_rate, basis=grounds.basis.value, questions=grounds.questions
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
        score=round(found.score, _DECIMALS),
        signals=_signals_out(found, explain=explain),
        server=brief.server,
        likelihood=_rounded(found.likelihood),
        alternatives=list(found.alternatives),
        required_by=list(found.required_by),
        required_how=found.required_how,
        required_why=(found.required_why or None) if explain else None,
        steps=list(found.steps),
        stale_since=found.stale_since,
        marked=[MARKED[reason] for reason in brief.marks],
        **shown,
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _DECIMALS)


def _signals_out(found: Found, *, explain: bool) -> dict[str, wire.SignalOut]:
    return {
        name: wire.SignalOut(
            rank=signal.rank,
            score=round(signal.score, _DECIMALS),
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
        excluded_by=dict(selection.excluded_by),
        considered=selection.considered,
        passed=selection.passed,
        notes=list(selection.notes),
        revision=selection.revision,
        routing=routing_out(selection),
    )


def _choice_out(choice: Choice) -> wire.ChoiceOut:
    candidate = choice.candidate
    return wire.ChoiceOut(
        model=candidate.model.name,
        title=candidate.model.title,
        relevance=round(candidate.relevance, _DECIMALS),
        offer=offer_out(offer) if (offer := candidate.known_offer) else None,
        alternatives=[other.provider for other in choice.alternatives if other.provider],
        reasons=list(choice.reasons),
        expected=expectation_out(choice.expected) if choice.expected else None,
        forecast=forecast_out(choice.forecast) if choice.forecast else None,
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


# --- calls, syncs ------------------------------------------------------------------------------


def page_out(read: JsonObject) -> wire.ResultPageOut:
    """Render a page of a kept result."""
    told: JsonObject = read["_meta"][PAGE_KEY]
    (content,) = read["contents"]
    return wire.ResultPageOut(
        text=content["text"],
        mime_type=content["mimeType"],
        page=told["page"],
        pages=told["pages"],
        bytes=told["bytes"],
        next=told.get("next"),
    )


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
        quarantined=list(report.quarantined),
        marked=list(report.marked),
        unchanged=report.unchanged,
        malformed=report.malformed,
        skipped=report.skipped,
        revision=report.revision,
        duration_s=report.duration_s,
        error=report.error,
    )
