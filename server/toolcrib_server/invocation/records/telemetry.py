"""Spans of calls, joined with the client's and the server's through ``_meta`` (SEP-414).

By OpenTelemetry's conventions for MCP and GenAI. Without a tracer provider it costs next to
nothing, and what a client sent of its trace goes to the server as it came. Knows no values of
arguments.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import urlsplit

from opentelemetry import trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context, attach, detach, get_current
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode, TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from toolcrib_registry.errors import ToolcribError, UpstreamProtocolError
from toolcrib_registry.types import (
    EntryKind,
    HttpTransport,
    JsonObject,
    Server,
    SseTransport,
)
from toolcrib_server.invocation.errands.errand import CALL, Account, Errand

TRACE_KEYS: Final = ("traceparent", "tracestate", "baggage")
_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
)
_FURTHER = re.compile(r"[\t\x20-\x7e]*")
_MOST_CHARS: Mapping[str, int] = {"tracestate": 512, "baggage": 8192}
_LONGEST_NAME = 100
_NAMED: Mapping[EntryKind, str] = {
    EntryKind.TOOL: "gen_ai.tool.name",
    EntryKind.PROMPT: "gen_ai.prompt.name",
    EntryKind.RESOURCE: "mcp.resource.uri",
}


class Telemetry:
    """Makes the spans, if there is a provider when it is made: this one, or the process's own."""

    def __init__(self, provider: TracerProvider | None = None) -> None:
        found = provider or trace.get_tracer_provider()
        is_set = not isinstance(found, trace.ProxyTracerProvider)
        self._tracer = found.get_tracer("toolcrib") if is_set else None
        self._traces = TraceContextTextMapPropagator()
        self._baggage = W3CBaggagePropagator()

    @contextmanager
    def serving(self, errand: Errand, account: Account) -> Generator[None]:
        """Keep a span of the whole errand, a child of the client's."""
        tracer = self._tracer
        if tracer is None:
            yield
            return
        ambient = trace.get_current_span().get_span_context()
        context = self._context(well_formed(errand.asker.meta))
        with (
            _current(context),
            tracer.start_as_current_span(
                _name(errand, _public_name(errand)),
                kind=SpanKind.SERVER,
                attributes=_attributes(errand, _public_name(errand)),
                links=[Link(ambient)] if context is not None and ambient.is_valid else [],
                record_exception=False,
                set_status_on_exception=False,
            ) as span,
        ):
            try:
                yield
            finally:
                _close(span, account)

    @contextmanager
    def reaching(self, errand: Errand) -> Generator[JsonObject | None]:
        """Keep a span of one try, and say what to send as ``_meta`` with it."""
        tracer, meta = self._tracer, well_formed(errand.asker.meta)
        if tracer is None:
            yield meta
            return
        server = errand.target.server
        with tracer.start_as_current_span(
            _name(errand, _local_name(errand)),
            kind=SpanKind.CLIENT,
            attributes=_attributes(errand, _local_name(errand)) | _peer(server),
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield self._carrying(meta)
            except ToolcribError as error:
                _fail(span, error.code)
                if isinstance(error, UpstreamProtocolError) and error.rpc_code is not None:
                    span.set_attribute("rpc.response.status_code", str(error.rpc_code))
                raise

    def _context(self, meta: JsonObject | None) -> Context | None:
        """Read the client's context; None: it sent none, and what runs here already is its own."""
        if not meta:
            return None
        carrier = {key: meta[key] for key in TRACE_KEYS if key in meta}
        if not carrier:
            return None
        is_joined = "traceparent" in carrier
        context = self._traces.extract(carrier, Context() if is_joined else get_current())
        return self._baggage.extract(carrier, context)

    def _carrying(self, meta: JsonObject | None) -> JsonObject:
        carrier: dict[str, Any] = {}
        self._traces.inject(carrier)
        self._baggage.inject(carrier)
        kept = {key: value for key, value in (meta or {}).items() if key not in TRACE_KEYS}
        return {**kept, **carrier}


def well_formed(meta: JsonObject | None) -> JsonObject | None:
    """Leave out what is no trace context (W3C: a broken one is ignored, and the trace begins anew).

    A tracestate means nothing without the traceparent that it belongs to.
    """
    if not meta or not any(key in meta for key in TRACE_KEYS):
        return meta
    parent = meta.get("traceparent")
    is_joined = isinstance(parent, str) and _TRACEPARENT.fullmatch(parent) is not None
    good = {"traceparent": is_joined}
    for key, most in _MOST_CHARS.items():
        value = meta.get(key)
        fits = isinstance(value, str) and len(value) <= most and bool(_FURTHER.fullmatch(value))
        good[key] = fits and (is_joined or key != "tracestate")
    return {key: value for key, value in meta.items() if good.get(key, True)}


@contextmanager
def _current(context: Context | None) -> Generator[None]:
    """Have what runs inside belong to a context, baggage included."""
    if context is None:
        yield
        return
    token = attach(context)
    try:
        yield
    finally:
        detach(token)


def _name(errand: Errand, target: str | None) -> str:
    method = errand.method[:_LONGEST_NAME]
    is_resource = errand.target.entry is not None and errand.target.entry.kind is EntryKind.RESOURCE
    return method if target is None or is_resource else f"{method} {target}"


def _public_name(errand: Errand) -> str | None:
    entry = errand.target.entry
    return entry.name if entry is not None else None


def _local_name(errand: Errand) -> str | None:
    entry = errand.target.entry
    return entry.local_name if entry is not None else None


def _attributes(errand: Errand, target: str | None) -> dict[str, str | int]:
    told: dict[str, str | int] = {
        "mcp.method.name": errand.method[:_LONGEST_NAME],
        "toolcrib.server": errand.target.server.name,
        "toolcrib.face": errand.asker.face,
    }
    if errand.method == CALL:
        told["gen_ai.operation.name"] = "execute_tool"
    entry = errand.target.entry
    if entry is not None and target is not None and entry.kind in _NAMED:
        is_uri = entry.kind is EntryKind.RESOURCE
        told[_NAMED[entry.kind]] = entry.local_name if is_uri else target
    return told


def _peer(server: Server) -> dict[str, str | int]:
    told: dict[str, str | int] = {}
    if server.health.protocol_version:
        told["mcp.protocol.version"] = server.health.protocol_version
    transport = server.transport
    if not isinstance(transport, HttpTransport | SseTransport):
        return told | {"network.transport": "pipe"}
    told["network.transport"] = "tcp"
    if "${" in transport.url:
        return told  # a reference, which may be a secret
    place = urlsplit(transport.url)
    told["server.address"] = place.hostname or ""
    told["server.port"] = place.port or (443 if place.scheme == "https" else 80)
    return told


def _close(span: Span, account: Account) -> None:
    if account.outcome == "tool-error":
        _fail(span, "tool_error")
    elif account.outcome not in {"ok", "input-required"}:
        _fail(span, account.outcome)
    span.set_attribute("toolcrib.attempts", account.attempts)
    if account.queued_s:
        span.set_attribute("toolcrib.queued_ms", round(account.queued_s * 1000, 3))
    if account.from_cache:
        span.set_attribute("toolcrib.from_cache", value=True)


def _fail(span: Span, kind: str) -> None:
    span.set_attribute("error.type", kind)
    span.set_status(Status(StatusCode.ERROR))
