"""`call_model`: its arguments, as every door of a chat takes them."""

from __future__ import annotations

from typing import Any, Final

from toolcrib_registry.errors import InvalidInput
from toolcrib_registry.types import JsonObject
from toolcrib_server.answers.wish import read_wish
from toolcrib_server.chat.request import ChatRequest
from toolcrib_server.invocation.models.objectives import AUTO, read_objective
from toolcrib_server.invocation.schemas.arguments import ArgumentCheck
from toolcrib_server.selection.constraint import Constraints

from .constraints import CONSTRAINTS_SCHEMA, read_constraints

_OURS: Final = frozenset({"model", "messages", "stream", "stream_options", "toolcrib"})


def request_of(arguments: JsonObject, *, principal: str, face: str = "mcp") -> ChatRequest:
    """Read the arguments.

    Raises:
        InvalidInput: The messages, a limit, or a further parameter make no sense.
    """
    return ChatRequest(
        model=arguments.get("model") or AUTO,
        body=_body(arguments),
        constraints=_constraints(arguments.get("constraints") or {}),
        objective=read_objective(said) if (said := arguments.get("objective")) else None,
        timeout_s=arguments.get("timeout_s"),
        cascade=arguments.get("cascade"),
        cache=read_wish(arguments.get("cache")),
        principal=principal,
        face=face,
    )


def _body(arguments: JsonObject) -> dict[str, Any]:
    further: JsonObject = arguments.get("parameters") or {}
    taken = [name for name in further if name in _OURS]
    if taken:
        raise InvalidInput(
            f"parameters holds {taken[0]!r}, which is none of them here: leave it out."
        )
    given = arguments["messages"]
    messages: Any = [{"role": "user", "content": given}] if isinstance(given, str) else given
    return {**further, "messages": messages}


def _constraints(given: JsonObject) -> Constraints:
    """Read limits, held to the schema that `select_model` shows."""
    ArgumentCheck("call_model's constraints", CONSTRAINTS_SCHEMA).check(given)
    return read_constraints(given)
