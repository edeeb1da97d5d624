"""The one way out: everything that is asked of a server passes here. No face has another path.

Reads as the order of steps; each step is a module of its own beside this one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from toolcrib_registry.errors import UpstreamProtocolError
from toolcrib_registry.store import Store
from toolcrib_registry.types import JsonObject, OwnedEntry, Server, ServerName

from .drift.lookout import Lookout
from .drift.signs import Notices
from .errands.book import Book
from .errands.caller import Caller
from .errands.desk import ErrandDesk
from .errands.errand import READ_RESOURCE, Account, Asker, Errand
from .records.audit import AuditLog
from .records.journal import Journal
from .records.telemetry import Telemetry
from .results.finishing import Finish
from .results.shelf import PREFIX
from .rules.permission import AsRegistered, Permission, allows
from .rules.policy import Policies
from .rules.quota import Quota, Unlimited
from .traffic.dispatch import Dispatch
from .traffic.meter import PathMeter, PathReading

DEFAULT_TIMEOUT_S = 60.0


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
        self._notices = Notices(notice or _tell_nobody)
        self._book = Book(store, policies or Policies())
        self._desk = ErrandDesk(self._book, caller, default_s=call_timeout_s)
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
        asker: Asker,
        *,
        extra: JsonObject | None = None,
        whole: bool = False,
        listed: bool = False,
    ) -> dict[str, Any]:
        """Call the tool with the public name ``name``; return its result object.

        A failure that the tool itself reports is a result (``isError``), not an error. ``extra``
        are further parameters of ``tools/call``. What a server wants from a person is an error
        unless the asker takes input. A result that is too large for an assistant is cut, and the
        rest kept, unless it is wanted ``whole``. ``listed`` says that who asks was given the tool's
        own definition, and not one that stands for many.

        Raises:
            NotFound: No such tool; near names are offered.
            EntryGone: It was there; what replaced it is named.
            EntryQuarantined: It is set aside until somebody approves it.
            NotCallable: It, or its server, is disabled, or it comes from a catalogue.
            InvalidArguments: The arguments do not fit its schema.
            TooManyCalls: The key calls more than it may.
            UpstreamError: Its server failed, is busy, or did not answer in time.
        """
        errand = await self._desk.call(
            name, arguments, asker, extra=extra, is_whole=whole, is_listed=listed
        )
        return await self._run(errand)

    async def call_local(
        self,
        server_name: ServerName,
        local_name: str,
        arguments: JsonObject,
        asker: Asker,
        *,
        extra: JsonObject | None = None,
        listed: bool = True,
    ) -> dict[str, Any]:
        """Call a tool by its server and the name that the server gives it.

        One that the registry does not know is called all the same, without a look at its arguments,
        and the server is looked at again. ``listed`` is as for `call`.

        Raises:
            NotFound: No such server; near names are offered.
            ToolcribError: As `call`.
        """
        errand = await self._desk.call_local(
            server_name, local_name, arguments, asker, extra=extra, is_listed=listed
        )
        if errand.target.entry is None:
            self._notices.tell(server_name)
        return await self._run(errand)

    async def request(
        self,
        server_name: ServerName,
        method: str,
        params: JsonObject,
        asker: Asker,
        *,
        safe: bool = False,
    ) -> dict[str, Any]:
        """Send any other request to a server; ``safe`` says that sending it twice does no harm.

        What was cut off a result is read here too, whichever server is named.

        Raises:
            InvalidInput: It is a call of a tool, which goes by `call` or `call_local`, or nothing
                that could be a method.
            NotFound: No such server, or no such kept result.
            ToolcribError: As `call`.
        """
        uri = params.get("uri")
        if method == READ_RESOURCE and isinstance(uri, str) and uri.startswith(PREFIX):
            return self.read_result(uri, principal=asker.principal)
        errand = await self._desk.request(server_name, method, params, asker, is_safe=safe)
        return await self._run(errand)

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
            return await self._follow(errand, account)

    async def _follow(self, errand: Errand, account: Account) -> dict[str, Any]:
        target = errand.target
        self._permission.check(errand.asker.principal, target.server, target.entry)
        self._quota.enter(errand.asker.principal)
        try:
            target.check_arguments(errand.given)
            result = self._finish.find_kept(errand, account)
            if result is None:
                result = await self._ask(errand, account)
                result = self._finish.check(result, errand, account)
                self._finish.keep(result, errand)
            # What the tool made of it, whatever becomes of it on the way to the client.
            account.outcome = _outcome(result)
            return await self._finish.fit(result, errand, account)
        finally:
            self._quota.leave(errand.asker.principal)

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

    # --- how it stands ------------------------------------------------------------------------

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


def _outcome(result: Mapping[str, Any]) -> str:
    if result.get("resultType") == "input_required":
        return "input-required"
    return "tool-error" if result.get("isError") else "ok"


def _tell_nobody(name: ServerName) -> None:
    """Do nothing: nobody keeps the registry up to date here."""
