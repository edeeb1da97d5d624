"""Makes errands of what is asked: what it is about, who is to send it, and how long it may take.

Looks up what is called, and says what cannot be asked at all. Sends nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import cast

from toolcrib_registry.errors import InvalidInput
from toolcrib_registry.types import EntryId, EntryKind, JsonObject, ServerName, entry_id

from .book import Book, Target
from .caller import Caller
from .deadline import Deadline
from .errand import CALL, READ_RESOURCE, Asker, Errand, Send

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


class ErrandDesk:
    """Takes orders. ``default_s`` is the deadline of a server that sets none."""

    def __init__(self, book: Book, caller: Caller, *, default_s: float) -> None:
        self._book = book
        self._caller = caller
        self._default_s = default_s

    async def call(
        self,
        name: str,
        arguments: JsonObject,
        asker: Asker,
        *,
        extra: JsonObject | None,
        is_whole: bool,
        is_listed: bool,
    ) -> Errand:
        """Make a call of the tool with a public name.

        Raises:
            NotFound: No such tool; near names are offered.
            EntryGone: It was there; what replaced it is named.
            InvalidInput: It would have no time at all.
        """
        target = await self._book.find_tool(name)
        assert target.entry is not None
        local_name = target.entry.local_name
        return self._call(
            target, local_name, arguments, asker, extra, is_whole=is_whole, is_listed=is_listed
        )

    async def call_local(
        self,
        server: ServerName,
        local_name: str,
        arguments: JsonObject,
        asker: Asker,
        *,
        extra: JsonObject | None,
        is_listed: bool,
    ) -> Errand:
        """Make a call of what a server calls so, whether or not the registry knows it.

        Raises:
            NotFound: No such server; near names are offered.
            NotCallable: It was set aside when the server was listed.
            InvalidInput: It would have no time at all.
        """
        target = await self._book.find_local(server, EntryKind.TOOL, local_name)
        return self._call(target, local_name, arguments, asker, extra, is_listed=is_listed)

    async def request(
        self,
        server: ServerName,
        method: str,
        params: JsonObject,
        asker: Asker,
        *,
        is_safe: bool,
    ) -> Errand:
        """Make any other request.

        Raises:
            InvalidInput: It is a call of a tool, or nothing that could be a method.
            NotFound: No such server.
            NotCallable: What it names was set aside when the server was listed.
        """
        if method == CALL:
            raise InvalidInput("A tool is called by its name, not by a request to its server.")
        if not _METHOD.fullmatch(method):
            raise InvalidInput(f"{method[:_LONGEST_NAME]!r} is no method: it goes into a header.")
        target = await self._find_subject(server, method, params)
        return Errand(
            asker=asker,
            target=target,
            method=method,
            subject=_subject(target),
            given=params,
            send=partial(self._caller.request, target.server, method, params, safe=is_safe),
            deadline=self._deadline(target, asker),
            is_safe=is_safe,
        )

    def _call(
        self,
        target: Target,
        local_name: str,
        arguments: JsonObject,
        asker: Asker,
        extra: JsonObject | None,
        *,
        is_whole: bool = False,
        is_listed: bool,
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
            asker=asker,
            target=target,
            method=CALL,
            subject=_subject(target, local_name),
            given=arguments,
            send=send,
            deadline=self._deadline(target, asker),
            is_plain=not extra,
            is_safe=target.is_repeatable and not extra,
            is_whole=is_whole,
            is_listed=is_listed,
        )

    def _deadline(self, target: Target, asker: Asker) -> Deadline:
        longest_s = target.server.call_timeout_s or self._default_s
        return Deadline(asker.timeout_s, longest_s=longest_s)

    async def _find_subject(
        self, server_name: ServerName, method: str, params: JsonObject
    ) -> Target:
        kind, name = _named(method, params)
        if kind is None or name is None:
            return await self._book.find_server(server_name)
        return await self._book.find_local(server_name, kind, name)


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
