"""Wires what calls of models need: who is chosen, what is kept, what is written by one."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial

from toolcrib_registry.store import Store
from toolcrib_server.answers.cache import AnswerCache
from toolcrib_server.answers.lookup import CacheSettings
from toolcrib_server.answers.wish import CacheMode
from toolcrib_server.cascade.checks import Checker
from toolcrib_server.cascade.climbing import Cascade
from toolcrib_server.cascade.memory import CascadeMemory
from toolcrib_server.chat.desk import ChatDesk
from toolcrib_server.invocation.figures.feed import FiguresFeed
from toolcrib_server.invocation.models.desk import ModelDesk
from toolcrib_server.invocation.models.invoker import ModelInvoker
from toolcrib_server.invocation.models.picking import ModelPicker
from toolcrib_server.invocation.models.spending import DailyBudgets
from toolcrib_server.invocation.records.audit import AuditLog
from toolcrib_server.invocation.traffic.breakers import Breakers
from toolcrib_server.learning.mode import Sharing
from toolcrib_server.routing.desk import RoutingDesk
from toolcrib_server.routing.learner import RoutingLearner
from toolcrib_server.routing.mode import RoutingMode
from toolcrib_server.routing.selector import RoutedSelector
from toolcrib_server.selection.models import ModelSelector
from toolcrib_server.selection.tokens import TokenCounter
from toolcrib_server.selection.vectors import BundledEmbedder
from toolcrib_server.settings import Settings
from toolcrib_server.sync.indexer import Indexer
from toolcrib_server.upstream.config.secrets import SecretStore
from toolcrib_server.upstream.models.target import resolve_target
from toolcrib_server.writing.desk import WritingDesk, WritingSettings

from .links import ModelLinks


@dataclass(frozen=True, slots=True, kw_only=True)
class Models:
    """Who is chosen, asked, believed and remembered."""

    routing: RoutingDesk
    selector: RoutedSelector
    desk: ModelDesk
    cascade: Cascade
    answers: AnswerCache
    chat: ChatDesk
    writing: WritingDesk


def build_models(
    settings: Settings,
    store: Store,
    secrets: SecretStore,
    links: ModelLinks,
    *,
    indexer: Indexer,
    audit: AuditLog,
) -> Models:
    """Wire the parts."""
    feed = FiguresFeed(store)
    routing, selector = _open_routing(settings, store, indexer, feed)
    desk = ModelDesk(
        picker=ModelPicker(store, selector, measuring=feed),
        invoker=ModelInvoker(
            links.client,
            links.local,
            partial(resolve_target, env=os.environ, secrets=secrets),
            audit=audit,
            figures=feed.figures,
            budgets=DailyBudgets(store, settings.model_budgets),
            breakers=Breakers(),
        ),
        figures=feed.figures,
        feed=feed,
        embedder=BundledEmbedder(indexer.index, TokenCounter()),
    )
    cascade = _open_cascade(settings, desk, CascadeMemory(store, routing))
    answers = _open_answers(settings, desk, audit)
    return Models(
        routing=routing,
        selector=selector,
        desk=desk,
        cascade=cascade,
        answers=answers,
        chat=ChatDesk(desk.picker, desk.invoker, cascade=cascade, answers=answers),
        writing=_open_writing(settings, store, desk),
    )


def _open_routing(
    settings: Settings, store: Store, indexer: Indexer, feed: FiguresFeed
) -> tuple[RoutingDesk, RoutedSelector]:
    learner = RoutingLearner(
        store,
        indexer.index,
        mode=RoutingMode(settings.routing),
        sharing=Sharing(settings.routing_sharing),
        default=settings.default_model,
        folder=settings.data_dir / "routing",
    )
    selector = RoutedSelector(
        ModelSelector(store, indexer.index, measuring=feed),
        learner,
        indexer.index,
        explore_share=settings.routing_explore,
    )
    return RoutingDesk(store, learner, keep=settings.routing_keep), selector


def _open_cascade(settings: Settings, desk: ModelDesk, memory: CascadeMemory) -> Cascade:
    return Cascade(
        desk.picker,
        desk.invoker,
        Checker(settings.verifiers),
        find_threshold=memory.find_threshold,
        record=memory.record,
    )


def _open_answers(settings: Settings, desk: ModelDesk, audit: AuditLog) -> AnswerCache:
    decided = CacheSettings(
        mode=CacheMode(settings.answer_cache),
        ttl_s=settings.answer_cache_ttl_s,
        room_bytes=settings.answer_cache_mb * 1024 * 1024,
        least_similarity=settings.answer_cache_similarity,
        sharing=Sharing(settings.answer_cache_sharing),
    )
    return AnswerCache(desk.embedder, decided, audit=audit)


def _open_writing(settings: Settings, store: Store, desk: ModelDesk) -> WritingDesk:
    decided = WritingSettings(
        model=settings.writer_model or None,
        calls_per_hour=settings.writer_calls_per_hour,
        budget_s=settings.writer_budget_ms / 1e3,
    )
    return WritingDesk(store, desk, decided)
