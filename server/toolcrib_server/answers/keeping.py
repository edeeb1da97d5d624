"""Which answers are worth keeping, and how one that came in chunks is put together again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from toolcrib_registry.types import JsonObject
from toolcrib_server.invocation.bodies.request import objects

_MESSAGE: Final = frozenset({"role", "content"})


def is_worth_keeping(answer: JsonObject) -> bool:
    """Whether it is one whole text: not cut off, filtered, refused, or a call of a tool."""
    choices = objects(answer.get("choices"))
    if len(choices) != 1 or choices[0].get("finish_reason") != "stop":
        return False
    message = choices[0].get("message")
    if not isinstance(message, Mapping):
        return False
    said = cast("Mapping[str, Any]", message)
    odd = (said.get(name) for name in ("tool_calls", "function_call", "refusal", "audio"))
    content = said.get("content")
    return isinstance(content, str) and bool(content.strip()) and not any(odd)


class StreamedText:
    """Puts the chunks of an answer together; gives up on one that is more than text."""

    def __init__(self, *, most_chars: int = 1_000_000) -> None:
        self._parts: list[str] = []
        self._room = most_chars
        self._head: dict[str, Any] = {}
        self._finish: object = None
        self._usage: object = None
        self._is_text = True

    def add(self, chunk: Mapping[str, Any]) -> None:
        """Take in one chunk."""
        for name in ("id", "created", "model"):
            if name in chunk:
                self._head.setdefault(name, chunk[name])
        self._usage = chunk.get("usage") or self._usage
        for choice in objects(chunk.get("choices")):
            self._take(choice)

    def _take(self, choice: Mapping[str, Any]) -> None:
        deltas = objects([choice.get("delta")])
        odd = [k for d in deltas for k, v in d.items() if k not in _MESSAGE and v]
        self._is_text &= not odd and choice.get("index", 0) == 0 and not choice.get("logprobs")
        self._finish = choice.get("finish_reason") or self._finish
        for delta in deltas:
            text = delta.get("content")
            if isinstance(text, str) and self._is_text:
                self._room -= len(text)
                self._is_text = self._room >= 0
                self._parts.append(text)

    def whole(self) -> JsonObject | None:
        """Give the answer as if it had come whole; None where that cannot be done."""
        if not self._is_text:
            return None
        message = {"role": "assistant", "content": "".join(self._parts)}
        choice = {"index": 0, "message": message, "finish_reason": self._finish}
        answer: dict[str, Any] = {**self._head, "object": "chat.completion", "choices": [choice]}
        return answer if self._usage is None else answer | {"usage": self._usage}
