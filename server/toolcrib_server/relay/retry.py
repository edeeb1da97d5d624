"""What a client brings back with its answers, and for whom and what it was given out. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from mcp_types import INVALID_PARAMS

from toolcrib_registry.types import JsonObject, hash_content
from toolcrib_server.downstream.service import Request, RpcError

_OF_A_RETRY = frozenset({"_meta", "inputResponses", "requestState"})


@dataclass(frozen=True, slots=True)
class Retry:
    """What a request brings back, opened."""

    answers: JsonObject = field(default_factory=dict[str, Any])
    state: str | None = None
    """The upstream's own, if that is where the question came from."""
    held: str | None = None
    """The call that waits here, or has waited at another replica."""
    earlier: JsonObject = field(default_factory=dict[str, Any])

    @property
    def extra(self) -> JsonObject:
        """The parameters for a server that asked by its answer."""
        if self.held is not None:
            return {}
        told: dict[str, Any] = {} if self.state is None else {"requestState": self.state}
        return {**told, "inputResponses": self.answers} if self.answers else told


def find_state(request: Request) -> str | None:
    """Take the sealed state out of a request; None: it brings none.

    Raises:
        RpcError: It brings something that cannot be one.
    """
    sealed = request.params.get("requestState")
    if sealed is not None and not isinstance(sealed, str):
        raise RpcError(INVALID_PARAMS, "requestState must be the string that was given out.")
    return sealed


def read_retry(request: Request, subject: str, kept: JsonObject) -> Retry:
    """Read what a request brings back, with the state that was opened.

    Raises:
        RpcError: It is malformed, or the state was given out for something else.
    """
    answers = read_answers(request)
    if kept.get("for") != binding(request, subject):
        raise refuse_state("belongs to another client or another request")
    if "again" in kept:
        return Retry()
    if "held" not in kept:
        return Retry(answers, state=kept.get("up"))
    asked = {name: answers[name] for name in kept["asked"] if name in answers}
    return Retry(asked, held=kept["held"], earlier=kept["answers"])


def binding(request: Request, subject: str) -> list[str]:
    """Name the one for whom, and the request for which, something is sealed."""
    salient = {k: v for k, v in request.params.items() if k not in _OF_A_RETRY}
    return [request.client.principal, subject, request.method, hash_content(salient)]


def read_answers(request: Request) -> JsonObject:
    """Take the answers out of a request.

    Raises:
        RpcError: They are no answers.
    """
    sent = request.params.get("inputResponses")
    if sent is None:
        return {}
    if not isinstance(sent, Mapping):
        raise RpcError(INVALID_PARAMS, "inputResponses must be an object: one answer a question.")
    answers = cast("Mapping[str, Any]", sent)
    for name, answer in answers.items():
        if not isinstance(answer, Mapping):
            raise RpcError(INVALID_PARAMS, f"inputResponses[{name!r}] must be a result object.")
    return answers


def refuse_state(reason: str) -> RpcError:
    """Say why a state cannot be used."""
    return RpcError(INVALID_PARAMS, f"The requestState {reason}.")
