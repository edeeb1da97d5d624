"""Tells of a reply, in the same words at every door."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from toolcrib_server.answers.showing import cache_view, examples_view
from toolcrib_server.cascade.showing import climb_view
from toolcrib_server.invocation.bodies.answer import first_choice, text_of
from toolcrib_server.invocation.bodies.request import objects
from toolcrib_server.invocation.figures.measured import Measured
from toolcrib_server.invocation.models.order import Failed

from .reply import Reply


def own_view(reply: Reply) -> dict[str, Any]:
    """Say who answered, why, what it took, and what came of cache, examples and cascade."""
    return {
        "model": reply.model,
        "provider": reply.provider,
        **({"remoteModel": reply.remote_model} if reply.remote_model else {}),
        "reasons": list(reply.reasons),
        "failed": [{"offer": f.candidate.label, "reason": f.error.detail} for f in reply.failed],
        **_measured_view(reply.measured),
        "costUsd": reply.cost_usd,
        **way_view(reply),
    }


def way_view(reply: Reply) -> dict[str, Any]:
    """Say what came of cache, examples and cascade; nothing of what was not thought of."""
    view: dict[str, Any] = {}
    if reply.looked is not None:
        view["cache"] = cache_view(reply.looked, shows_question=reply.shows_question)
    if reply.examples:
        view["examples"] = examples_view(reply.examples, shows_question=reply.shows_question)
    if reply.climbed is not None:
        view["cascade"] = climb_view(reply.climbed)
    return view


def call_view(reply: Reply) -> dict[str, Any]:
    """Show a reply to a model, or to a program that asked by the command line."""
    choice, message = first_choice(reply.answer)
    view: dict[str, Any] = {
        "model": reply.model,
        "provider": reply.provider,
        "text": text_of(reply.answer),
        "message": dict(message),
        "finishReason": str(choice.get("finish_reason") or ""),
        "reasons": list(reply.reasons),
        "failed": _failures(reply.failed),
        "usage": _usage_view(reply.measured),
        **way_view(reply),
    }
    is_told = reply.cost_usd is not None or reply.climbed is not None
    return view | {"costUsd": reply.cost_usd} if is_told else view


def call_text(reply: Reply) -> str:
    """Say it in plain text: the answer, or what the model wants to call."""
    message = first_choice(reply.answer)[1]
    calls = objects([call.get("function") for call in objects(message.get("tool_calls"))])
    wanted = ", ".join(str(call.get("name")) for call in calls) or "nothing"
    at = reply.model if reply.provider is None else f"{reply.model} at {reply.provider}"
    return text_of(reply.answer) or f"{at} wants to call: {wanted}."


def _failures(failed: Sequence[Failed]) -> list[str]:
    return [f"{one.candidate.label}: {one.error.detail}" for one in failed]


def _usage_view(measured: Measured | None) -> dict[str, Any]:
    """Say how many tokens it took; of an answer that is given again, none."""
    if measured is None:
        return {"tokensIn": 0, "tokensOut": 0, "estimated": False}
    return {
        "tokensIn": measured.tokens_in,
        "tokensOut": measured.tokens_out,
        "estimated": measured.estimated,
    }


def _measured_view(measured: Measured | None) -> dict[str, Any]:
    if measured is None:
        return _usage_view(None)
    return {**_usage_view(measured), "durationMs": round(measured.duration_ms, 3)}
