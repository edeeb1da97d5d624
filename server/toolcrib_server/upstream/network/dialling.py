"""Opens a bare connection to a host: the first of its addresses that answers.

Knows addresses; knows no URL.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from itertools import zip_longest
from typing import Any, TypeVar

import anyio

_STREAM = socket.SOCK_STREAM
_HEAD_START_S = 0.25
"""What an address may take before the next one is tried beside it (RFC 8305)."""
Address = tuple[socket.AddressFamily, tuple[Any, ...]]
SpokenT = TypeVar("SpokenT", bound=asyncio.BaseProtocol)


async def dial(
    make: Callable[[], SpokenT], host: str, port: int, *, options: Sequence[tuple[int, int, int]]
) -> SpokenT:
    """Connect, with ``options`` set on the socket. Whoever waits has a deadline.

    Raises:
        OSError: No address of the host takes the connection.
    """
    connected = await _race(await _resolve(host, port))
    try:
        for option in options:
            connected.setsockopt(*option)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        loop = asyncio.get_running_loop()
        _, protocol = await loop.create_connection(make, sock=connected)
    except BaseException:
        connected.close()
        raise
    return protocol


async def _resolve(host: str, port: int) -> list[Address]:
    try:
        # Of an address in figures nothing is looked up, so that no other thread is needed.
        found = socket.getaddrinfo(host, port, type=_STREAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=_STREAM)
    return _interleave([(family, place) for family, _, _, _, place in found])


def _interleave(addresses: Sequence[Address]) -> list[Address]:
    """Alternate the families, beginning with the first address's."""
    first = [each for each in addresses if each[0] == addresses[0][0]]
    others = [each for each in addresses if each[0] != addresses[0][0]]
    return [each for pair in zip_longest(first, others) for each in pair if each is not None]


async def _race(addresses: Sequence[Address]) -> socket.socket:
    if len(addresses) == 1:
        return await _connect(addresses[0])
    won: list[socket.socket] = []
    failed: list[OSError] = []

    async def attempt(address: Address, over: anyio.Event) -> None:
        try:
            connected = await _connect(address)
        except OSError as error:
            failed.append(error)
        else:
            won.append(connected)
            tasks.cancel_scope.cancel()
        over.set()

    async with anyio.create_task_group() as tasks:
        for address in addresses:
            over = anyio.Event()
            tasks.start_soon(attempt, address, over)
            with anyio.move_on_after(_HEAD_START_S):
                await over.wait()
    for late in won[1:]:
        late.close()
    if not won:
        raise failed[0]
    return won[0]


async def _connect(address: Address) -> socket.socket:
    family, place = address
    candidate = socket.socket(family, _STREAM)
    try:
        candidate.settimeout(0)
        await asyncio.get_running_loop().sock_connect(candidate, place)
    except BaseException:
        candidate.close()
        raise
    return candidate
