"""The blocking client."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from types import TracebackType
from typing import Literal, Self, TypeVar

import httpx

from toolcrib_registry import wire

from . import requests
from .problems import unreachable
from .requests import (
    Detail,
    JsonObject,
    Listing,
    ModelLike,
    Objective,
    Request,
    Rerank,
    ServerLike,
    Verdict,
)
from .transport import DEFAULT_TIMEOUT_S, base_url_of, headers_of, read

T = TypeVar("T")

_FEW_EXCLUSIONS = 20


class Toolcrib:
    """A Toolcrib server, spoken to over HTTP. Close it, or use it in a ``with`` block.

    ``base_url`` is ``TOOLCRIB_URL`` or this machine's default unless given, ``api_key``
    ``TOOLCRIB_API_KEY``. Errors that the server reports are raised as what they are there
    (`NotFound`, `InvalidArguments`, …); one that cannot be reached raises `UpstreamUnavailable`.
    ``transport`` replaces the network, as `httpx.Client` has it.
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        api_key: str | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._url = base_url_of(base_url)
        self._timeout_s = timeout_s
        self._http = httpx.Client(
            base_url=self._url,
            headers=headers_of(api_key),
            timeout=timeout_s,
            transport=transport,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    # --- search, selection, calls --------------------------------------------------------------

    def search(
        self,
        query: str | Sequence[str],
        *,
        k: int = 5,
        kinds: Iterable[str] | None = None,
        servers: Iterable[str] | None = None,
        tags: Iterable[str] | None = None,
        read_only: bool = False,
        destructive: bool = True,
        detail: Detail = "brief",
        max_tokens: int | None = None,
        rerank: Rerank = "off",
        split: bool = True,
        fold: bool = True,
        dependencies: bool = True,
        explain: bool = False,
        group_by: Literal["server"] | None = None,
    ) -> wire.SearchResults:
        """Find tools, prompts, resources and models for a task, best first.

        Several queries are the steps of one task, and the answer covers each. ``abstained`` says
        that nothing seems to fit: the hits are then the nearest there are.
        """
        return self._send(
            requests.search(
                query,
                k=k,
                kinds=kinds,
                servers=servers,
                tags=tags,
                read_only=read_only,
                destructive=destructive,
                detail=detail,
                max_tokens=max_tokens,
                rerank=rerank,
                split=split,
                fold=fold,
                dependencies=dependencies,
                explain=explain,
                group_by=group_by,
            )
        )

    def select(
        self,
        task: str,
        *,
        constraints: wire.ConstraintsIn | JsonObject | None = None,
        objective: Objective = "relevance",
        k: int = 5,
        max_exclusions: int = _FEW_EXCLUSIONS,
    ) -> wire.SelectResults:
        """Choose a model for a task, under hard limits that unknown values never pass."""
        return self._send(
            requests.select(
                task,
                constraints=constraints,
                objective=objective,
                k=k,
                max_exclusions=max_exclusions,
            )
        )

    def call(
        self, name: str, arguments: JsonObject | None = None, *, timeout_s: float | None = None
    ) -> wire.CallOut:
        """Call a tool by its full name. A tool's own failure is an answer with ``is_error``."""
        return self._send(requests.call(name, arguments, timeout_s=timeout_s))

    # --- servers -------------------------------------------------------------------------------

    def list_servers(self) -> Iterator[wire.ServerOut]:
        """List servers, by name; pages are asked for as they are needed."""
        return self._pages(requests.list_servers())

    def get_server(self, name: str) -> wire.ServerOut:
        """Read a server."""
        return self._send(requests.get_server(name))

    def add_server(self, server: ServerLike) -> wire.ServerOut:
        """Register a server; `sync` waits for its tools."""
        return self._send(requests.add_server(server))

    def put_server(self, server: ServerLike) -> wire.ServerOut:
        """Replace the settings of the server of that name."""
        return self._send(requests.put_server(server))

    def patch_server(self, name: str, changes: wire.ServerPatch | JsonObject) -> wire.ServerOut:
        """Change some of a server's settings."""
        return self._send(requests.patch_server(name, changes))

    def remove_server(self, name: str) -> None:
        """Remove a server and all it owns."""
        self._send(requests.remove_server(name))

    def enable_server(self, name: str) -> wire.ServerOut:
        """Switch a server on."""
        return self._send(requests.switch_server(name, enabled=True))

    def disable_server(self, name: str) -> wire.ServerOut:
        """Switch a server off: its tools are neither found nor called."""
        return self._send(requests.switch_server(name, enabled=False))

    # --- entries and tools ---------------------------------------------------------------------

    def list_entries(
        self,
        kind: str | None = None,
        *,
        server: str | None = None,
        text: str | None = None,
    ) -> Iterator[wire.EntryOut]:
        """List entries of one kind or of all, by kind and name."""
        return self._pages(requests.list_entries(kind, server=server, text=text))

    def get_entry(self, kind: str, name: str) -> wire.EntryOut:
        """Read an entry of any kind, with the object its server listed."""
        return self._send(requests.get_entry(kind, name))

    def list_tools(
        self, *, server: str | None = None, text: str | None = None
    ) -> Iterator[wire.ToolOut]:
        """List tools, by name."""
        return self._pages(requests.list_tools(server=server, text=text))

    def get_tool(self, name: str) -> wire.ToolOut:
        """Read a tool, with the object its server listed."""
        return self._send(requests.get_tool(name))

    def add_tool(self, tool: wire.ToolIn | JsonObject) -> wire.ToolOut:
        """Add a tool to a catalogue."""
        return self._send(requests.add_tool(tool))

    def remove_tool(self, name: str) -> None:
        """Remove a tool from a catalogue."""
        self._send(requests.remove_tool(name))

    def enable_tool(self, name: str) -> wire.ToolOut:
        """Switch a tool on."""
        return self._send(requests.switch_tool(name, enabled=True))

    def disable_tool(self, name: str) -> wire.ToolOut:
        """Switch a tool off: it is neither found nor called."""
        return self._send(requests.switch_tool(name, enabled=False))

    # --- models --------------------------------------------------------------------------------

    def list_models(self, *, text: str | None = None) -> Iterator[wire.ModelOut]:
        """List models, by name."""
        return self._pages(requests.list_models(text=text))

    def get_model(self, name: str) -> wire.ModelOut:
        """Read a model: what is known of it, and who serves it."""
        return self._send(requests.get_model(name))

    def add_model(self, model: ModelLike) -> wire.ModelOut:
        """Register a model; it is findable at once."""
        return self._send(requests.add_model(model))

    def put_model(self, model: ModelLike) -> wire.ModelOut:
        """Register a model, or replace the one of that name."""
        return self._send(requests.put_model(model))

    def remove_model(self, name: str) -> None:
        """Remove a model."""
        self._send(requests.remove_model(name))

    def enable_model(self, name: str) -> wire.ModelOut:
        """Switch a model on."""
        return self._send(requests.switch_model(name, enabled=True))

    def disable_model(self, name: str) -> wire.ModelOut:
        """Switch a model off: it is neither found nor chosen."""
        return self._send(requests.switch_model(name, enabled=False))

    # --- syncs, changes, health ----------------------------------------------------------------

    def sync(self, servers: Sequence[str] | None = None) -> wire.SyncOut:
        """Sync the named servers, or every enabled one, and wait until it is done."""
        return self._send(requests.sync(servers))

    def sync_status(self) -> wire.SyncStatusOut:
        """Read how far the registry and its index are."""
        return self._send(requests.sync_status())

    def list_changes(
        self, *, since: int = 0, server: str | None = None
    ) -> Iterator[wire.ChangeOut]:
        """List what changed after a revision, oldest first, to the end of the log."""
        while True:
            page = self._send(requests.list_changes(since=since, limit=1000, server=server))
            yield from page.items
            if not page.items:
                return
            since = page.next

    def ready(self) -> wire.ReadyOut:
        """Ask whether it serves, and if not, why."""
        return self._send(requests.ready())

    # --- learning from use ---------------------------------------------------------------------

    def feedback(self, query: str, name: str, *, verdict: Verdict = "worked") -> wire.FeedbackOut:
        """Say what came of an entry for a query, so that search learns from it."""
        return self._send(requests.feedback(query, name, verdict=verdict))

    def forget(
        self,
        *,
        principal: str | None = None,
        tenant: str | None = None,
        before: datetime | None = None,
    ) -> wire.ForgottenOut:
        """Forget outcomes, and what was learned from them: your own unless you say whose."""
        request = requests.forget(principal=principal, tenant=tenant, before=before)
        return self._send(request)

    def learning(self) -> wire.LearningOut:
        """Read how learning stands, for each tenant."""
        return self._send(requests.learning())

    # --- sending -------------------------------------------------------------------------------

    def _send(self, request: Request[T]) -> T:
        timeout_s = request.timeout_s or self._timeout_s
        try:
            response = self._http.request(
                request.method,
                request.path,
                params=request.params,
                json=request.body,
                timeout=timeout_s,
            )
        except httpx.TransportError as error:
            raise unreachable(error, url=self._url, timeout_s=timeout_s) from error
        return read(request, response)

    def _pages(self, listing: Listing[T]) -> Iterator[T]:
        page = self._send(listing.first)
        yield from page.items
        while page.next_cursor is not None:
            page = self._send(listing.after(page.next_cursor))
            yield from page.items
