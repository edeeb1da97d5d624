"""Puts the HTTP face together from opened parts."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi

from toolcrib_registry import wire
from toolcrib_server.guard import BodyGuard, KeyGuard

from . import openai
from .deps import Deps
from .problems import MEDIA_TYPE, LastResort, add_handlers
from .routes import (
    answers,
    changes,
    entries,
    feedback,
    health,
    models,
    routing,
    servers,
    standing,
    tools,
    views,
    work,
)

API_PREFIX = "/api/v1"
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: {"description": "The request is not valid"},
    401: {"description": "No known API key was shown"},
    403: {"description": "The key may not do this"},
    404: {"description": "Nothing has that name"},
    409: {"description": "The name is taken, or there is nothing to call"},
    413: {"description": "The body is too large"},
    502: {"description": "The upstream server failed"},
    503: {"description": "The database or an upstream server is not available: try again"},
    504: {"description": "The upstream did not answer in time"},
}


def build_api(deps: Deps) -> FastAPI:
    """Build the application. Everything in ``deps`` is open already, and stays its owner's."""
    app = FastAPI(
        title="Toolcrib",
        version=deps.version,
        summary="Finds the right tool or model, and calls it.",
        docs_url=None,  # they load scripts from other hosts
        redoc_url=None,
    )
    app.state.deps = deps
    api = APIRouter(prefix=API_PREFIX)
    for room in (servers, tools, entries, models, views, work, changes, feedback, routing, answers):
        api.include_router(room.router)
    api.include_router(standing.api)
    app.include_router(api)
    app.include_router(openai.router)
    app.include_router(health.router)
    app.include_router(standing.router)
    add_handlers(app)
    # The last one added is the outermost: nothing is read of a body before the key is known.
    app.add_middleware(BodyGuard, larger={openai.PREFIX: openai.MAX_BODY_BYTES})
    app.add_middleware(KeyGuard, keys=deps.keys, open_paths=health.OPEN_PATHS)
    app.add_middleware(LastResort)
    app.add_middleware(openai.OpenAIShape)
    app.openapi = lambda: _openapi(app)
    return app


def _openapi(app: FastAPI) -> dict[str, Any]:
    """Describe the API: FastAPI's own account, with problems in the place of its 422."""
    if app.openapi_schema is None:
        schema = get_openapi(
            title=app.title, version=app.version, summary=app.summary, routes=app.routes
        )
        components = schema["components"]["schemas"]
        for name in ("HTTPValidationError", "ValidationError"):
            components.pop(name, None)
        problem = wire.ProblemOut.model_json_schema(ref_template="#/components/schemas/{model}")
        components.update(problem.pop("$defs", {}))
        components["ProblemOut"] = problem
        for path, operations in schema["paths"].items():
            for operation in operations.values():
                operation["responses"].pop("422", None)
                if path.startswith(API_PREFIX):
                    operation["responses"].update(_problem_responses())
        app.openapi_schema = schema
    return app.openapi_schema


def _problem_responses() -> dict[str, Any]:
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemOut"}}}
    return {str(status): {**about, "content": content} for status, about in _PROBLEMS.items()}
