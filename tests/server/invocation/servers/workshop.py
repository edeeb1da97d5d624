"""A server written with the SDK: what it does is counted, and can be held up. stdio or HTTP."""

import threading
from collections import Counter
from typing import Any

import anyio
from mcp.server.mcpserver import Context, MCPServer
from mcp_types import ToolAnnotations

READS = ToolAnnotations(read_only_hint=True)
REPEATS = ToolAnnotations(read_only_hint=False, idempotent_hint=True)


class Workshop:
    """The server, and what was asked of it. ``held`` keeps `hold` from answering."""

    def __init__(self, name: str = "workshop") -> None:
        self.calls: Counter[str] = Counter()
        self.metas: list[dict[str, Any]] = []
        self.running = 0
        self.most_running = 0
        self.released = threading.Event()
        self.server = MCPServer(name)
        for make in (self._plain, self._slow, self._wordy):
            make(self.server)

    def _plain(self, server: MCPServer) -> None:
        @server.tool(annotations=READS)
        async def read(text: str, ctx: Context) -> str:
            """Read something."""
            self._count("read", ctx)
            return f"{text} {self.calls['read']}"

        @server.tool()
        async def write(text: str, ctx: Context) -> str:
            """Write something."""
            self._count("write", ctx)
            return text

        @server.tool(annotations=REPEATS)
        async def put(text: str, ctx: Context) -> str:
            """Put something where it is put anyway."""
            self._count("put", ctx)
            return text

        @server.tool()
        async def fail(ctx: Context) -> str:
            """Fail, by its own account."""
            self._count("fail", ctx)
            raise ValueError("it did not work")

        @server.resource("shelf://notes")
        def notes() -> str:
            """Read the notes."""
            self.calls["notes"] += 1
            return "remember the milk"

        @server.prompt()
        def ask(topic: str) -> str:
            """Ask about something."""
            self.calls["ask"] += 1
            return f"Tell me of {topic}."

    def _slow(self, server: MCPServer) -> None:
        @server.tool()
        async def hold(ctx: Context) -> str:
            """Answer when released."""
            self._count("hold", ctx)
            self.running += 1
            self.most_running = max(self.most_running, self.running)
            try:
                await self._wait()
            finally:
                self.running -= 1
            return "done"

        @server.tool(annotations=READS)
        async def slow_once(ctx: Context) -> str:
            """Answer at once, but for the first time, which waits for the release."""
            self._count("slow_once", ctx)
            if self.calls["slow_once"] == 1:
                await self._wait()
                return "late"
            return "at once"

        @server.tool(annotations=READS)
        async def progress(ctx: Context) -> str:
            """Report, then go on."""
            self._count("progress", ctx)
            await ctx.report_progress(1, 2, "half")
            return "done"

    def _wordy(self, server: MCPServer) -> None:
        @server.tool(structured_output=False)
        async def tell(size: int, ctx: Context) -> str:
            """Say much."""
            self._count("tell", ctx)
            return "äbcdefgh " * (size // 10)

        @server.tool()
        async def table(rows: int, ctx: Context) -> dict[str, list[int]]:
            """Give a table, as structured content too."""
            self._count("table", ctx)
            return {"rows": list(range(rows))}

    async def _wait(self) -> None:
        while not self.released.is_set():  # noqa: ASYNC110  # set by another thread
            await anyio.sleep(0.005)

    def _count(self, name: str, ctx: Context) -> None:
        self.calls[name] += 1
        self.metas.append(dict(ctx.request_context.meta or {}))


if __name__ == "__main__":
    Workshop().server.run()
