"""Results of calls and reports of syncs to wire models."""

from __future__ import annotations

from toolcrib_registry import wire
from toolcrib_registry.types import JsonObject
from toolcrib_server.invocation.results.shelf import PAGE_KEY
from toolcrib_server.sync.reconcile import SyncReport


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
