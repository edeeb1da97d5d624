"""What servers of the handshake era ask in the midst of a call, and what names a question.

Pure: knows nobody who asks or answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

from mcp_types import METHOD_NOT_FOUND

from toolcrib_registry.types import JsonObject, hash_content
from toolcrib_server.downstream.asking import Question, missing_capabilities
from toolcrib_server.downstream.service import Client
from toolcrib_server.upstream.messages.interaction import Refused

_STEMS = {
    "elicitation/create": "elicitation",
    "sampling/createMessage": "sampling",
    "roots/list": "roots",
}


def can_be_asked(capabilities: JsonObject) -> bool:
    """Whether a client declares anything that it could be asked."""
    return any(stem in capabilities for stem in _STEMS.values())


def what_is_missing(method: str, params: JsonObject, client: Client) -> dict[str, Any]:
    """Say what a client would have to declare to be asked this; empty when it does.

    Raises:
        Refused: No client of 2026-07-28 can be asked this.
    """
    if method not in _STEMS:
        raise Refused(METHOD_NOT_FOUND, f"{method[:100]} cannot be asked of this client.")
    return missing_capabilities({"": Question(method, params)}, client.capabilities)


def name_question(method: str, params: JsonObject, taken: Iterable[str]) -> str:
    """Name a question after what it asks: the same the next time that it is asked as often."""
    asked = {key: value for key, value in params.items() if key != "_meta"}
    plain = f"{_STEMS.get(method, 'question')}-{hash_content([method, asked])[:16]}"
    name, count, names = plain, 1, set(taken)
    while name in names:
        count += 1
        name = f"{plain}-{count}"
    return name


def strip_hop(params: JsonObject) -> dict[str, Any]:
    """Leave out what belongs to the server's own hop."""
    meta = params.get("_meta")
    if not isinstance(meta, Mapping) or "progressToken" not in meta:
        return dict(params)
    kept = {k: v for k, v in cast("JsonObject", meta).items() if k != "progressToken"}
    rest = {key: value for key, value in params.items() if key != "_meta"}
    return {**rest, "_meta": kept} if kept else rest
