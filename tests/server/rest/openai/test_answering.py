"""Who leaves, or does not read, ends what was asked for them: whole answers and streams alike."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from toolcrib_registry.errors import RateLimited
from toolcrib_registry.types import Model, Offer
from toolcrib_server.chat.flow import ChatFlow
from toolcrib_server.chat.reply import Prepared
from toolcrib_server.invocation.models.order import Pick
from toolcrib_server.rest.openai.answering import StreamedAnswer, WholeAnswer
from toolcrib_server.selection.candidate import Candidate
from toolcrib_server.upstream.models.stream import Chunk

pytestmark = pytest.mark.anyio

OFFER = Offer(provider="acme", remote_model="m", endpoint="http://127.0.0.1:1/v1")
PICK = Pick(Candidate(Model(name="m", offers=(OFFER,)), OFFER), ("as told",))


class Endless:
    """Stands for the way out: a stream that never ends, and that says when it is left."""

    def __init__(self) -> None:
        self.left = anyio.Event()

    @asynccontextmanager
    async def stream(self):
        flow: Any = SimpleNamespace(pick=PICK, failed=(), chunks=self._chunks)
        request: Any = None
        prepared = Prepared(request=request, order=flow)
        try:
            yield ChatFlow(flow, prepared, None)
        finally:
            self.left.set()

    async def _chunks(self) -> AsyncIterator[Chunk]:
        while True:
            yield Chunk('{"choices": []}', {})
            await anyio.lowlevel.checkpoint()


async def gone() -> dict[str, Any]:
    return {"type": "http.disconnect"}


async def there() -> dict[str, Any]:
    await anyio.sleep_forever()
    raise AssertionError


async def test_who_leaves_before_a_whole_answer_ends_the_asking():
    ended: list[str] = []

    async def ask() -> Any:
        try:
            await anyio.sleep_forever()
        finally:
            ended.append("ended")

    async def send(_: Any) -> None:
        raise AssertionError("nobody is there")

    with anyio.fail_after(30):
        await WholeAnswer(ask)({"type": "http"}, gone, send)
    assert ended == ["ended"]


async def test_a_failure_of_a_whole_answer_is_raised_as_it_is():
    async def ask() -> Any:
        raise RateLimited("acme", "Slow down")

    async def send(_: Any) -> None:
        raise AssertionError("nothing is answered yet")

    with pytest.raises(RateLimited):
        await WholeAnswer(ask)({"type": "http"}, there, send)


async def test_who_does_not_read_a_stream_ends_it():
    way_out = Endless()
    sent: list[str] = []

    async def send(message: Any) -> None:
        sent.append(message["type"])
        if len(sent) == 3:
            await anyio.sleep_forever()

    with anyio.fail_after(30):
        await StreamedAnswer(way_out.stream, unread_s=0.05)({"type": "http"}, there, send)
    assert way_out.left.is_set()
    assert sent == ["http.response.start", "http.response.body", "http.response.body"]
