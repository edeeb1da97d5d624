"""``/v1/chat/completions``, ``/v1/embeddings`` and ``/v1/models``, as OpenAI's clients expect."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import asdict, replace
from datetime import datetime
from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from toolcrib_registry import wire
from toolcrib_registry.errors import InvalidInput, NotCallable
from toolcrib_registry.store import Store
from toolcrib_registry.types import EntryKind, JsonObject, Model
from toolcrib_server.answers.cache import AnswerCache, Lookup
from toolcrib_server.answers.question import Asked as AskedOnce
from toolcrib_server.answers.wish import CacheMode
from toolcrib_server.cascade.climbing import Cascade
from toolcrib_server.cascade.plan import CascadePlan, read_plan
from toolcrib_server.guard import Principal
from toolcrib_server.invocation.desk import ModelDesk
from toolcrib_server.invocation.figures import OfferFigures, offer_key
from toolcrib_server.invocation.models import Answered, ModelFlow, ModelInvoker, ModelOrder
from toolcrib_server.invocation.orders import check_body, check_chat
from toolcrib_server.invocation.picking import AUTO, Pick, is_auto
from toolcrib_server.rest.deps import Deps, Parts, User
from toolcrib_server.selection.candidate import candidates_of

from .answering import StreamedAnswer, WholeAnswer, climbed_answer, kept_answer, whole_answer
from .asking import Asked, read_request
from .embedding import OWN_MODEL, embed_here

logger = logging.getLogger(__name__)

router = APIRouter(prefix="/v1", tags=["openai"], include_in_schema=False)
_FACE = "openai"
_OF_STREAMS = frozenset({"stream", "stream_options"})


@router.post("/chat/completions", summary="Answer a chat, as OpenAI's API has it")
async def complete_chat(parts: Parts, user: User, request: Request) -> Response:
    """``model`` is a model's name, ``auto`` or ``auto:OBJECTIVE``; limits go in ``toolcrib``."""
    desk, asked = _desk(parts), await read_request(request)
    check_chat(asked.body)
    picks = await desk.picker.pick(
        asked.model,
        asked.body,
        constraints=asked.constraints,
        objective=asked.objective,
        principal=user.name,
    )
    first = picks[0]
    logger.info("%s: %s. %s", asked.model, first.candidate.label, " ".join(first.reasons))
    order = _order(asked, picks, user)
    if asked.cascade not in (None, False):
        cascade = _cascade(parts)
        plan = await parts.in_thread(
            read_plan, asked.cascade, asked.body, commands=cascade.commands
        )
        whole = {name: value for name, value in asked.body.items() if name not in _OF_STREAMS}
        order = replace(order, body=whole)
        return WholeAnswer(partial(_climb, cascade, order, plan, asked))
    cache, looked = parts.answers, await _look(parts.answers, asked, picks, user)
    if cache is None or looked is None:
        if asked.streams:
            return StreamedAnswer(desk.invoker, order)
        return WholeAnswer(partial(_answer, desk.invoker.chat, order))
    if looked.kept is not None:
        return kept_answer(looked, body=asked.body, shows_question=not cache.is_shared)
    if asked.streams:
        keep = partial(_keep_flow, cache, looked)
        return StreamedAnswer(desk.invoker, order, looked=looked, on_whole=keep)
    return WholeAnswer(partial(_answer_and_keep, desk.invoker, order, cache, looked))


@router.post("/embeddings", summary="Embed texts, as OpenAI's API has it")
async def embed(parts: Parts, user: User, request: Request) -> Response:
    """``model`` is ``toolcrib`` for the bundled encoder, or the name of a registered model."""
    desk, asked = _desk(parts), await read_request(request)
    check_body(asked.body)
    if asked.model == OWN_MODEL:
        return JSONResponse(await embed_here(asked.body, desk.embedder))
    if is_auto(asked.model):
        raise InvalidInput(
            "Vectors of different models cannot be compared, so none is chosen for you: name a "
            f"model. {OWN_MODEL!r} is the bundled one."
        )
    if not asked.body.get("input"):
        raise InvalidInput("input is missing: give a text or a list of texts.")
    picks = await desk.picker.pick_named(asked.model, constraints=asked.constraints)
    return WholeAnswer(partial(_answer, desk.invoker.embed, _order(asked, picks, user)))


