"""The blocking client."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from datetime import datetime
from types import TracebackType
from typing import Literal, Self, TypeVar

import httpx

from toolcrib_registry import wire

from . import requests
from .events import ChangeEvents
from .problems import error_from, unreachable
from .requests import (
    Detail,
    JsonObject,
    Listing,
    ModelLike,
    Objective,
    OutcomeLike,
    Request,
    Rerank,
    ServerLike,
    Source,
    Verdict,
    ViewLike,
)
from .transport import (
    CUT_OFF,
    DEFAULT_TIMEOUT_S,
    QUIET_S,
    base_url_of,
    headers_of,
    read,
    streaming,
)

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
        rerank: Rerank = "auto",
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
        weights: wire.WeightsIn | JsonObject | None = None,
        k: int = 5,
        max_exclusions: int = _FEW_EXCLUSIONS,
    ) -> wire.SelectResults:
        """Choose a model for a task, under hard limits that unknown values never pass.

        ``weights`` decide among what past outcomes let expect: quality, cost, latency.
        """
        return self._send(
            requests.select(
                task,
                constraints=constraints,
                objective=objective,
                weights=weights,
                k=k,
                max_exclusions=max_exclusions,
            )
        )

    def call(
        self, name: str, arguments: JsonObject | None = None, *, timeout_s: float | None = None
    ) -> wire.CallOut:
        """Call a tool by its full name. A tool's own failure is an answer with ``is_error``."""
        return self._send(requests.call(name, arguments, timeout_s=timeout_s))

    def chat(
        self,
        messages: str | Sequence[JsonObject],
        *,
        model: str = "auto",
        constraints: wire.ConstraintsIn | JsonObject | None = None,
        objective: Objective | None = None,
        parameters: JsonObject | None = None,
        cascade: bool | JsonObject = False,
        cache: bool | str | None = None,
        timeout_s: float | None = None,
    ) -> wire.ChatOut:
        """Have a model answer a text or a chat: the one named, or one chosen within the limits.

        ``parameters`` are further ones of OpenAI's chat API, as ``max_tokens`` or ``tools``. For
        streams use OpenAI's own client at ``/v1``. ``cascade`` asks a small model first and checks
        its answer, as ``{"verify": [{"kind": "pattern", "pattern": "^[0-9]+$"}]}``.
        """
        return self._send(
            requests.chat(
                messages,
                model=model,
                constraints=constraints,
                objective=objective,
                parameters=parameters,
                cascade=cascade,
                cache=cache,
                timeout_s=timeout_s,
            )
        )

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

    def approve_tool(self, name: str, *, revision: int | None = None) -> wire.ToolOut:
        """Trust a tool as it stands: its marks are cleared, and what it says now is pinned.

        Give the ``revision`` of the tool that was looked at, and nothing else is approved.

        Raises:
            NotFound: No tool has that name.
            EntryChanged: The tool has changed since that revision.
            NotPermitted: The key is not an administrator's.
        """
        return self._send(requests.approve_tool(name, revision=revision))

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

    # --- views ---------------------------------------------------------------------------------

    def list_views(self) -> Iterator[wire.ViewOut]:
        """List views, by name."""
        return self._pages(requests.list_views())

    def get_view(self, name: str) -> wire.ViewOut:
        """Read a view: what it selects, and how it shows it."""
        return self._send(requests.get_view(name))

    def show_view(self, name: str) -> wire.ViewShownOut:
        """See what a client of a view is shown, and what of it does not hold any more."""
        return self._send(requests.show_view(name))

    def add_view(self, view: ViewLike) -> wire.ViewOut:
        """Save a new view; it is served at once."""
        return self._send(requests.add_view(view))

    def put_view(self, view: ViewLike, *, revision: int | None = None) -> wire.ViewOut:
        """Save a view, new or in the place of one; with ``revision``, if it is still that one."""
        return self._send(requests.put_view(view, revision=revision))

    def remove_view(self, name: str) -> None:
        """Remove a view; its tools stay."""
        self._send(requests.remove_view(name))

    # --- syncs, changes, health ----------------------------------------------------------------

    def sync(self, servers: Sequence[str] | None = None) -> wire.SyncOut:
        """Sync the named servers, or every enabled one, and wait until it is done."""
        return self._send(requests.sync(servers))

    def sync_status(self) -> wire.SyncStatusOut:
        """Read how far the registry and its index are."""
        return self._send(requests.sync_status())

    def sync_servers(self) -> wire.SyncServersOut:
        """Read how each server's sync stands: its lag, last error and next attempt."""
        return self._send(requests.sync_servers())

    def list_changes(
        self,
        *,
        since: int = 0,
        server: str | None = None,
        subject: str | None = None,
        diff: bool = False,
    ) -> Iterator[wire.ChangeOut]:
        """List what changed after a revision, oldest first, to the end of the log.

        ``diff`` has each say how its two sides differ.
        """
        while True:
            request = requests.list_changes(
                since=since, limit=1000, server=server, subject=subject, diff=diff
            )
            page = self._send(request)
            yield from page.items
            if not page.items:
                return
            since = page.next

    def last_changes(
        self,
        count: int = 20,
        *,
        server: str | None = None,
        subject: str | None = None,
        diff: bool = False,
    ) -> list[wire.ChangeOut]:
        """List the last changes, oldest first."""
        request = requests.list_changes(
            since=0, limit=count, server=server, subject=subject, diff=diff, last=True
        )
        return self._send(request).items

    def stream_changes(
        self,
        *,
        since: int | None = None,
        server: str | None = None,
        subject: str | None = None,
        diff: bool = False,
    ) -> Generator[wire.ChangeOut]:
        """Follow what changes, from a revision or from now on, until you stop reading.

        Where the connection breaks, it goes on from the last change that arrived.

        Raises:
            UpstreamUnavailable: The server cannot be reached, at first or any more.
        """
        stream = requests.stream_changes(since=since, server=server, subject=subject, diff=diff)
        events, resumed_at = ChangeEvents(), None
        while True:
            try:
                with self._http.stream(
                    "GET", stream.path, params=stream.params, **streaming(events)
                ) as response:
                    if not response.is_success:
                        response.read()
                        raise error_from(response)
                    for line in response.iter_lines():
                        if (change := events.read(line)) is not None:
                            yield change
                return
            except CUT_OFF as error:
                if events.last_id == resumed_at:
                    raise unreachable(error, url=self._url, timeout_s=QUIET_S) from error
                resumed_at = events.last_id
            except httpx.TransportError as error:
                raise unreachable(error, url=self._url, timeout_s=self._timeout_s) from error

    def list_revisions(
        self, name: str, *, limit: int = 100, diff: bool = False
    ) -> wire.RevisionsOut:
        """List the last revisions of a tool that is or was there, oldest first."""
        return self._send(requests.list_revisions(name, limit=limit, diff=diff))

    def get_revision(self, name: str, revision: int, *, diff: bool = False) -> wire.RevisionOut:
        """Read what a tool said at one of its revisions, also when it is gone."""
        return self._send(requests.get_revision(name, revision, diff=diff))

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

    def refuse_need(self, tool: str, needed: str) -> wire.NeedSettledOut:
        """Let a tool no longer bring another one along, whatever was learned."""
        return self._send(requests.refuse_need(tool, needed))

    def allow_need(self, tool: str, needed: str) -> wire.NeedSettledOut:
        """Take a refusal back: a tool may bring another one along again."""
        return self._send(requests.allow_need(tool, needed))

    # --- outcomes of models, domains -----------------------------------------------------------

    def add_outcomes(
        self,
        outcomes: Iterable[OutcomeLike],
        *,
        tenant: str | None = None,
        source: Source = "feedback",
    ) -> wire.RecordedOut:
        """Say how models did on queries, so that selection learns from it.

        The same ones again change nothing. ``tenant`` and ``source`` are for administrators.
        """
        return self._send(requests.add_outcomes(outcomes, tenant=tenant, source=source))

    def list_outcomes(
        self, *, tenant: str | None = None, model: str | None = None, limit: int = 100
    ) -> list[wire.ModelOutcomeOut]:
        """List the latest outcomes of models, the latest first."""
        request = requests.list_outcomes(tenant=tenant, model=model, limit=limit)
        return self._send(request).items

    def forget_outcomes(
        self,
        *,
        principal: str | None = None,
        tenant: str | None = None,
        model: str | None = None,
        before: datetime | None = None,
    ) -> wire.ForgottenOut:
        """Forget outcomes of models, and what was learned: your own unless you say whose."""
        request = requests.forget_outcomes(
            principal=principal, tenant=tenant, model=model, before=before
        )
        return self._send(request)

    def routing(self) -> wire.RoutingStateOut:
        """Read how learning from outcomes of models stands, for each tenant."""
        return self._send(requests.routing())

    def list_domains(self) -> list[wire.DomainOut]:
        """List the domains that selection is for."""
        return self._send(requests.list_domains()).items

    def put_domain(self, name: str, examples: Iterable[str]) -> wire.DomainOut:
        """Describe a domain by examples of its queries, in place of those it had."""
        return self._send(requests.put_domain(name, examples))

    def remove_domain(self, name: str) -> None:
        """Forget a domain."""
        self._send(requests.remove_domain(name))

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
