"""Opens what calls of models need, for the runtime: connections, local servers, the desk."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from toolcrib_registry.store import Store

from .invocation.audit import AuditLog
from .invocation.breakers import Breakers
from .invocation.desk import ModelDesk
from .invocation.feed import FiguresFeed
from .invocation.models import ModelInvoker
from .invocation.picking import Chooser, ModelPicker
from .invocation.spending import DailyBudgets
from .selection.tokens import TokenCounter
from .selection.vectors import BundledEmbedder
from .settings import Settings
from .upstream.models.client import ModelClient
from .upstream.models.limits import ModelLimits
from .upstream.models.local import LocalServers
from .upstream.models.target import resolve_target
from .upstream.secrets import SecretStore

if TYPE_CHECKING:
    from toolcrib_embeddings.search import SearchIndex


@dataclass(frozen=True, slots=True)
class ModelLinks:
    """What leads out: connections to endpoints, and the servers of this machine."""

    client: ModelClient
    local: LocalServers


@asynccontextmanager
async def open_model_links(settings: Settings, secrets: SecretStore) -> AsyncGenerator[ModelLinks]:
    """Open both; leaving leaves no connection and no process."""
    limits = ModelLimits(timeout_s=settings.model_timeout_s)
    local = LocalServers(env=os.environ, secrets=secrets, max_running=settings.max_local_models)
    async with ModelClient(limits) as client, local:
        yield ModelLinks(client, local)


def build_desk(
    settings: Settings,
    links: ModelLinks,
    *,
    store: Store,
    secrets: SecretStore,
    audit: AuditLog,
    chooser: Chooser,
    feed: FiguresFeed,
    index: Callable[[], Awaitable[SearchIndex]],
) -> ModelDesk:
    """Wire the parts."""
    invoker = ModelInvoker(
        links.client,
        links.local,
        partial(resolve_target, env=os.environ, secrets=secrets),
        audit=audit,
        figures=feed.figures,
        budgets=DailyBudgets(store, settings.model_budgets),
        breakers=Breakers(),
    )
    return ModelDesk(
        picker=ModelPicker(store, chooser, measuring=feed),
        invoker=invoker,
        figures=feed.figures,
        feed=feed,
        embedder=BundledEmbedder(index, TokenCounter()),
    )
