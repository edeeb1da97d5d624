"""What a server wants from a person, put to clients of the handshake era as requests.

Since 2026-07-28 a result says ``input_required`` and the client tries again with the answers;
before, the server asked while it was working. Here the one is made into the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import anyio
from mcp_types.jsonrpc import INTERNAL_ERROR, MISSING_REQUIRED_CLIENT_CAPABILITY

from toolcrib_registry.types import JsonObject

from .service import Ask, Client, Request, RpcError, Service

MAY_ASK = frozenset({"tools/call", "prompts/get", "resources/read"})
"""The requests that may be answered with ``input_required``."""
MAX_ROUNDS = 10
"""The same as the clients of 2026-07-28 allow."""
MAX_QUESTIONS = 32
"""At once, in one round."""
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 1.0


@dataclass(frozen=True, slots=True)
class Question:
    """One thing that a server wants to know."""

    method: str
    params: JsonObject


def questions_in(result: JsonObject) -> dict[str, Question]:
    """Read what an ``input_required`` result asks.

    Raises:
        RpcError: It asks in a shape that nobody could answer.
    """
    raw: object = result.get("inputRequests", {})
    known = cast("dict[str, Any]", raw) if isinstance(raw, dict) else None
    if known is None or len(known) > MAX_QUESTIONS:
        raise _unfit(f"its inputRequests are no object of at most {MAX_QUESTIONS} requests")
    return {key: _question(each) for key, each in known.items()}


def _question(raw: object) -> Question:
    known = cast("dict[str, Any]", raw) if isinstance(raw, dict) else {}
    method, params = known.get("method"), known.get("params")
    if not isinstance(method, str) or not isinstance(params, (dict, type(None))):
        raise _unfit("one of its inputRequests is no request")
    return Question(method, cast("dict[str, Any]", params or {}))


def _unfit(why: str) -> RpcError:
    return RpcError(INTERNAL_ERROR, f"The server asks for input, but {why}.")


def check_askable(method: str, result: JsonObject, client: Client) -> None:
    """Hold an ``input_required`` result back from a client that could not answer it.

    Raises:
        RpcError: The client has not declared that it can, or the request may not be answered so.
    """
    if result.get("resultType") != "input_required":
        return
    if method not in MAY_ASK:
        raise _unfit(f"{method} may not be answered so")
    missing = missing_capabilities(questions_in(result), client.capabilities)
    if missing:
        raise lacking(missing)


def lacking(missing: JsonObject) -> RpcError:
    """Say which capabilities a client would have to declare."""
    return RpcError(
        MISSING_REQUIRED_CLIENT_CAPABILITY,
        f"This needs a client that can do {', '.join(sorted(missing))}.",
        {"requiredCapabilities": missing},
    )


def missing_capabilities(
    questions: Mapping[str, Question], capabilities: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the client capabilities that the questions need and that are not declared."""
    missing: dict[str, Any] = {}
    for question in questions.values():
        name, part = _needed(question)
        declared = capabilities.get(name)
        if isinstance(declared, dict) and _has_part(name, part, cast("JsonObject", declared)):
            continue
        lacks = missing.setdefault(name, {})
        if part is not None:
            lacks[part] = {}
    return missing


def _needed(question: Question) -> tuple[str, str | None]:
    match question.method:
        case "elicitation/create":
            return "elicitation", "url" if question.params.get("mode") == "url" else "form"
        case "sampling/createMessage":
            return "sampling", "tools" if _uses_tools(question.params) else None
        case "roots/list":
            return "roots", None
        case other:
            raise _unfit(f"{other!r} is nothing that a client can be asked")


def _uses_tools(params: JsonObject) -> bool:
    return "tools" in params or "toolChoice" in params


def _has_part(name: str, part: str | None, declared: Mapping[str, Any]) -> bool:
    if name == "elicitation" and part == "form":
        # An empty object meant forms before there was anything else, and still does.
        return "form" in declared or "url" not in declared
    return part is None or part in declared


async def settle(service: Service, request: Request) -> JsonObject:
    """Have a request answered, putting to its client (`Request.ask`) what the server asks.

    Raises:
        RpcError: The answer is an error, the client cannot be asked, refused, or was asked too
            often.
    """
    result = await service.handle(request)
    if result.get("resultType") != "input_required":
        return result
    pause_s = _FIRST_PAUSE_S
    for _ in range(MAX_ROUNDS):
        check_askable(request.method, result, request.client)
        questions = questions_in(result)
        if questions:
            answers = await put(questions, _asker(request))
            pause_s = _FIRST_PAUSE_S
        else:
            answers = None
            await anyio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        result = await service.handle(replace(request, params=_again(request, result, answers)))
        if result.get("resultType") != "input_required":
            return result
    raise RpcError(INTERNAL_ERROR, f"The server asked for input more than {MAX_ROUNDS} times.")


def _asker(request: Request) -> Ask:
    if request.ask is None:
        raise RpcError(INTERNAL_ERROR, "The client cannot be asked anything here.")
    return request.ask


def _again(request: Request, result: JsonObject, answers: JsonObject | None) -> JsonObject:
    left = {k: v for k, v in request.params.items() if k not in {"inputResponses", "requestState"}}
    if answers is not None:
        left["inputResponses"] = answers
    if "requestState" in result:
        left["requestState"] = result["requestState"]
    return left


async def put(questions: Mapping[str, Question], ask: Ask) -> dict[str, Any]:
    """Ask several questions at once; return the answers by the questions' keys.

    Raises:
        RpcError: One was refused; the others are not waited for.
    """
    answers: dict[str, Any] = {}
    refused: list[RpcError] = []

    async def one(key: str, question: Question) -> None:
        try:
            answers[key] = await ask(question.method, question.params)
        except RpcError as error:
            refused.append(error)
            tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        for key, question in questions.items():
            tasks.start_soon(one, key, question)
    if refused:
        raise refused[0]
    return {key: answers[key] for key in questions}
