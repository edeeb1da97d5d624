"""What a request for a model asks for, read from its body: its task, its needs, its length.

Knows the chat API's shapes. The body itself is passed on as it came, whatever is read here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from toolcrib_registry.errors import InvalidInput
from toolcrib_registry.types import JsonObject
from toolcrib_server.jsonrpc.text import is_deeper
from toolcrib_server.selection.constraint import Ability, Constraints
from toolcrib_server.selection.length import Length

MAX_DEPTH = 100
_LONGEST_TASK = 4_000
_BYTES_PER_TOKEN = 4
_MOST_BYTES_PER_TOKEN = 6
_TOKENS_PER_IMAGE = 800
_ASSUMED_TOKENS_OUT = 500
_MOST_COUNTED = 1_000_000_000
_SHOWN_CHARS = 40
_NO_TEXT = "Answer a message."
_PARTS = {"image_url": "image", "input_image": "image", "image": "image", "input_audio": "audio"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What a model must be able to do to answer a request at all."""

    abilities: frozenset[Ability] = frozenset()
    modalities_in: frozenset[str] = frozenset()
    tokens_in: int = 0
    """An estimate: text is taken to have four bytes a token."""
    least_tokens_in: int = 0
    """What it surely has: six bytes a token are more than any language has."""
    tokens_out: int | None = None
    """What the caller allows at most; None when nothing is said."""
    answers: int = 1
    """How many are asked for (``n``); each is paid for."""

    def limit(self, given: Constraints) -> Constraints:
        """Add them to the limits that the caller gave."""
        return replace(
            self.size(given),
            abilities=given.abilities | self.abilities,
            modalities_in=given.modalities_in | self.modalities_in,
        )

    def size(self, given: Constraints) -> Constraints:
        """Say how large the call is, where the caller did not."""
        return replace(
            given,
            tokens_in=self.tokens_in if given.tokens_in is None else given.tokens_in,
            tokens_out=self.expected_out if given.tokens_out is None else given.tokens_out,
        )

    @property
    def length(self) -> Length:
        """How large the call is; how long the answer will be is for others to expect."""
        return Length(tokens_in=self.tokens_in, most_out=self.tokens_out, answers=self.answers)

    @property
    def expected_out(self) -> int:
        """How long the answers are taken to be, together."""
        each = self.tokens_out if self.tokens_out is not None else _ASSUMED_TOKENS_OUT
        return each * self.answers


def check_body(body: JsonObject) -> None:
    """Refuse what JSON cannot carry on, before it is sent anywhere.

    Raises:
        InvalidInput: A number is not finite, or it nests too deeply.
    """
    if is_deeper(body, MAX_DEPTH):
        raise InvalidInput(f"The request nests deeper than {MAX_DEPTH} levels.")
    for name, value in body.items():
        if any(isinstance(part, float) and not math.isfinite(part) for part in _leaves(value)):
            raise InvalidInput(f"{name} holds a number that is not finite; give an ordinary one.")


def check_chat(body: JsonObject) -> None:
    """Refuse a chat request that no model could answer.

    Raises:
        InvalidInput: ``messages`` is missing or is no list of messages, or a number makes no sense.
    """
    check_body(body)
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise InvalidInput("messages is missing: give a list with at least one message.")
    for number, message in enumerate(cast("list[object]", messages)):
        if not _has_role(message):
            raise InvalidInput(
                f'messages.{number} is no message: write {{"role": "user", "content": "…"}}.'
            )
    for name in ("max_tokens", "max_completion_tokens", "n"):
        _check_count(name, body.get(name))


def _check_count(name: str, value: object) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidInput(f"{name} is {repr(value)[:_SHOWN_CHARS]}; it must be a whole number.")
    if abs(value) > _MOST_COUNTED:
        raise InvalidInput(f"{name} has {len(str(abs(value)))} digits; at most {_MOST_COUNTED:,}.")


def task_of(body: JsonObject) -> str:
    """Read what is asked: the last message of the user, or of anybody."""
    messages = objects(body.get("messages"))
    for said in (*reversed([m for m in messages if m.get("role") == "user"]), *messages[-1:]):
        text = " ".join(_texts(said.get("content"))).strip()
        if text:
            return text[:_LONGEST_TASK]
    return _NO_TEXT


def needs_of(body: JsonObject) -> Needs:
    """Read what a model must be able to do to answer a chat request."""
    messages = objects(body.get("messages"))
    parts = [part for message in messages for part in objects(message.get("content"))]
    kinds = [_PARTS.get(str(part.get("type"))) for part in parts]
    images = sum(kind == "image" for kind in kinds)
    size = sum(
        len(t.encode("utf-8", "replace")) for m in messages for t in _texts(m.get("content"))
    )
    size += sum(len(json.dumps(body[k])) for k in ("tools", "response_format") if body.get(k))
    allowed = body.get("max_completion_tokens", body.get("max_tokens"))
    return Needs(
        abilities=frozenset(_abilities(body)),
        modalities_in=frozenset(kind for kind in kinds if kind),
        tokens_in=math.ceil(size / _BYTES_PER_TOKEN) + images * _TOKENS_PER_IMAGE,
        least_tokens_in=size // _MOST_BYTES_PER_TOKEN,
        tokens_out=allowed if isinstance(allowed, int) and allowed > 0 else None,
        answers=n if isinstance(n := body.get("n"), int) and n > 0 else 1,
    )


def estimate_tokens(text: str) -> int:
    """Estimate the tokens of a text, where a provider does not say."""
    return math.ceil(len(text.encode("utf-8", "replace")) / _BYTES_PER_TOKEN)


def _abilities(body: JsonObject) -> Iterator[Ability]:
    if body.get("tools") or body.get("functions"):
        yield Ability.TOOL_CALL
    wanted = body.get("response_format")
    if isinstance(wanted, Mapping):
        kind = cast("Mapping[str, Any]", wanted).get("type")
        if kind == "json_schema":
            yield Ability.STRUCTURED_OUTPUT


def objects(value: object) -> list[Mapping[str, Any]]:
    """Keep the objects of a decoded list; what is no list has none."""
    items = cast("list[object]", value) if isinstance(value, list) else []
    return [cast("Mapping[str, Any]", item) for item in items if isinstance(item, Mapping)]


def _texts(content: object) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    for part in objects(content):
        text = part.get("text")
        if isinstance(text, str):
            yield text


def _has_role(message: object) -> bool:
    found = objects([message])
    return bool(found) and isinstance(role := found[0].get("role"), str) and bool(role)


def _leaves(value: object) -> Iterator[object]:
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, Mapping):
            pending.extend(cast("Mapping[str, object]", item).values())
        elif isinstance(item, list):
            pending.extend(cast("list[object]", item))
        else:
            yield item
