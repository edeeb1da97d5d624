"""`call_model`: arguments to an order, and an answer to what a model is shown of it."""

from __future__ import annotations

from typing import Any

from toolcrib_registry.errors import InvalidInput
from toolcrib_registry.types import JsonObject
from toolcrib_server.invocation.arguments import ArgumentCheck
from toolcrib_server.invocation.models import Answered, ModelOrder
from toolcrib_server.invocation.orders import check_chat, objects
from toolcrib_server.invocation.picking import AUTO, ModelPicker, read_objective
from toolcrib_server.selection.constraint import Constraints

from .constraints import CONSTRAINTS_SCHEMA, read_constraints

_OURS = frozenset({"model", "messages", "stream", "stream_options", "toolcrib"})


async def order_of(
    picker: ModelPicker, arguments: JsonObject, *, principal: str, face: str = "mcp"
) -> ModelOrder:
    """Read the arguments, and find who may answer.

    Raises:
        InvalidInput: The messages, or a further parameter, make no sense.
        NotFound: There is no such model.
        NotCallable: It cannot be called, or none fits the limits.
    """
    body = _body(arguments)
    check_chat(body)
    picks = await picker.pick(
        arguments.get("model") or AUTO,
        body,
        constraints=_constraints(arguments.get("constraints") or {}),
        objective=read_objective(said) if (said := arguments.get("objective")) else None,
        principal=principal,
    )
    return ModelOrder(
        picks=picks,
        body=body,
        face=face,
        principal=principal,
        timeout_s=arguments.get("timeout_s"),
    )


def render_answer(answered: Answered) -> tuple[dict[str, Any], str]:
    """Render an answer, structured and as text."""
    choice, message = _first_choice(answered.answer)
    candidate, measured = answered.pick.candidate, answered.measured
    text = message.get("content")
    view: dict[str, Any] = {
        "model": candidate.model.name,
        "provider": candidate.provider,
        "text": text if isinstance(text, str) else "",
        "message": dict(message),
        "finishReason": str(choice.get("finish_reason") or ""),
        "reasons": list(answered.pick.reasons),
        "failed": [f"{f.candidate.label}: {f.error.detail}" for f in answered.failed],
        "usage": {
            "tokensIn": measured.tokens_in,
            "tokensOut": measured.tokens_out,
            "estimated": measured.estimated,
        },
    }
    if measured.cost_usd is not None:
        view["costUsd"] = measured.cost_usd
    calls = objects([call.get("function") for call in objects(message.get("tool_calls"))])
    wanted = ", ".join(str(call.get("name")) for call in calls) or "nothing"
    return view, view["text"] or f"{candidate.label} wants to call: {wanted}."


def _first_choice(answer: JsonObject) -> tuple[JsonObject, JsonObject]:
    nothing: JsonObject = {}
    choice = (objects(answer.get("choices")) or [nothing])[0]
    return choice, (objects([choice.get("message")]) or [nothing])[0]


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
