"""The one way out: everything that is asked of a server passes here. No face has another path.

Reads as the order of steps; each step is a module of its own beside this one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, cast

from toolcrib_registry.errors import InvalidInput, UpstreamProtocolError
from toolcrib_registry.store import Store
from toolcrib_registry.types import (
    EntryId,
    EntryKind,
    JsonObject,
    OwnedEntry,
    Server,
    ServerName,
    entry_id,
)
from toolcrib_server.upstream.messages.interaction import ALONE, Interaction

from .audit import AuditLog
from .book import Book, Target
from .caller import Caller
from .deadline import Deadline
from .dispatch import Dispatch
from .drift import Notices
from .errand import CALL, Account, Errand, Send
from .finishing import Finish
from .journal import Journal
from .lookout import Lookout
from .meter import PathMeter, PathReading
from .permission import AsRegistered, Permission, allows
from .policy import Policies
from .quota import Quota, Unlimited
from .shelf import PREFIX
from .telemetry import Telemetry

DEFAULT_TIMEOUT_S = 60.0
READ_RESOURCE = "resources/read"
_NAMED: Mapping[str, tuple[EntryKind, str]] = {
    READ_RESOURCE: (EntryKind.RESOURCE, "uri"),
    "resources/subscribe": (EntryKind.RESOURCE, "uri"),
    "prompts/get": (EntryKind.PROMPT, "name"),
    "ref/prompt": (EntryKind.PROMPT, "name"),
    "ref/resource": (EntryKind.RESOURCE, "uri"),
}
"""Which requests, and references in them, are about an entry, and what names it there."""
_LONGEST_NAME = 200
_METHOD = re.compile(r"[\x21-\x7e]{1,200}")


class Invoker:
    """The one way out."""

    def __init__(
        self,
        store: Store,
        caller: Caller,
        audit: AuditLog,
        *,
        notice: Callable[[ServerName], None] | None = None,
        permission: Permission | None = None,
        quota: Quota | None = None,
        policies: Policies | None = None,
        telemetry: Telemetry | None = None,
        call_timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> None:
        """``notice`` is told of servers that a call has shown to differ from the registry.

        ``call_timeout_s`` is the deadline of calls whose server sets none.
        """
        telemetry = telemetry or Telemetry()
        self._caller = caller
        self._call_timeout_s = call_timeout_s
        self._notices = Notices(notice or _tell_nobody)
        self._book = Book(store, policies or Policies())
        self._permission = permission or AsRegistered()
        self._quota = quota or Unlimited()
        self._lookout = Lookout(self._notices)
        self._meter = PathMeter()
        self._finish = Finish(self._meter)
        self._dispatch = Dispatch(telemetry, self._meter)
        self._journal = Journal(audit, telemetry)

    # --- what may be asked -----------------------------------------------------------------

    async def call(
        self,
        name: str,
        arguments: JsonObject,
        *,
        face: str,
        principal: str,
        timeout_s: float | None = None,
        meta: JsonObject | None = None,
        interaction: Interaction = ALONE,
        extra: JsonObject | None = None,
        takes_input: bool = False,
        whole: bool = False,
        listed: bool = False,
    ) -> dict[str, Any]:
        """Call the tool with the public name ``name``; return its result object.

        A failure that the tool itself reports is a result (``isError``), not an error. ``extra``
        are further parameters of ``tools/call``. With ``takes_input``, what a server wants from a
        person comes as an ``input_required`` result; else it is an error. A result that is too
        large for an assistant is cut, and the rest kept, unless it is wanted ``whole``. ``listed``
        says that who asks was given the tool's own definition, and not one that stands for many.

        Raises:
            NotFound: No such tool; near names are offered.
            EntryGone: It was there; what replaced it is named.
            EntryQuarantined: It is set aside until somebody approves it.
            NotCallable: It, or its server, is disabled, or it comes from a catalogue.
            InvalidArguments: The arguments do not fit its schema.
            TooManyCalls: The key calls more than it may.
            UpstreamError: Its server failed, is busy, or did not answer in time.
        """
        target = await self._book.find_tool(name)
        assert target.entry is not None
        return await self._run(
            self._errand_of_call(
                target,
                target.entry.local_name,
                arguments,
                extra=extra,
                face=face,
                principal=principal,
                deadline=self._deadline(target, timeout_s),
                meta=meta,
                interaction=interaction,
                takes_input=takes_input,
                whole=whole,
                listed=listed,
            )
        )

    async def call_local(
        self,
        server_name: ServerName,
        local_name: str,
        arguments: JsonObject,
        *,
        face: str,
        principal: str,
        timeout_s: float | None = None,
        meta: JsonObject | None = None,
        interaction: Interaction = ALONE,
        extra: JsonObject | None = None,
        takes_input: bool = False,
    ) -> dict[str, Any]:
        """Call a tool by its server and the name that the server gives it.

        One that the registry does not know is called all the same, without a look at its arguments,
        and the server is looked at again.

        Raises:
            NotFound: No such server; near names are offered.
            ToolcribError: As `call`.
        """
        target = await self._book.find_local(server_name, EntryKind.TOOL, local_name)
        if target.entry is None:
            self._notices.tell(target.server.name)
        return await self._run(
            self._errand_of_call(
                target,
                local_name,
                arguments,
                extra=extra,
                face=face,
                principal=principal,
                deadline=self._deadline(target, timeout_s),
                meta=meta,
                interaction=interaction,
                takes_input=takes_input,
                listed=True,
            )
        )

    async def request(
        self,
        server_name: ServerName,
        method: str,
        params: JsonObject,
        *,
        face: str,
        principal: str,
        timeout_s: float | None = None,
        safe: bool = False,
        meta: JsonObject | None = None,
        interaction: Interaction = ALONE,
        takes_input: bool = False,
    ) -> dict[str, Any]:
        """Send any other request to a server; ``safe`` says that sending it twice does no harm.

        What was cut off a result is read here too, whichever server is named.

        Raises:
            InvalidInput: It is a call of a tool, which goes by `call` or `call_local`, or nothing
                that could be a method.
            NotFound: No such server, or no such kept result.
            ToolcribError: As `call`.
        """
        if method == CALL:
            raise InvalidInput("A tool is called by its name, not by a request to its server.")
        if not _METHOD.fullmatch(method):
            raise InvalidInput(f"{method[:_LONGEST_NAME]!r} is no method: it goes into a header.")
        uri = params.get("uri")
        if method == READ_RESOURCE and isinstance(uri, str) and uri.startswith(PREFIX):
            return self.read_result(uri, principal=principal)
        target = await self._find_subject(server_name, method, params)
        return await self._run(
            Errand(
                target=target,
                method=method,
                subject=_subject(target),
                given=params,
                send=partial(self._caller.request, target.server, method, params, safe=safe),
                face=face,
                principal=principal,
                deadline=self._deadline(target, timeout_s),
                meta=meta,
                interaction=interaction,
                takes_input=takes_input,
                is_safe=safe,
            )
        )

    def read_result(self, uri: str, *, principal: str) -> dict[str, Any]:
        """Read a page of a result that was too large: the result object of ``resources/read``.

        Raises:
            NotFound: It is not kept, not any more, or not for who asks.
            InvalidInput: There is no such page.
        """
        return self._finish.shelf.read(principal, uri)

    def allows(self, principal: str, server: Server, entry: OwnedEntry | None = None) -> bool:
        """Whether a call of this would be permitted: what is not is shown in no list either."""
        return allows(self._permission, principal, server, entry)

    # --- every step, in order --------------------------------------------------------------

    async def _run(self, errand: Errand) -> dict[str, Any]:
        account = Account()
        with self._journal.keep(errand, account):
            result = await self._follow(errand, account)
            account.outcome = _outcome(result)
            return result

    async def _follow(self, errand: Errand, account: Account) -> dict[str, Any]:
        target = errand.target
        self._permission.check(errand.principal, target.server, target.entry)
        self._quota.enter(errand.principal)
        try:
            target.check_arguments(errand.given)
            result = self._finish.find_kept(errand, account)
            if result is None:
                result = await self._ask(errand, account)
                result = self._finish.check(result, errand, account)
                self._finish.keep(result, errand)
            return await self._finish.fit(result, errand, account)
        finally:
            self._quota.leave(errand.principal)

    async def _ask(self, errand: Errand, account: Account) -> dict[str, Any]:
        """Left alone? In turn, and again where that is safe: see `Dispatch`."""
        try:
            result = await self._dispatch.send(errand, account)
        except UpstreamProtocolError as error:
            explained = self._lookout.explain(error, errand)
            if explained is error:
                raise
            raise explained from error
        return self._lookout.read(result, errand)

    # --- what is about it ------------------------------------------------------------------

    def _errand_of_call(
        self,
        target: Target,
        local_name: str,
        arguments: JsonObject,
        *,
        extra: JsonObject | None,
        face: str,
        principal: str,
        deadline: Deadline,
        meta: JsonObject | None,
        interaction: Interaction,
        takes_input: bool,
        listed: bool,
        whole: bool = False,
    ) -> Errand:
        send: Send = partial(
            self._caller.call_tool,
            target.server,
            local_name,
            arguments,
            extra=extra,
            mirrored=target.mirrored,
        )
        return Errand(
            target=target,
            method=CALL,
            subject=_subject(target, local_name),
            given=arguments,
            send=send,
            face=face,
            principal=principal,
            deadline=deadline,
            meta=meta,
            interaction=interaction,
            takes_input=takes_input,
            is_plain=not extra,
            is_safe=target.is_repeatable and not extra,
            is_whole=whole,
            is_listed=listed,
        )

    def _deadline(self, target: Target, timeout_s: float | None) -> Deadline:
        return Deadline(target.server, timeout_s, default_s=self._call_timeout_s)

    async def _find_subject(
        self, server_name: ServerName, method: str, params: JsonObject
    ) -> Target:
        kind, name = _named(method, params)
        if kind is None or name is None:
            return await self._book.find_server(server_name)
        return await self._book.find_local(server_name, kind, name)

    def forget(self) -> None:
        """Drop what was looked up: the registry has changed."""
        self._book.forget()

    def forgive(self, server: ServerName) -> None:
        """Forget how often a server failed: it is not what it was, or is no more."""
        self._dispatch.breakers.forgive(server)
        self._meter.forget(server)

    def read_path(self) -> PathReading:
        """Say how queues, breakers and what is kept stand now."""
        return PathReading(
            crowds=self._dispatch.lanes.crowds(),
            breakers=self._dispatch.breakers.states(),
            sums=self._meter,
            kept_results=len(self._finish.shelf),
            kept_bytes=self._finish.shelf.bytes,
            cached_bytes=self._finish.cache.bytes,
        )


def _named(method: str, params: JsonObject) -> tuple[EntryKind | None, str | None]:
    """Say which entry a request is about, if it is about one."""
    named_by = params
    if method == "completion/complete":
        ref = params.get("ref")
        named_by = cast("JsonObject", ref if isinstance(ref, Mapping) else {})
        method = str(named_by.get("type"))
    kind, key = _NAMED.get(method, (None, ""))
    name = named_by.get(key)
    return kind, name if isinstance(name, str) else None


def _subject(target: Target, local_name: str | None = None) -> EntryId:
    if target.entry is not None:
        return target.entry.id
    if local_name is not None:
        return entry_id(EntryKind.TOOL, f"{target.server.name}/{local_name[:_LONGEST_NAME]}")
    return EntryId(f"server:{target.server.name}")


def _outcome(result: Mapping[str, Any]) -> str:
    if result.get("resultType") == "input_required":
        return "input-required"
    return "tool-error" if result.get("isError") else "ok"


def _tell_nobody(name: ServerName) -> None:
    """Do nothing: nobody keeps the registry up to date here."""
