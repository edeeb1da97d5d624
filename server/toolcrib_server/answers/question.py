"""What a request asks, as a key: two have the same one only where every word that matters is equal.

Says of a request that is not for a cache why it is not. Keeps nothing, and looks nothing up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, cast

from toolcrib_registry.types import JsonObject, hash_content
from toolcrib_server.invocation.bodies.request import objects
from toolcrib_server.invocation.models.objectives import is_auto
from toolcrib_server.selection.constraint import Constraints
from toolcrib_server.selection.models import Objective

from .wish import CacheMode, CacheWish

LONGEST: Final = 200_000
"""Characters of all messages together; longer ones are seldom asked again."""
LONGEST_NEAR: Final = 1_000
"""Characters of a last message that is compared by meaning: an encoder does not read on forever."""
_OF_STREAMS: Final = frozenset({"stream", "stream_options"})
_ELSEWHERE: Final = frozenset({"messages", "model"})
"""What has a place of its own in the key; not every door leaves the model in the body."""
_NOT_KEPT: Final[Mapping[str, str]] = {
    "tools": "it offers tools",
    "functions": "it offers tools",
    "web_search_options": "it searches the web",
    "audio": "it wants audio",
    "background": "it is asked in the background",
}
"""Parameters with which an answer is no text, or another at another time."""
_FORM: Final = ("response_format", "stop", "grammar", "guided_json", "guided_regex")
"""Parameters that decide what form an answer has."""
_READERS: Final = ("regions", "providers", "without_providers", "licenses", "open_weights")
"""Limits that say who may read a question: it is shown to nobody under others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request of a model, and whose it is."""

    tenant: str
    model: str
    """As asked: a name or ``auto``."""
    body: JsonObject
    constraints: Constraints
    objective: Objective | None
    wish: CacheWish


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A request that may be answered from what is kept."""

    tenant: str
    key: str
    """Of everything that was asked."""
    scope: str
    """Of everything but the text of the last message of the user."""
    text: str | None
    """That text, where nearness to others counts; None: only the same request will do."""
    looks_up: bool = True
    """Whether an answer that is kept will do; else a new one takes its place."""
    family: str | None = None
    """Of who may read it and the form of the answer alone: what examples are looked for by. None:
    none are wanted, or the request is a conversation."""
    is_open: bool = False
    """Whether it is left open who answers."""


def question_of(asked: Asked, allowed: CacheMode) -> Question | str:
    """Make a question of a request, or say in a few words why none is made of it."""
    mode = asked.wish.within(allowed)
    if mode is CacheMode.OFF:
        return "declined" if allowed is not CacheMode.OFF else "off"
    listed = asked.body.get("messages")
    messages = objects(listed)
    if len(messages) != len(cast("list[object]", listed or [])):
        return "its messages are no messages"
    if reason := next(_reasons(asked, messages), None):
        return reason
    last = messages[-1]
    text = "\n".join(_texts(last.get("content")))
    scope = _spelled(asked, [*messages[:-1], {**last, "content": _shape(last.get("content"))}])
    key = hash_content([scope, last.get("content")])
    is_near = mode in {CacheMode.SEMANTIC, CacheMode.EXAMPLES} and _is_comparable(text)
    teaches = mode is CacheMode.EXAMPLES and is_near and not asked.wish.is_refresh
    return Question(
        tenant=asked.tenant,
        key=key,
        scope=scope,
        text=text if is_near else None,
        looks_up=not asked.wish.is_refresh,
        family=_family(asked, messages) if teaches else None,
        is_open=is_auto(asked.model),
    )


def _reasons(asked: Asked, messages: list[Mapping[str, Any]]) -> Iterator[str]:
    """Say why a request is not for a cache."""
    body = asked.body
    yield from (why for name, why in _NOT_KEPT.items() if body.get(name))
    n = body.get("n")
    if n is not None and n != 1:
        yield "it wants several answers"
    temperature = body.get("temperature")
    is_steady = not isinstance(temperature, bool | None) and temperature == 0
    if not is_steady and not asked.wish.is_asked:
        yield "its temperature is not 0; ask for the cache to have it all the same"
    if not messages or messages[-1].get("role") != "user":
        yield "its last message is not the user's"
    if any(m.get("tool_calls") or m.get("role") in {"tool", "function"} for m in messages):
        yield "it holds results of tools"
    if not all(_is_text(message.get("content")) for message in messages):
        yield "it holds more than text"
    if sum(len(text) for m in messages for text in _texts(m.get("content"))) > LONGEST:
        yield "it is too long"


def _spelled(asked: Asked, messages: list[Mapping[str, Any]]) -> str:
    """Hash everything that an answer depends on; each part has its own place in a list."""
    limits = {name: _plain(value) for name, value in asdict(asked.constraints).items()}
    objective = asked.objective.value if asked.objective else None
    rest = {
        name: value
        for name, value in asked.body.items()
        if name not in _OF_STREAMS and name not in _ELSEWHERE
    }
    return hash_content([asked.tenant, asked.model, limits, objective, rest, messages])


def _family(asked: Asked, messages: list[Mapping[str, Any]]) -> str | None:
    """Hash what an example must have in common with a request: readers, instructions, form.

    None where it is a conversation: what was said in it is no example for another one.
    """
    told = messages[:-1]
    if any(message.get("role") not in {"system", "developer"} for message in told):
        return None
    limits = {name: _plain(getattr(asked.constraints, name)) for name in _READERS}
    form = {name: asked.body.get(name) for name in _FORM}
    shape = _shape(messages[-1].get("content"))
    return hash_content(["family", asked.tenant, limits, form, told, shape])


def _plain(value: object) -> object:
    if isinstance(value, frozenset):
        return sorted(map(str, cast("frozenset[object]", value)))
    return value


def _is_text(content: object) -> bool:
    if isinstance(content, str):
        return True
    parts = objects(content)
    whole = isinstance(content, list) and len(parts) == len(cast("list[object]", content))
    return whole and all(part.get("type") == "text" for part in parts)


def _texts(content: object) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    yield from (text for p in objects(content) if isinstance(text := p.get("text"), str))


def _shape(content: object) -> object:
    """Keep what a message's content has besides its text."""
    if isinstance(content, str):
        return None
    return [{k: v for k, v in part.items() if k != "text"} for part in objects(content)]


def _is_comparable(text: str) -> bool:
    """Whether an encoder can read all of it."""
    half = any("\ud800" <= character <= "\udfff" for character in text)
    return bool(text.strip()) and len(text) <= LONGEST_NEAR and not half
