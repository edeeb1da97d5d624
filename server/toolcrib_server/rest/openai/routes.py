"""``/v1/chat/completions``, ``/v1/embeddings`` and ``/v1/models``, as OpenAI's clients expect."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from pydantic.alias_generators import to_camel
from starlette.responses import JSONResponse, Response

from toolcrib_registry import wire
from toolcrib_registry.errors import InvalidInput, NotCallable
from toolcrib_registry.numbers import tidy
from toolcrib_registry.store import Store
from toolcrib_registry.types import EntryKind, Model
from toolcrib_server.chat.desk import ChatDesk
from toolcrib_server.chat.reply import Prepared
from toolcrib_server.guard import Principal
from toolcrib_server.invocation.bodies.request import check_body
from toolcrib_server.invocation.figures.measured import offer_key
from toolcrib_server.invocation.figures.rolling import OfferFigures
from toolcrib_server.invocation.models.desk import ModelDesk
from toolcrib_server.invocation.models.objectives import AUTO, is_auto
from toolcrib_server.invocation.models.order import ModelOrder, Pick
from toolcrib_server.jsonrpc.bulk import aside
from toolcrib_server.rest.deps import Deps, Parts, User
from toolcrib_server.selection.candidate import candidates_of

from .answering import StreamedAnswer, WholeAnswer, given, plain
from .asking import Asked, read_request
from .embedding import OWN_MODEL, embed_here

router = APIRouter(prefix="/v1", tags=["openai"], include_in_schema=False)
_FACE = "openai"


@router.post("/chat/completions", summary="Answer a chat, as OpenAI's API has it")
async def complete_chat(parts: Parts, user: User, request: Request) -> Response:
    """``model`` is a model's name, ``auto`` or ``auto:OBJECTIVE``; limits go in ``toolcrib``."""
    chat, asked = _chat(parts), await read_request(request)
    prepared = await chat.prepare(asked.chat(principal=user.name, face=_FACE))
    if asked.streams and prepared.streams:
        return StreamedAnswer(partial(chat.stream, prepared))
    if not prepared.asks:
        return await given(await chat.answer(prepared), body=asked.body)
    return WholeAnswer(partial(_answer, chat, prepared, asked))


@router.post("/embeddings", summary="Embed texts, as OpenAI's API has it")
async def embed(parts: Parts, user: User, request: Request) -> Response:
    """``model`` is ``toolcrib`` for the bundled encoder, or the name of a registered model."""
    desk, asked = _desk(parts), await read_request(request)
    await aside(check_body, asked.body)
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
    return WholeAnswer(partial(_embed, desk, _order(asked, picks, user)))


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


def _chat(parts: Deps) -> ChatDesk:
    if parts.chat is None:
        raise NotCallable("This server calls no models.")
    return parts.chat


async def _answer(chat: ChatDesk, prepared: Prepared, asked: Asked) -> Response:
    return await given(await chat.answer(prepared), body=asked.body)


async def _embed(desk: ModelDesk, order: ModelOrder) -> Response:
    return await plain(await desk.invoker.embed(order))


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
    return {to_camel(name): _shown_figure(value) for name, value in asdict(found).items()}


def _shown_figure(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    return tidy(value) if isinstance(value, float) else value
