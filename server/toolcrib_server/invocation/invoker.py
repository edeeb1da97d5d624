"""Calls a tool: resolve, permit, check, call, record. No face has a path of its own.

Resolved tools and compiled schemas are kept while the registry stays at its revision, so a warm
call touches neither the database nor another thread.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import anyio
import anyio.to_thread
from mcp_types import INVALID_PARAMS

from toolcrib_registry.errors import (
    EntryQuarantined,
    InvalidInput,
    NotCallable,
    ToolcribError,
    UpstreamProtocolError,
)
from toolcrib_registry.store import Store
from toolcrib_registry.types import (
    CallRecord,
    EntryKind,
    JsonObject,
    Server,
    ServerName,
    ServerStatus,
    Tool,
    Trust,
)
from toolcrib_server.selection.brief import MARKED, reasons_of

from .arguments import ArgumentCheck, shape_of
from .audit import AuditLog
from .drift import (
    Drift,
    Notices,
    describe_drift,
    find_drift_in_error,
    find_drift_in_result,
    read_text,
)

OnProgress = Callable[[float, float | None, str | None], Any]
"""Called with (progress, total, message) as the upstream reports them."""


class Caller(Protocol):
    """Reaches upstream servers."""

    async def call_tool(
        self,
        server: Server,
        local_name: str,
        arguments: JsonObject,
        *,
        timeout_s: float,
        meta: JsonObject | None = None,
        on_progress: OnProgress | None = None,
    ) -> dict[str, Any]:
        """Call a tool and return the result object as the server sent it."""
        ...


@dataclass(frozen=True, slots=True)
class _Resolved:
    tool: Tool
    server: Server
    check: ArgumentCheck


class Invoker:
    """The one way out."""

    def __init__(
        self,
        store: Store,
        caller: Caller,
        audit: AuditLog,
        *,
        notice: Callable[[ServerName], None] | None = None,
    ) -> None:
        """``notice`` is told of servers that a call has shown to differ from the registry."""
        self._store = store
        self._notices = Notices(notice or _tell_nobody)
        self._caller = caller
        self._audit = audit
        self._resolved: dict[str, _Resolved] = {}

    def forget(self) -> None:
        """Drop what was resolved: the registry has changed."""
        self._resolved.clear()

    async def call(
        self,
        name: str,
        arguments: JsonObject,
        *,
        face: str,
        principal: str,
        timeout_s: float | None = None,
        meta: JsonObject | None = None,
        on_progress: OnProgress | None = None,
    ) -> dict[str, Any]:
        """Call the tool with the public name ``name``; return its result object, untouched.

        A failure that the tool itself reports is a result (``isError``), not an error.

        Raises:
            NotFound: No such tool; near names are offered.
            EntryGone: It was there; what replaced it is named.
            EntryQuarantined: It is set aside until somebody approves it.
            NotCallable: It, or its server, is disabled, or it comes from a catalogue.
            InvalidArguments: The arguments do not fit its schema.
            UpstreamError: Its server failed or did not answer in time.
        """
        started = time.perf_counter()
        outcome = "ok"
        resolved: _Resolved | None = None
        try:
            resolved = self._resolved.get(name) or await self._resolve(name)
            resolved.check.check(arguments)
            result = await self._send(
                resolved,
                arguments,
                timeout_s=self._deadline(resolved.server, timeout_s),
                meta=meta,
                on_progress=on_progress,
            )
            if result.get("resultType") == "input_required":
                raise UpstreamProtocolError(
                    resolved.server.name,
                    f"{name} asks for something only a person can give, which Toolcrib cannot "
                    "pass on yet.",
                )
            outcome = "tool-error" if result.get("isError") else "ok"
            return result
        except ToolcribError as error:
            outcome = error.code
            raise
        finally:
            if resolved:
                self._audit.add(
                    CallRecord(
                        id=uuid.uuid4().hex,
                        at=datetime.now(UTC),
                        subject=resolved.tool.id,
                        server=resolved.server.name,
                        face=face,
                        principal=principal,
                        outcome=outcome,
                        duration_ms=(time.perf_counter() - started) * 1000,
                        argument_shape=shape_of(arguments),
                    )
                )

    async def _send(
        self,
        resolved: _Resolved,
        arguments: JsonObject,
        *,
        timeout_s: float,
        meta: JsonObject | None,
        on_progress: OnProgress | None,
    ) -> dict[str, Any]:
        """Call the server; what shows that the registry is out of date has it looked at again."""
        tool, server = resolved.tool, resolved.server
        try:
            result = await self._caller.call_tool(
                server,
                tool.local_name,
                arguments,
                timeout_s=timeout_s,
                meta=meta,
                on_progress=on_progress,
            )
        except UpstreamProtocolError as error:
            drift = find_drift_in_error(tool, error)
            if drift is None:
                raise
            self._notices.tell(server.name)
            raise describe_drift(error, drift) from error
        drift = find_drift_in_result(tool, result)
        if drift is not None or server.health.status is ServerStatus.UNREACHABLE:
            self._notices.tell(server.name)
        if drift is Drift.GONE:
            # An error by the specification, whatever many servers do.
            error = UpstreamProtocolError(server.name, read_text(result), rpc_code=INVALID_PARAMS)
            raise describe_drift(error, drift)
        return result

    async def _resolve(self, name: str) -> _Resolved:
        resolved = await anyio.to_thread.run_sync(self._read, name)
        self._resolved[name] = resolved
        return resolved

    def _read(self, name: str) -> _Resolved:
        tool = self._store.get_entry(EntryKind.TOOL, name)
        assert isinstance(tool, Tool)
        server = self._store.get_server(tool.server)
        _permit(tool, server)
        return _Resolved(tool, server, ArgumentCheck(name, tool.input_schema))

    @staticmethod
    def _deadline(server: Server, timeout_s: float | None) -> float:
        if timeout_s is None:
            return server.call_timeout_s
        if not timeout_s > 0:
            raise InvalidInput(f"The timeout is {timeout_s:g} s; it must be more than 0.")
        return min(timeout_s, server.call_timeout_s)


def _permit(tool: Tool, server: Server) -> None:
    if tool.trust is Trust.QUARANTINED:
        raise EntryQuarantined(tool.name, [MARKED[reason] for reason in reasons_of(tool)])
    if not server.callable:
        raise NotCallable(
            f"{tool.name} comes from the imported catalogue {server.name!r}: it can be found, but "
            "there is no server behind it. Register the server itself to call it."
        )
    if not server.enabled:
        raise NotCallable(f"{tool.name} is off, because its server {server.name!r} is disabled.")
    if not tool.enabled:
        raise NotCallable(f"{tool.name} is disabled.")


def _tell_nobody(name: ServerName) -> None:
    """Do nothing: nobody keeps the registry up to date here."""
