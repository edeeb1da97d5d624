"""The least that a gateway can do: read each request's envelope, and forward bytes.

Usage: _relaying.py PORT UPSTREAM_PORT. One connection to the upstream for each of a client's; knows
just enough HTTP to find the bodies.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from contextlib import suppress
from typing import cast

import uvloop

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_END = b"\r\n\r\n"


class Front(asyncio.Protocol):
    """Takes requests of one client connection, and forwards each when it is whole and read."""

    def __init__(self, upstream_port: int) -> None:
        """Forward to a port of this machine."""
        self._port = upstream_port
        self._came = bytearray()
        self._ready: list[bytes] = []
        self._back: asyncio.Transport | None = None
        self._transport: asyncio.Transport | None = None
        self._opening: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connect to the upstream."""
        self._transport = cast("asyncio.Transport", transport)
        self._opening = asyncio.create_task(self._connect(self._transport))

    def data_received(self, data: bytes) -> None:
        """Read on; forward what is whole."""
        self._came += data
        while (size := self._whole()) is not None:
            self._forward(bytes(self._came[:size]))
            del self._came[:size]

    def connection_lost(self, exc: Exception | None) -> None:
        """End the upstream's connection with the client's."""
        if self._back is not None:
            self._back.close()

    async def _connect(self, front: asyncio.Transport) -> None:
        loop = asyncio.get_running_loop()
        self._back, _ = await loop.create_connection(lambda: Back(front), "127.0.0.1", self._port)
        for request in self._ready:
            self._back.write(request)

    def _whole(self) -> int | None:
        head = self._came.find(_END)
        if head < 0:
            return None
        stated = _LENGTH.search(self._came, 0, head)
        size = head + len(_END) + (int(stated[1]) if stated else 0)
        return size if len(self._came) >= size else None

    def _forward(self, request: bytes) -> None:
        body = request[request.find(_END) + len(_END) :]
        if body and "method" not in json.loads(body):
            print("not a request", file=sys.stderr)
        if self._back is None:
            self._ready.append(request)
        else:
            self._back.write(request)


class Back(asyncio.Protocol):
    """Hands the upstream's answers to the client."""

    def __init__(self, front: asyncio.Transport) -> None:
        """Write to the client's connection."""
        self._front = front

    def data_received(self, data: bytes) -> None:
        """Forward."""
        self._front.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """End the client's connection with the upstream's."""
        self._front.close()


async def main() -> None:
    """Serve until ended."""
    port, upstream = int(sys.argv[1]), int(sys.argv[2])
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Front(upstream), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        uvloop.run(main())
