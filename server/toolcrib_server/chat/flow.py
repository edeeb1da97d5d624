"""A streamed reply on its way."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from toolcrib_server.answers.keeping import StreamedText
from toolcrib_server.invocation.models.flow import ModelFlow
from toolcrib_server.upstream.models.stream import Chunk

from .reply import Prepared


@dataclass(frozen=True, slots=True)
class ChatFlow:
    """A streamed answer on its way, and what is told of it before it is whole."""

    flow: ModelFlow
    prepared: Prepared
    _together: StreamedText | None

    async def chunks(self) -> AsyncIterator[Chunk]:
        """Yield each chunk as soon as it is there, with the model named as the registry does.

        Raises:
            UpstreamError: The answer ends before it is whole.
        """
        model = self.flow.pick.candidate.model.name
        async for chunk in self.flow.chunks():
            named = chunk.of_model(model)
            if self._together is not None:
                self._together.add(named.content)
            yield named
