"""What the call path itself costs: CPU of a warm call whose server answers at once, in process.

Everything between a face and the link to a server, with all at its defaults and with each part
switched on or off; no network, no JSON on a wire. Ratios are to the defaults, of rounds in turns.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import _command
import anyio

from toolcrib_migrations import open_store
from toolcrib_registry.store import Store
from toolcrib_registry.types import (
    EntryChanges,
    JsonObject,
    Server,
    ServerName,
    StdioTransport,
    Tool,
    hash_content,
)
from toolcrib_server.invocation.errands.errand import Asker
from toolcrib_server.invocation.invoker import Invoker
from toolcrib_server.invocation.records.audit import AuditLog
from toolcrib_server.invocation.rules.policy import Policies
from toolcrib_server.invocation.rules.quota import KeyQuota
from toolcrib_server.upstream.lists.mirroring import NO_HEADERS, HeaderMap
from toolcrib_server.upstream.messages.interaction import ALONE, Interaction

ROUNDS = 7
TEXT = "a line that a tool may well answer with"
DEFINITION: dict[str, Any] = {
    "name": "echo",
    "annotations": {"readOnlyHint": True},
    "inputSchema": {
        "type": "object",
        "properties": {"text": {"type": "string"}},
        "required": ["text"],
    },
    "outputSchema": {
        "type": "object",
        "properties": {"result": {"type": "string"}},
        "required": ["result"],
    },
}
POLICIES: Mapping[str, dict[str, Any]] = {
    "defaults": {},
    "no output check": {"output": "off"},
    "no size limit, no breaker": {"inline_bytes": 0, "breaker": False},
    "answered from the cache": {"cache_s": 600},
    "hedged": {"hedge_after_s": 5},
}


class Instant:
    """A caller whose servers answer at once."""

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
        content = [{"type": "text", "text": TEXT}]
        return {"content": content, "structuredContent": {"result": TEXT}, "isError": False}

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
        return {"tools": []}


def fill(store: Store) -> None:
    name = ServerName("echo")
    store.add_server(Server(name=name, transport=StdioTransport("echo")), actor="bench")
    tool = Tool(
        name="echo__echo",
        server=name,
        local_name="echo",
        definition=DEFINITION,
        content_hash=hash_content(DEFINITION),
    )
    store.apply(EntryChanges(server=name, upserts=(tool,)), actor="bench")


async def cpu_us(invoker: Invoker, calls: int) -> float:
    """Measure one round, after a short one that warms everything."""
    for number in (50, calls):
        began = time.process_time()
        for _ in range(number):
            await invoker.call("echo__echo", {"text": TEXT}, Asker(face="bench", principal="key"))
        took = time.process_time() - began
    return took / calls * 1e6


async def measure(store: Store, calls: int) -> dict[str, float]:
    invokers = {
        label: Invoker(store, Instant(), AuditLog(store), policies=Policies({"*": policy}))
        for label, policy in POLICIES.items()
    }
    quota = KeyQuota(per_minute=1_000_000_000, at_once=10)
    invokers["a quota for each key"] = Invoker(store, Instant(), AuditLog(store), quota=quota)
    taken: dict[str, list[float]] = {label: [] for label in invokers}
    for _ in range(ROUNDS):
        for label, invoker in invokers.items():
            taken[label].append(await cpu_us(invoker, calls))
    medians = {label: statistics.median(values) for label, values in taken.items()}
    for label, median in medians.items():
        ratio, best = median / medians["defaults"], min(taken[label])
        print(f"{label:28}{median:7.1f} us of CPU a call, {ratio:4.2f} x (best {best:.1f} us)")
    return {label: round(median, 1) for label, median in medians.items()}


def main() -> None:
    parser = _command.parser(__doc__)
    parser.add_argument("--calls", type=int, default=3000, help="calls in each of the rounds")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(f"sqlite:///{Path(folder) / 'toolcrib.db'}")
        fill(store)
        figures = anyio.run(measure, store, options.calls)
        store.close()
    _command.write({"calls": options.calls, "cpu_us": figures}, options.json)


if __name__ == "__main__":
    _command.run(main)