@router.get("/models", summary="List the models that can be called, as OpenAI's API has it")
async def list_models(parts: Parts, _: User) -> Response:
    """``auto`` and ``toolcrib`` first, then every model with an endpoint, by name."""
    desk = _desk(parts)
    listed = await parts.in_thread(_list_callable, parts.store, desk.figures)
    return JSONResponse({"object": "list", "data": [*_own_models(), *listed]})


@router.get("/models/{name:path}", summary="Read a model, as OpenAI's API has it")
async def get_model(parts: Parts, _: User, name: wire.Text) -> Response:
    """Who serves it, and what calls of each offer measured lately."""
    desk = _desk(parts)
    own = next((model for model in _own_models() if model["id"] == name), None)
    if own is None:
        found = await desk.picker.find(name)
        own = _shown(found[0].model, desk.figures)
    return JSONResponse(own)


def _desk(parts: Deps) -> ModelDesk:
    if parts.desk is None:
        raise NotCallable("This server calls no models.")
    return parts.desk


def _cascade(parts: Deps) -> Cascade:
    if parts.cascade is None:
        raise NotCallable("This server climbs no cascades.")
    return parts.cascade


async def _answer(ask: Callable[[ModelOrder], Awaitable[Answered]], order: ModelOrder) -> Response:
    return whole_answer(await ask(order))


async def _look(
    cache: AnswerCache | None, asked: Asked, picks: tuple[Pick, ...], user: Principal
) -> Lookup | None:
    """Look whether it was answered before; None where nobody thinks of a cache."""
    is_off = cache is None or cache.settings.mode is CacheMode.OFF
    if cache is None or (is_off and not asked.cache.is_asked):
        return None
    once = AskedOnce(
        tenant=cache.tenant_of(user.name),
        model=asked.model,
        body=asked.body,
        constraints=asked.constraints,
        objective=asked.objective,
        wish=asked.cache,
    )
    return await cache.look(once, picks, principal=user.name, face=_FACE)


async def _answer_and_keep(
    invoker: ModelInvoker, order: ModelOrder, cache: AnswerCache, looked: Lookup
) -> Response:
    answered = await invoker.chat(order)
    cost_usd = answered.measured.cost_usd
    cache.keep(looked, pick=answered.pick, answer=answered.answer, cost_usd=cost_usd)
    return whole_answer(answered, looked=looked)


def _keep_flow(cache: AnswerCache, looked: Lookup, flow: ModelFlow, answer: JsonObject) -> None:
    cost_usd = flow.measured.cost_usd if flow.measured else None
    cache.keep(looked, pick=flow.pick, answer=answer, cost_usd=cost_usd)


async def _climb(cascade: Cascade, order: ModelOrder, plan: CascadePlan, asked: Asked) -> Response:
    climbed = await cascade.climb(order, plan, constraints=asked.constraints)
    return climbed_answer(climbed, body=asked.body)


def _order(asked: Asked, picks: tuple[Pick, ...], user: Principal) -> ModelOrder:
    return ModelOrder(
        picks=picks,
        body=asked.body,
        face=_FACE,
        principal=user.name,
        timeout_s=asked.timeout_s,
    )


def _own_models() -> Iterator[dict[str, Any]]:
    for name in (AUTO, OWN_MODEL):
        yield {"id": name, "object": "model", "created": 0, "owned_by": "toolcrib"}


def _list_callable(store: Store, figures: OfferFigures) -> list[Mapping[str, Any]]:
    models = store.iter_entries(kind=EntryKind.MODEL, live=True)
    return [
        _shown(model, figures)
        for model in models
        if isinstance(model, Model) and any(offer.callable for offer in model.offers)
    ]


def _shown(model: Model, figures: OfferFigures) -> dict[str, Any]:
    candidates = [c for c in candidates_of(model) if c.callable]
    added_at = model.added_at
    return {
        "id": model.name,
        "object": "model",
        "created": int(added_at.timestamp()) if added_at else 0,
        "owned_by": candidates[0].provider if candidates else "",
        "toolcrib": {
            "offers": [
                {"provider": c.provider, "figures": _figures(figures, offer_key(c))}
                for c in candidates
            ]
        },
    }


def _figures(figures: OfferFigures, key: str) -> dict[str, Any] | None:
    found = figures.find(key)
    if found is None:
        return None
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in asdict(found).items()
    }
