"""What is called, as the registry has it: looked up once, and kept until the registry changes.

A warm call touches neither the database nor another thread.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import anyio.to_thread

from toolcrib_registry.errors import NotCallable
from toolcrib_registry.store import Store
from toolcrib_registry.types import (
    EntryKind,
    JsonObject,
    OwnedEntry,
    Server,
    ServerName,
    Tool,
    Trust,
)
from toolcrib_server.invocation.rules.policy import CallPolicy, OutputCheck, Policies
from toolcrib_server.invocation.schemas.arguments import ArgumentCheck
from toolcrib_server.invocation.schemas.output import ResultCheck
from toolcrib_server.upstream.lists.mirroring import HeaderMap, header_map

_MOST_KEPT = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is called: an entry, or something at a server that the registry does not know."""

    server: Server
    policy: CallPolicy
    entry: OwnedEntry | None = None
    arguments: ArgumentCheck | None = None
    result: ResultCheck | None = None
    mirrored: HeaderMap = field(default_factory=dict[tuple[str, ...], str])
    """Which of its arguments go into headers too, as it was last listed."""
    is_read_only: bool = False
    """It says so of itself, and is trusted."""
    is_repeatable: bool = False
    """It says so of itself, and is trusted: calling it twice is as calling it once."""

    @property
    def tool(self) -> Tool | None:
        """The entry, if it is a tool."""
        return self.entry if isinstance(self.entry, Tool) else None

    def check_arguments(self, arguments: JsonObject) -> None:
        """Accept arguments that fit the tool's schema, where there is one.

        Raises:
            InvalidArguments: They do not fit; each misfit is named.
        """
        if self.arguments is not None:
            self.arguments.check(arguments)


class Book:
    """Looks up what is called."""

    def __init__(self, store: Store, policies: Policies) -> None:
        self._store = store
        self._policies = policies
        self._kept: dict[str | tuple[str, ...], Target] = {}

    def forget(self) -> None:
        """Drop what was looked up: the registry has changed."""
        # A new one: what is being read now may be old already, and goes into the one before.
        self._kept = {}

    async def find_tool(self, name: str) -> Target:
        """Look up a tool by its public name.

        Raises:
            NotFound: No such tool; near names are offered.
            EntryGone: It was there; what replaced it is named.
        """
        return self._kept.get(name) or await self._look(name, partial(self._read_tool, name))

    async def find_local(self, server: ServerName, kind: EntryKind, name: str) -> Target:
        """Look up what a server calls so; without an entry where the registry knows none.

        Raises:
            NotFound: No such server; near names are offered.
            NotCallable: It was set aside when the server was listed.
        """
        key = (kind.value, server, name)
        return self._kept.get(key) or await self._look(
            key, partial(self._read_local, server, kind, name)
        )

    async def find_server(self, name: ServerName) -> Target:
        """Look up a server as a whole.

        Raises:
            NotFound: No such server; near names are offered.
        """
        key = (name,)
        return self._kept.get(key) or await self._look(key, partial(self._read_server, name))

    async def _look(self, key: str | tuple[str, ...], read: Callable[[], Target]) -> Target:
        kept = self._kept
        target = await anyio.to_thread.run_sync(read)
        if len(kept) >= _MOST_KEPT:
            kept.clear()
        kept[key] = target
        return target

    def _read_tool(self, name: str) -> Target:
        tool = self._store.get_entry(EntryKind.TOOL, name)
        assert isinstance(tool, Tool)
        return self._target(self._store.get_server(tool.server), tool)

    def _read_local(self, name: ServerName, kind: EntryKind, local_name: str) -> Target:
        server = self._store.get_server(name)
        entry = self._store.find_owned(kind, name, local_name)
        if entry is None:
            _refuse_set_aside(server, kind, local_name)
        return self._target(server, entry)

    def _read_server(self, name: ServerName) -> Target:
        return self._target(self._store.get_server(name), None)

    def _target(self, server: Server, entry: OwnedEntry | None) -> Target:
        if not isinstance(entry, Tool):
            return Target(server=server, policy=self._policies.of(server.name), entry=entry)
        policy = self._policies.of(server.name, entry.name)
        schema = None if policy.output is OutputCheck.OFF else entry.output_schema
        reads, repeats = _claims(entry)
        return Target(
            server=server,
            policy=policy,
            entry=entry,
            arguments=ArgumentCheck(entry.name, entry.input_schema),
            mirrored=header_map(entry.input_schema),
            result=None if schema is None else ResultCheck(schema),
            is_read_only=reads,
            is_repeatable=repeats,
        )


def _claims(tool: Tool) -> tuple[bool, bool]:
    """Read from its annotations whether a tool only reads, and may be repeated.

    They are claims; those of a tool that wants a look count for nothing.
    """
    if tool.trust is not Trust.TRUSTED:
        return False, False
    said = tool.descriptor
    reads = said.read_only is not None and said.read_only.value
    idempotent = said.idempotent is not None and said.idempotent.value
    return reads, reads or idempotent


def _refuse_set_aside(server: Server, kind: EntryKind, name: str) -> None:
    for aside in server.health.malformed:
        if aside.kind is kind and aside.name == name:
            raise NotCallable(
                f"{name!r} of {server.name!r} was set aside when the server was listed: "
                f"{aside.reason}"
            )
