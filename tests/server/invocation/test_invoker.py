"""Calls that show the registry to be out of date have the server looked at again."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from toolcrib_migrations import open_store
from toolcrib_registry.errors import UpstreamProtocolError
from toolcrib_registry.store import Store
from toolcrib_registry.types import (
    EntryChanges,
    JsonObject,
    Server,
    ServerHealth,
    ServerName,
    ServerStatus,
    StdioTransport,
    Tool,
    hash_content,
)
from toolcrib_server.invocation.errands.errand import Asker
from toolcrib_server.invocation.invoker import Invoker
from toolcrib_server.invocation.records.audit import AuditLog
from toolcrib_server.upstream.lists.mirroring import NO_HEADERS, HeaderMap
from toolcrib_server.upstream.messages.interaction import ALONE, Interaction

pytestmark = pytest.mark.anyio

CLOCK = ServerName("clock")
ZONE = {"type": "string", "x-mcp-header": "Zone"}
DEFINITION = {"name": "now", "inputSchema": {"type": "object", "properties": {"zone": ZONE}}}


@dataclass
class TellingCaller:
    """A `Caller` that answers as it was told."""

    answer: dict[str, Any] | UpstreamProtocolError = field(default_factory=dict[str, Any])
    mirrored: HeaderMap | None = None

    async def call_tool(
        self,
        server: Server,
        local_name: str,
        arguments: JsonObject,
        *,
        timeout_s: float,
        meta: JsonObject | None = None,
        interaction: Interaction = ALONE,
        extra: JsonObject | None = None,
        mirrored: HeaderMap = NO_HEADERS,
    ) -> dict[str, Any]:
        self.mirrored = mirrored
        if isinstance(self.answer, UpstreamProtocolError):
            raise self.answer
        return self.answer

    async def request(
        self,
        server: Server,
        method: str,
        params: JsonObject,
        *,
        timeout_s: float,
        safe: bool = False,
        meta: JsonObject | None = None,
        interaction: Interaction = ALONE,
    ) -> dict[str, Any]:
        return await self.call_tool(server, method, params, timeout_s=timeout_s)


@dataclass
class House:
    """The parts under test."""

    store: Store
    caller: TellingCaller
    invoker: Invoker
    audit: AuditLog
    noticed: list[str]

    async def call(self) -> dict[str, Any]:
        return await self.invoker.call("clock__now", {}, Asker(face="cli", principal="me"))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = open_store(f"sqlite:///{tmp_path / 'toolcrib.db'}")
    server = Server(name=CLOCK, transport=StdioTransport("clock"))
    store.add_server(server, actor="test")
    tool = Tool(
        name="clock__now",
        server=CLOCK,
        local_name="now",
        definition=DEFINITION,
        content_hash=hash_content(DEFINITION),
    )
    store.apply(EntryChanges(server=CLOCK, upserts=(tool,)), actor="test")
    yield store
    store.close()


@pytest.fixture
def house(store: Store) -> House:
    noticed: list[str] = []
    caller, audit = TellingCaller(), AuditLog(store)
    return House(
        store, caller, Invoker(store, caller, audit, notice=noticed.append), audit, noticed
    )


def says(text: str, *, is_error: bool = True) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": text}], "isError": is_error}


async def test_a_good_call_is_no_reason_to_look_again(house: House) -> None:
    house.caller.answer = says("12:00", is_error=False)
    assert await house.call() == says("12:00", is_error=False)
    assert house.noticed == []


async def test_what_the_tool_wants_in_headers_is_known_from_the_registry(house: House) -> None:
    house.caller.answer = says("12:00", is_error=False)
    await house.call()
    assert house.caller.mirrored == {("zone",): "Zone"}


async def test_an_unknown_tool_is_an_error_that_says_what_happens_now(house: House) -> None:
    house.caller.answer = UpstreamProtocolError(CLOCK, "Unknown tool: now", rpc_code=-32602)
    for _ in range(3):
        with pytest.raises(UpstreamProtocolError, match="being brought up to date") as caught:
            await house.call()
        assert caught.value.rpc_code == -32602
    assert house.noticed == ["clock"]


async def test_a_result_that_says_the_tool_is_unknown_is_that_error(house: House) -> None:
    house.caller.answer = says("Unknown tool: now")
    with pytest.raises(UpstreamProtocolError, match="has this tool no more"):
        await house.call()
    assert house.noticed == ["clock"]
    await house.audit.flush()
    (record,) = house.store.list_calls()
    assert record.outcome == "upstream-protocol-error"


async def test_other_arguments_are_noticed_and_the_result_is_not_touched(house: House) -> None:
    house.caller.answer = says("'calendar' is a required property")
    assert await house.call() == says("'calendar' is a required property")
    assert house.noticed == ["clock"]


async def test_any_other_failure_is_the_tools_own(house: House) -> None:
    house.caller.answer = UpstreamProtocolError(CLOCK, "no access", rpc_code=-32001)
    with pytest.raises(UpstreamProtocolError, match=r"no access$"):
        await house.call()
    house.caller.answer = says("the zone must be one of Europe/Berlin")
    await house.call()
    assert house.noticed == []


async def test_a_server_that_was_unreachable_and_answers_is_looked_at_again(house: House) -> None:
    health = replace(ServerHealth(), status=ServerStatus.UNREACHABLE)
    house.store.apply(EntryChanges(server=CLOCK), actor="sync", health=health)
    house.caller.answer = says("12:00", is_error=False)
    await house.call()
    await house.call()
    assert house.noticed == ["clock"]
