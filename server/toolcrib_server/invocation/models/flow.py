"""A streamed answer of a model, from its first token to its last."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, cast

from toolcrib_registry.errors import AnswerCut, Peer, ToolcribError, UpstreamProtocolError
from toolcrib_server.invocation.figures.measured import Measured
from toolcrib_server.upstream.models.stream import ChatStream, Chunk
from toolcrib_server.upstream.models.usage import Usage

from .order import Failed
from .turns import Turn, believed_usage

_MOST_WITHOUT_TOKEN = 1_000
"""Events before the first token, which are kept until it comes."""


class ModelFlow:
    """A streamed answer whose first token is there. Read its `chunks` once."""

    def __init__(
        self, turn: Turn, stream: ChatStream, *, hides_usage: bool, failed: Sequence[Failed]
    ) -> None:
        self.pick = turn.pick
        self.failed = tuple(failed)
        self.measured: Measured | None = None
        """What the call measured; None until it is over."""
        self._turn = turn
        self._stream = stream
        self._hides_usage = hides_usage
        self._begun: list[Chunk] = []
        self._rest = stream.chunks()
        self._size = 0
        self.outcome = "cancelled"
        self.error: ToolcribError | None = None

    async def begin(self) -> None:
        """Wait for the first token.

        Raises:
            UpstreamError: It does not come.
        """
        async for chunk in self._rest:
            self._begun.append(chunk)
            if chunk.has_token:
                self._turn.first_at = time.perf_counter()
                return
            if len(self._begun) >= _MOST_WITHOUT_TOKEN:
                said = f"sent {_MOST_WITHOUT_TOKEN} events without a token."
                raise UpstreamProtocolError(self._turn.provider, said, peer=Peer.PROVIDER)
        raise AnswerCut(self._turn.provider, "ended without a token")

    async def chunks(self) -> AsyncIterator[Chunk]:
        """Yield each chunk as soon as it is there.

        Raises:
            UpstreamError: The answer ends before it is whole.
        """
        try:
            for chunk in self._begun:
                self._size += _length(chunk)
                yield chunk
            async for chunk in self._rest:
                self._size += _length(chunk)
                if chunk.choices or not self._hides_usage:
                    yield chunk
            self.outcome = "ok"
        except ToolcribError as error:
            self.outcome, self.error = error.code, error
            raise

    def usage(self) -> tuple[Usage, bool]:
        """Say what it took, and whether that is an estimate."""
        needs = self._turn.needs
        guessed = Usage(needs.tokens_in, -(-self._size // 4))
        return believed_usage(self._stream.usage, guessed, self.pick.candidate)


def _length(chunk: Chunk) -> int:
    """Measure the text of a chunk, for an estimate of its tokens."""
    parts = (cast("Mapping[str, Any]", c.get("delta") or {}) for c in chunk.choices)
    said = (value for part in parts for key, value in part.items() if key != "role")
    return sum(len(value) for value in said if isinstance(value, str))
