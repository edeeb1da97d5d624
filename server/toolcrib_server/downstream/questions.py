"""What a client of the handshake era was asked and has not answered yet.

Its answers are messages of their own: they find their question by the number it was asked under.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count

import anyio
from mcp_types.jsonrpc import INTERNAL_ERROR

from toolcrib_registry.types import JsonObject

from .answering import Say
from .limits import LIMITS
from .messages import Reply, notification, refusal_in, request
from .service import RpcError

MAX_ASKED = 256
"""At once, of one client."""
_WITHDRAW_TIMEOUT_S = 2.0


@dataclass(slots=True)
class _Asked:
    answered: anyio.Event
    reply: Reply | None = None


class Questions:
    """The open questions of one conversation."""

    def __init__(self, *, timeout_s: float = LIMITS.ask_timeout_s) -> None:
        self._timeout_s = timeout_s
        self._asked: dict[int, _Asked] = {}
        self._numbers = count(1)
        self._over = False

    async def ask(self, say: Say, method: str, params: JsonObject) -> JsonObject:
        """Ask by ``say`` and wait for the answer; a question that is given up is withdrawn.

        Raises:
            RpcError: The client refused, did not answer in time, or has left.
        """
        if self._over or len(self._asked) >= MAX_ASKED:
            why = "has left" if self._over else f"has {MAX_ASKED} questions open"
            raise RpcError(INTERNAL_ERROR, f"The client cannot be asked: it {why}.")
        number = next(self._numbers)
        asked = self._asked[number] = _Asked(anyio.Event())
        try:
            with anyio.fail_after(self._timeout_s):
                await say(request(number, method, params))
                await asked.answered.wait()
        except TimeoutError:
            raise RpcError(INTERNAL_ERROR, "The client has not answered in time.") from None
        finally:
            del self._asked[number]
            if asked.reply is None and not self._over:
                await _withdraw(say, number)
        return _result_in(asked.reply)

    def take(self, reply: Reply) -> bool:
        """Take in an answer of the client's. Says whether it was asked for that."""
        known = reply.id if isinstance(reply.id, int) and not isinstance(reply.id, bool) else None
        asked = None if known is None else self._asked.get(known)
        if asked is None or asked.reply is not None:
            return False
        asked.reply = reply
        asked.answered.set()
        return True

    def end(self) -> None:
        """Let nobody wait any more: the client has left."""
        self._over = True
        error = {"code": INTERNAL_ERROR, "message": "The client has left."}
        for number in list(self._asked):
            self.take(Reply(number, None, error))


async def _withdraw(say: Say, number: int) -> None:
    params = {"requestId": number, "reason": "the answer is not needed any more"}
    with anyio.move_on_after(_WITHDRAW_TIMEOUT_S, shield=True):
        await say(notification("notifications/cancelled", params))


def _result_in(reply: Reply | None) -> JsonObject:
    assert reply is not None
    if reply.result is None:
        raise refusal_in(reply)
    return reply.result
