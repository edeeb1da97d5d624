"""``toolcrib stdio``: MCP over standard input and output, as assistants start it."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from functools import partial

import anyio

from toolcrib_registry.errors import NotFound
from toolcrib_registry.types import ServerName
from toolcrib_server.downstream.pipes import claimed_stdio
from toolcrib_server.downstream.places import Place, PlaceKind
from toolcrib_server.downstream.service import Service
from toolcrib_server.downstream.stdio import serve_stdio
from toolcrib_server.gateway.views import find_view
from toolcrib_server.runtime import Runtime, end_process, register_config, run_background

from .running import run, told

_SIGNALLED = 128
"""What a shell adds to the number of the signal that ended a process."""
_LAST_WORDS_S = 3.0
_PAIR = 2


def main(place: Place | None = None) -> None:
    """Serve one assistant until it leaves."""
    told(lambda: run(partial(serve_assistant, place=place)))


def read_place(arguments: Sequence[str]) -> tuple[Place | None] | None:
    """Read which service is meant; None if these are other arguments than `toolcrib stdio` has."""
    if not arguments:
        return (None,)
    words = arguments[0].split("=", 1) if len(arguments) == 1 else list(arguments)
    kinds = {f"--{kind.value}": kind for kind in PlaceKind}
    if len(words) != _PAIR or words[0] not in kinds or not words[1]:
        return None
    return (Place(kinds[words[0]], words[1]),)


async def serve_assistant(runtime: Runtime, *, place: Place | None = None) -> None:
    """Serve over standard input and output, and keep what is served in step meanwhile.

    Raises:
        NotFound: There is no such server, or no such view; near names are offered.
    """
    service = await _find(runtime, place)
    only = ServerName(place.name) if place and place.kind is PlaceKind.SERVER else None
    ending, ended = anyio.Event(), anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run_background, runtime, only)
        tasks.start_soon(_end_on_signal, runtime, ending, ended)
        with claimed_stdio() as (inlet, outlet):
            await serve_stdio(service, inlet, outlet, ending=ending)
        ended.set()
        if ending.is_set():
            await anyio.sleep_forever()  # until the process is ended
        tasks.cancel_scope.cancel()
        await end_process(runtime, 0)


async def _find(runtime: Runtime, place: Place | None) -> Service:
    if place is None:
        return runtime.gateway
    if place.kind is PlaceKind.VIEW:
        return await find_view(runtime.views, place.name)
    try:
        return await runtime.servers.get(place.name)
    except NotFound:
        await register_config(runtime)  # it may be named there, and not be registered yet
        return await runtime.servers.get(place.name)


async def _end_on_signal(runtime: Runtime, ending: anyio.Event, ended: anyio.Event) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for number in signals:
            ending.set()
            with anyio.move_on_after(_LAST_WORDS_S):
                await ended.wait()
            await end_process(runtime, _SIGNALLED + number)
