"""What each meta-tool does: arguments in, a result object out.

Every answer is structured and has a short readable text beside it; the result of `call_tool` is
the upstream's own, untouched.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

import anyio.to_thread

from toolcrib_registry.errors import (
    EntryQuarantined,
    InvalidArguments,
    NotFound,
    ToolcribError,
)
from toolcrib_registry.store import Store
from toolcrib_registry.types import Entry, EntryId, EntryKind, JsonObject
from toolcrib_server.chat.desk import ChatDesk
from toolcrib_server.chat.showing import call_text, call_view
from toolcrib_server.downstream.service import Request, RpcError
from toolcrib_server.invocation.schemas.arguments import ArgumentCheck
from toolcrib_server.routing.selector import RoutedSelector
from toolcrib_server.routing.weights import Weights
from toolcrib_server.selection.freshness import Freshness, stale_view
from toolcrib_server.selection.models import Objective
from toolcrib_server.selection.question import Filters, Stages
from toolcrib_server.selection.selector import Answer, Selector

from .answers import Detail, Shown, Wanted, show_answer
from .calling import request_of
from .constraints import read_constraints
from .definitions import (
    CALL_MODEL,
    CALL_TOOL,
    DEFAULT_K,
    GET_TOOL_DETAILS,
    SEARCH_TOOLS,
    SELECT_MODEL,
)
from .errors import error_result, internal_error, unknown_tool
from .lens import Lens, WholeRegistry
from .relaying import ToolRelay
from .rendering import released, render_entry, render_missing, render_selection
from .spelling import one_spelling

Result = dict[str, Any]
NoteSearch = Callable[[str, str | Sequence[str], Sequence[EntryId]], None]
"""Takes note of who was shown what for which query."""


class MetaTools:
    """The handlers of the meta-tools, over parts that are open already."""

    def __init__(
        self,
        *,
        store: Store,
        selector: Selector,
        models: RoutedSelector,
        relay: ToolRelay,
        chat: ChatDesk,
        count_tokens: Callable[[str], int],
        note_search: NoteSearch,
        lens: Lens | None = None,
    ) -> None:
        """``lens`` is what callers see of the registry: the whole of it, unless given."""
        self._lens = lens or WholeRegistry(store)
        self._freshness = Freshness(store)
        self._note_search = note_search
        self._store = store
        self._selector = selector
        self._models = models
        self._relay = relay
        self._chat = chat
        self._count_tokens = count_tokens
        self._checks: dict[str, ArgumentCheck] = {}
        self._handlers: Mapping[str, Callable[[Request, JsonObject], Awaitable[Result]]] = {
            SEARCH_TOOLS: self._search_tools,
            GET_TOOL_DETAILS: self._get_tool_details,
            CALL_TOOL: self._call_tool,
            SELECT_MODEL: self._select_model,
            CALL_MODEL: self._call_model,
        }

    def define(self, tools: Sequence[JsonObject]) -> None:
        """Hold callers to these definitions."""
        self._checks = {
            tool["name"]: ArgumentCheck(tool["name"], tool["inputSchema"]) for tool in tools
        }

    async def call(self, request: Request, name: str, arguments: JsonObject) -> Result:
        """Run a meta-tool. Whatever goes wrong behind it is a result that says so.

        Raises:
            RpcError: There is no such meta-tool, or the client cannot be asked what a tool asks.
        """
        handler = self._handlers.get(name)
        if handler is None:
            raise unknown_tool(name, list(self._handlers))
        try:
            arguments = one_spelling(_untangled(arguments))
            self._checks[name].check(arguments)
            return await handler(request, arguments)
        except ToolcribError as error:
            return error_result(error)
        except RpcError:
            raise
        except Exception as error:  # noqa: BLE001  # top of a request: logged and answered
            return internal_error(error)

    async def _search_tools(self, request: Request, arguments: JsonObject) -> Result:
        kind, server = arguments.get("kind"), arguments.get("server")
        answer = await self._selector.search(
            arguments["query"],
            k=int(arguments.get("k", DEFAULT_K)),
            filters=self._lens.narrow(
                Filters.of(
                    kinds=[EntryKind(kind)] if kind else None,
                    servers=[server] if server is not None else None,
                    tags=arguments.get("tags"),
                    read_only=arguments.get("readOnly", False),
                    destructive=arguments.get("destructive", True),
                )
            ),
            stages=Stages(dependencies=arguments.get("dependencies", True)),
            principal=request.client.principal,
        )
        ids = [found.entry.id for found in answer.found]
        self._note_search(request.client.principal, arguments["query"], ids)
        shown = await self._show(self._lens.show(answer), _wanted(arguments))
        return _result(shown.view, shown.text)

    async def _show(self, answer: Answer, wanted: Wanted) -> Shown:
        full = wanted.detail is Detail.FULL
        entries = self._lens.show_entries(await self._selector.read(answer.found) if full else {})
        show = partial(
            show_answer, answer, wanted, entries=entries, count_tokens=self._count_tokens
        )
        # Counting opens a vocabulary, and reads every word of the answer.
        return show() if wanted.max_tokens is None else await anyio.to_thread.run_sync(show)

    async def _get_tool_details(self, _: Request, arguments: JsonObject) -> Result:
        found, missing, held = await anyio.to_thread.run_sync(self._read, arguments["names"])
        stale = await self._freshness.stale()
        view = {
            "tools": [render_entry(entry) | stale_view(entry, stale) for entry in found],
            "missing": [render_missing(error) for error in missing],
        }
        if held:
            view["quarantined"] = [
                {"name": error.name, "reasons": list(error.reasons)} for error in held
            ]
        text = "\n".join(
            [
                *(json.dumps(tool, ensure_ascii=False) for tool in view["tools"]),
                *(error.detail for error in (*missing, *held)),
            ]
        )
        return _result(view, text) | {"isError": not found}

    def _read(
        self, names: Sequence[str]
    ) -> tuple[list[Entry], list[NotFound], list[EntryQuarantined]]:
        found: list[Entry] = []
        missing: list[NotFound] = []
        held: list[EntryQuarantined] = []
        for name in dict.fromkeys(names):
            try:
                found.append(released(self._lens.get_named(name)))
            except NotFound as error:
                missing.append(error)
            except EntryQuarantined as error:
                held.append(error)
        return found, missing, held

    async def _call_tool(self, request: Request, arguments: JsonObject) -> Result:
        return await self.call_named(request, arguments["name"], arguments.get("arguments") or {})

    async def call_listed(self, request: Request, name: str, arguments: JsonObject) -> Result:
        """Call a tool that the client is shown itself. Whatever goes wrong is a result."""
        try:
            return await self.call_named(request, name, arguments, listed=True)
        except ToolcribError as error:
            return error_result(error)
        except RpcError:
            raise
        except Exception as error:  # noqa: BLE001  # top of a request: logged and answered
            return internal_error(error)

    async def call_named(
        self, request: Request, name: str, arguments: JsonObject, *, listed: bool = False
    ) -> Result:
        """Call a tool by the name that it has here; ``listed``: the client was shown the tool.

        Raises:
            ToolcribError: It cannot be called, or the call failed.
            RpcError: The client cannot be asked what the tool asks.
        """
        tool, complete = self._lens.resolve_call(name, arguments)
        try:
            relay = self._relay
            return await relay.call(request, tool, complete, face=self._lens.face, listed=listed)
        except InvalidArguments as error:
            # Under the name that the caller knows it by.
            raise InvalidArguments(name, error.problems) from error

    async def _select_model(self, request: Request, arguments: JsonObject) -> Result:
        select = partial(self._models.select, arguments["task"])
        selection = await select(
            constraints=read_constraints(arguments.get("constraints") or {}),
            objective=Objective(arguments.get("objective", Objective.RELEVANCE)),
            k=int(arguments.get("k", DEFAULT_K)),
            principal=request.client.principal,
            weights=Weights(**arguments.get("weights", {})),
        )
        view, text = render_selection(selection)
        return _result(view, text)

    async def _call_model(self, request: Request, arguments: JsonObject) -> Result:
        asked = request_of(arguments, principal=request.client.principal)
        reply = await self._chat.answer(await self._chat.prepare(asked))
        return _result(call_view(reply), call_text(reply))


def _wanted(arguments: JsonObject) -> Wanted:
    max_tokens = arguments.get("max_tokens")
    return Wanted(
        detail=Detail(arguments.get("detail", Detail.BRIEF)),
        explain=arguments.get("explain", False),
        group_by_server=arguments.get("group_by") is not None,
        max_tokens=None if max_tokens is None else int(max_tokens),
    )


def _untangled(arguments: JsonObject) -> JsonObject:
    """Accept an object or a list of steps that a model wrote as JSON text."""
    mended = dict(arguments)
    for name, kind in (("arguments", dict), ("query", list)):
        decoded = _decoded(arguments.get(name))
        if isinstance(decoded, kind):
            mended[name] = decoded
    return mended


def _decoded(text: object) -> object:
    if not isinstance(text, str) or not text.lstrip().startswith(("{", "[")):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _result(view: Mapping[str, Any], text: str) -> Result:
    return {
        "content": [{"type": "text", "text": text}],
        "structuredContent": view,
        "isError": False,
    }
