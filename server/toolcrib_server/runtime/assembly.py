"""Wires the parts. Decides nothing that a room could decide."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from toolcrib_registry.store import Store
from toolcrib_registry.types import CallRecord, EntryId, Revision, ServerName
from toolcrib_server.downstream.http import HttpFace
from toolcrib_server.invocation.invoker import Invoker
from toolcrib_server.invocation.records.audit import AuditLog
from toolcrib_server.invocation.records.meter import CallMeter
from toolcrib_server.invocation.rules.policy import Policies
from toolcrib_server.invocation.rules.quota import KeyQuota
from toolcrib_server.learning.companions import CompanionDesk
from toolcrib_server.learning.desk import FeedbackDesk
from toolcrib_server.learning.learner import Learner
from toolcrib_server.learning.mode import LearningMode, Sharing
from toolcrib_server.learning.plausibility import RECALLED
from toolcrib_server.learning.recorder import OutcomeLog
from toolcrib_server.learning.refusing import NeedDesk
from toolcrib_server.selection.question import Stages
from toolcrib_server.selection.selector import Selector
from toolcrib_server.settings import Settings
from toolcrib_server.sync.departures import Departures
from toolcrib_server.sync.health import IndexGuard
from toolcrib_server.sync.indexer import Indexer
from toolcrib_server.sync.reconcile import Reconciler
from toolcrib_server.sync.registrar import Registrar
from toolcrib_server.sync.schedule import Cadence
from toolcrib_server.sync.trust_review import TrustReview
from toolcrib_server.sync.watch import Watcher
from toolcrib_server.upstream.config.secrets import SecretStore
from toolcrib_server.upstream.pool.pool import ConnectionPool
from toolcrib_server.upstream.processes.stderr_log import StderrLogs

from .encoder import open_encoder as open_bundled
from .faces import build_faces
from .links import ModelLinks
from .models import build_models
from .parts import Runtime

if TYPE_CHECKING:
    from toolcrib_embeddings import Encoder


def assemble(
    settings: Settings,
    store: Store,
    secrets: SecretStore,
    pool: ConnectionPool,
    open_encoder: Callable[[], Encoder] | None,
    *,
    links: ModelLinks,
    began: Revision,
) -> Runtime:
    """Wire the parts. The index tells the faces of each change; servers tell the watcher."""
    described: list[Runtime] = []

    async def on_change() -> None:
        for runtime in described:
            await runtime.describe()

    indexer = Indexer(
        store,
        open_encoder=open_encoder or partial(open_bundled, settings),
        folder=settings.data_dir / "index",
        weights=settings.document_weights,
        on_change=on_change,
    )
    review = TrustReview(store)
    reconciler = _open_reconciler(settings, store, pool, indexer, review)
    watcher = Watcher(reconciler)
    outcomes, learner = _open_learning(settings, store, indexer)
    companions = CompanionDesk(store, mode=learner.mode, sharing=outcomes.sharing)
    selector = Selector(
        store,
        indexer.index,
        lessons=learner.lessons,
        companions=companions.companions,
        taken_up=partial(_taken_up, learner, companions),
    )
    recall = partial(_recall, selector)
    feedback = FeedbackDesk(store, outcomes, learner, recall, companions=companions)
    calls = CallMeter()
    audit = AuditLog(store, on_call=partial(_note_call, calls, outcomes))
    invoker = _open_invoker(settings, store, pool, audit, watcher)
    drop = partial(_drop, pool, invoker)
    models = build_models(settings, store, secrets, links, indexer=indexer, audit=audit)
    selector.reader = models.writing.reader
    faces = build_faces(
        settings,
        store,
        pool,
        invoker,
        selector=selector,
        models=models.selector,
        chat=models.chat,
        feedback=feedback,
    )
    runtime = Runtime(
        settings=settings,
        store=store,
        secrets=secrets,
        pool=pool,
        indexer=indexer,
        selector=selector,
        models=models.selector,
        routing=models.routing,
        review=review,
        reconciler=reconciler,
        watcher=watcher,
        registrar=Registrar(
            store,
            secrets,
            indexer,
            drop=drop,
            notice=watcher.notice,
            review=review,
            forget=StderrLogs(settings.data_dir / "logs").remove,
        ),
        departures=Departures(drop),
        invoker=invoker,
        audit=audit,
        outcomes=outcomes,
        learner=learner,
        companions=companions,
        feedback=feedback,
        needs=NeedDesk(store, companions),
        gateway=faces.gateway,
        views=faces.views,
        view_desk=faces.view_desk,
        endpoints=HttpFace(faces.directory.find),
        inputs=faces.inputs,
        servers=faces.servers,
        news=faces.news,
        desk=models.desk,
        cascade=models.cascade,
        answers=models.answers,
        chat=models.chat,
        links=links,
        guard=IndexGuard(store, indexer),
        writing=models.writing,
        calls=calls,
        began=began,
    )
    described.append(runtime)
    return runtime


def _open_reconciler(
    settings: Settings,
    store: Store,
    pool: ConnectionPool,
    indexer: Indexer,
    review: TrustReview,
) -> Reconciler:
    return Reconciler(
        store,
        pool,
        indexer,
        review=review,
        concurrency=settings.sync_concurrency,
        cadence=Cadence(
            interval_s=settings.sync_interval_s,
            shortest_s=settings.sync_min_interval_s,
            longest_s=settings.sync_max_interval_s,
        ),
    )


def _open_invoker(
    settings: Settings, store: Store, pool: ConnectionPool, audit: AuditLog, watcher: Watcher
) -> Invoker:
    limited = settings.calls_per_minute or settings.concurrent_calls
    quota = KeyQuota(per_minute=settings.calls_per_minute, at_once=settings.concurrent_calls)
    return Invoker(
        store,
        pool,
        audit,
        notice=watcher.notice,
        quota=quota if limited else None,
        policies=Policies(settings.call_policy),
        call_timeout_s=settings.call_timeout_s,
    )


async def _drop(pool: ConnectionPool, invoker: Invoker, name: ServerName) -> None:
    invoker.forgive(name)
    await pool.aclose_server(name)


def _note_call(calls: CallMeter, outcomes: OutcomeLog, record: CallRecord) -> None:
    calls.count(record)
    outcomes.note_call(record)


def _open_learning(
    settings: Settings, store: Store, indexer: Indexer
) -> tuple[OutcomeLog, Learner]:
    mode, sharing = LearningMode(settings.learning), Sharing(settings.learning_sharing)
    outcomes = OutcomeLog(store, mode=mode, sharing=sharing, keep=settings.learning_keep)
    return outcomes, Learner(store, indexer.index, mode=mode, sharing=sharing)


async def _taken_up(learner: Learner, companions: CompanionDesk) -> str | None:
    return await learner.taking_up.wait() or await companions.taking_up.wait()


async def _recall(selector: Selector, query: str) -> list[EntryId]:
    # What is folded away or brought along was ranked otherwise; plausibility is of the rank alone.
    stages = Stages(fold=False, dependencies=False)
    answer = await selector.search(query, k=RECALLED, stages=stages)
    return [found.entry.id for found in answer.found]
