"""A request of the OpenAI API as the parts behind it take it: body, limits, objective.

Ours travel beside OpenAI's: in ``extra_body`` as ``{"toolcrib": {…}}``, or in headers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import anyio.to_thread
from fastapi import Request

from toolcrib_registry import wire
from toolcrib_registry.errors import InvalidInput
from toolcrib_registry.types import JsonObject
from toolcrib_server.answers.wish import CacheWish, read_wish
from toolcrib_server.chat.request import ChatRequest
from toolcrib_server.invocation.models.objectives import read_objective
from toolcrib_server.jsonrpc.bulk import BULKY_BYTES, read_json
from toolcrib_server.rest.mapping.selection import constraints_from
from toolcrib_server.selection.constraint import Constraints
from toolcrib_server.selection.models import Objective

OWN = "toolcrib"
CONSTRAINTS_HEADER = "x-toolcrib-constraints"
OBJECTIVE_HEADER = "x-toolcrib-objective"
TIMEOUT_HEADER = "x-toolcrib-timeout"
CACHE_HEADER = "x-toolcrib-cache"
_MAX_MODEL_LENGTH = 600
_FIELDS = ("constraints", "objective", "timeout_s", "cascade", "cache")


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked: whom, under which limits, and the body for the provider."""

    model: str
    body: JsonObject
    constraints: Constraints
    objective: Objective | None
    timeout_s: float | None
    cascade: object = None
    """How to climb, as it was written; None or False: the choice is final."""
    cache: CacheWish = field(default_factory=CacheWish)
    """Whether an answer that was given before will do."""

    @property
    def streams(self) -> bool:
        """Whether the answer is wanted in chunks."""
        return self.body.get("stream") is True

    def chat(self, *, principal: str, face: str) -> ChatRequest:
        """Make it what every door asks for."""
        return ChatRequest(
            model=self.model,
            body=self.body,
            constraints=self.constraints,
            objective=self.objective,
            timeout_s=self.timeout_s,
            cascade=self.cascade,
            cache=self.cache,
            principal=principal,
            face=face,
        )


async def read_request(request: Request) -> Asked:
    """Read a request; what is ours is taken out of the body.

    Raises:
        InvalidInput: It is no JSON object, names no model, or something of ours makes no sense.
    """
    raw = await request.body()
    is_large = len(raw) > BULKY_BYTES
    body = await anyio.to_thread.run_sync(_decoded, raw) if is_large else _decoded(raw)
    own = _own(body.pop(OWN, None), request.headers)
    model = body.get("model")
    if model is not None and not isinstance(model, str):
        raise InvalidInput(f'model is {str(model)[:40]}; give its name as a text, or "auto".')
    if model is None or not model.strip():
        raise InvalidInput('model is missing: name one, or "auto".')
    if any("\ud800" <= character <= "\udfff" for character in model):
        raise InvalidInput("model holds half a character; no model is named so.")
    if len(model) > _MAX_MODEL_LENGTH:
        raise InvalidInput(f"model has {len(model)} characters; no model is named so.")
    if not isinstance(body.get("stream", False), bool | None):
        raise InvalidInput("stream must be true or false.")
    return Asked(
        model=model,
        body=body,
        constraints=_constraints(own.get("constraints")),
        objective=_objective(own.get("objective")),
        timeout_s=_timeout_s(own.get("timeout_s")),
        cascade=own.get("cascade"),
        cache=read_wish(own.get("cache")),
    )


def _decoded(raw: bytes) -> dict[str, Any]:
    try:
        text = raw.decode(json.detect_encoding(raw), "surrogatepass")
        body = read_json(text, _DECODER) if len(raw) > BULKY_BYTES else _DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"The body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise InvalidInput("The body must be a JSON object.")
    return cast("dict[str, Any]", body)


def _refuse_constant(word: str) -> None:
    raise ValueError(f"{word} is no JSON number; give a finite one")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def _own(given: object, headers: Mapping[str, str]) -> Mapping[str, Any]:
    """Join what came in the body and in headers; the body wins."""
    if given is None:
        given = {}
    if not isinstance(given, dict):
        raise InvalidInput(f'{OWN} must be an object, as {{"objective": "cost"}}.')
    own = cast("dict[str, Any]", given)
    unknown = [name for name in own if name not in _FIELDS]
    if unknown:
        raise InvalidInput(
            f"{OWN} has no field {unknown[0][:80]!r}; known fields: {', '.join(_FIELDS)}."
        )
    named: dict[str, Any] = {
        "objective": headers.get(OBJECTIVE_HEADER),
        "timeout_s": headers.get(TIMEOUT_HEADER),
    }
    named["cache"] = headers.get(CACHE_HEADER)
    limits = headers.get(CONSTRAINTS_HEADER)
    if limits is not None:
        try:
            named["constraints"] = json.loads(limits)
        except (ValueError, RecursionError) as error:
            raise InvalidInput(f"The header {CONSTRAINTS_HEADER} is not JSON: {error}") from error
    return {name: value for name, value in named.items() if value is not None} | own


def _constraints(given: object) -> Constraints:
    try:
        return constraints_from(wire.ConstraintsIn.parse({} if given is None else given))
    except InvalidInput as error:
        raise InvalidInput(f"constraints: {error.detail}") from error


def _objective(given: object) -> Objective | None:
    return None if given is None else read_objective(str(given))


def _timeout_s(given: object) -> float | None:
    try:
        return None if given is None else float(cast("str", given))
    except (TypeError, ValueError, OverflowError):
        raise InvalidInput(f"timeout_s is {str(given)[:40]!r}; give seconds.") from None
