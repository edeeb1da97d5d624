"""The composition root: opens every part, in order, once, and closes them in reverse.

Knows all rooms; decides nothing that a room could decide.
"""

from __future__ import annotations

import contextlib
import gc
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from toolcrib_migrations import open_store
from toolcrib_registry.errors import StoreError
from toolcrib_registry.store import Store
from toolcrib_registry.types import (
    CallRecord,
    ChangePolicy,
    Counts,
    EntryId,
    Revision,
    ServerName,
)

from .allocator import limit_arenas
from .answers.cache import AnswerCache
from .answers.lookup import CacheSettings
from .answers.wish import CacheMode
from .cascade.checks import Checker
from .cascade.climbing import Cascade
from .cascade.memory import CascadeMemory
from .chat.desk import ChatDesk
from .downstream.http import HttpFace
from .downstream.places import Directory, PlaceKind
from .gateway.app import build_service
from .gateway.handlers import MetaTools
from .gateway.relaying import ToolRelay
from .gateway.service import MetaService
from .gateway.sources import Links
from .gateway.views import Scope, Views, find_view, searching_tools
from .invocation.audit import AuditLog
from .invocation.desk import ModelDesk
from .invocation.feed import FiguresFeed
from .invocation.invoker import Invoker
from .invocation.meter import CallMeter
from .invocation.policy import Policies
from .invocation.quota import KeyQuota
from .learning.companions import CompanionDesk
from .learning.desk import FeedbackDesk
from .learning.learner import Learner
from .learning.mode import LearningMode, Sharing
from .learning.plausibility import RECALLED
from .learning.recorder import OutcomeLog
from .modelling import ModelLinks, build_desk, open_model_links
from .presence import be_present
from .prewarming import prewarm
from .relay.inputs import Inputs
from .relay.keys import load_state_keys
from .relay.sealing import Seal
from .relay.servers import ServerServices
from .routing.desk import RoutingDesk
from .routing.learner import RoutingLearner
from .routing.mode import RoutingMode
from .routing.selector import RoutedSelector
from .selection.models import ModelSelector
from .selection.question import Stages
from .selection.selector import Selector
from .selection.tokens import TokenCounter
from .settings import Settings
from .sync.departures import Departures
from .sync.health import IndexGuard
from .sync.indexer import Indexer
from .sync.reconcile import Reconciler
from .sync.registrar import Registrar
from .sync.schedule import Cadence
from .sync.trust_review import TrustReview
from .sync.watch import Watcher
from .upstream.hearing import Attention
from .upstream.oauth.logins import Logins
from .upstream.pool import ConnectionPool
from .upstream.room import ProcessLimits
from .upstream.secrets import SecretStore
from .upstream.stderr_log import StderrLogs
from .views.desk import ViewDesk
from .views.resolving import Resolver
from .writing.desk import WritingDesk, WritingSettings

if TYPE_CHECKING:
    from toolcrib_embeddings import Encoder

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """Every part, open. Commands and faces are handed the one or two they need."""

    settings: Settings
    store: Store
    secrets: SecretStore
    pool: ConnectionPool
    indexer: Indexer
    selector: Selector
    models: RoutedSelector
    routing: RoutingDesk
    review: TrustReview
    reconciler: Reconciler
    watcher: Watcher
    registrar: Registrar
    departures: Departures
    invoker: Invoker
    audit: AuditLog
    outcomes: OutcomeLog
    learner: Learner
    companions: CompanionDesk
    feedback: FeedbackDesk
    gateway: MetaService
    directory: Directory
    """Who finds the service behind an MCP endpoint of a server or a view."""
    views: Views
    view_desk: ViewDesk
    endpoints: HttpFace
    inputs: Inputs
    """Puts what upstreams want to know to clients, in the way of each one's era."""
    servers: ServerServices
    desk: ModelDesk
    cascade: Cascade
    answers: AnswerCache
    chat: ChatDesk
    """The one way from a chat to its answer, at every door."""
    links: ModelLinks
    guard: IndexGuard
    writing: WritingDesk
    """What a registered model writes for search; off unless one is set."""
    calls: CallMeter
    began: Revision
    """The head of the change log when all this was opened."""

    @property
    def stderr_logs(self) -> StderrLogs:
        """What servers said on their standard error, to whichever process started them."""
        return StderrLogs(self.settings.data_dir / "logs")

    async def describe(self) -> None:
        """Tell the faces what the registry holds now."""
        counts, servers = await anyio.to_thread.run_sync(_summary, self.store)
        self.invoker.forget()
        self.servers.forget()
        await self.gateway.describe(counts, servers)
        await self.views.renew()
        await self.selector.renew()
        await self.departures.note(servers)


@asynccontextmanager
async def open_runtime(
    settings: Settings, *, open_encoder: Callable[[], Encoder] | None = None
) -> AsyncGenerator[Runtime]:
    """Open everything for ``settings``. The encoder and the index open when first needed.

    Raises:
        StoreError: The database cannot be opened, or is newer than this release.
    """
    limit_arenas()
    async with contextlib.AsyncExitStack() as stack:
        await anyio.to_thread.run_sync(_make_folder, settings.data_dir)
        store = await anyio.to_thread.run_sync(open_store, settings.store_url)
        stack.callback(store.close)
        secrets = SecretStore(settings.data_dir / "secrets.json")
        changed: set[Callable[[ServerName], None]] = set()
        pool = await stack.enter_async_context(
            ConnectionPool(
                secrets=secrets,
                logins=Logins(secrets, client_metadata_url=settings.oauth_client_metadata_url),
                idle_timeout_s=settings.idle_timeout_s,
                max_message_bytes=settings.max_result_bytes,
                on_list_changed=partial(_tell, changed),
                attention=Attention(max_listening=settings.listen_limit),
                private_idle_timeout_s=settings.private_idle_timeout_s,
                max_private=settings.private_connections,
                max_private_per_server=settings.private_connections_per_server,
                processes=ProcessLimits(
                    processes=settings.max_processes,
                    memory_mib=settings.process_memory_mb,
                    memory_of_one_mib=settings.server_memory_mb,
                ),
                logs=StderrLogs(settings.data_dir / "logs"),
            )
        )
        began = await anyio.to_thread.run_sync(store.head)
        links = await stack.enter_async_context(open_model_links(settings, secrets))
        runtime = _assemble(settings, store, secrets, pool, open_encoder, links=links, began=began)
        changed.add(runtime.watcher.notice)
        await stack.enter_async_context(runtime.inputs)
        await stack.enter_async_context(runtime.endpoints)
        await stack.enter_async_context(runtime.writing)
        stack.push_async_callback(_last_writes, runtime)
        await runtime.describe()
        yield runtime


def _assemble(
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
        open_encoder=open_encoder or partial(_open_encoder, settings),
        folder=settings.data_dir / "index",
        weights=settings.document_weights,
        on_change=on_change,
    )
    review = TrustReview(store)
    reconciler = Reconciler(
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
    watcher = Watcher(reconciler)
    outcomes, learner = _open_learning(settings, store, indexer)
    companions = CompanionDesk(store, mode=learner.mode, sharing=outcomes.sharing)
    selector = Selector(
        store, indexer.index, lessons=learner.lessons, companions=companions.companions
    )
    feed = FiguresFeed(store)
    routing, models = _open_routing(settings, store, indexer, feed)
    recall = partial(_recall, selector)
    feedback = FeedbackDesk(store, outcomes, learner, recall, companions=companions)
    calls = CallMeter()
    audit = AuditLog(store, on_call=partial(_note_call, calls, outcomes))
    invoker = _open_invoker(settings, store, pool, audit, watcher)
    drop = partial(_drop, pool, invoker)
    desk = build_desk(
        settings,
        links,
        store=store,
        secrets=secrets,
        audit=audit,
        chooser=models,
        feed=feed,
        index=indexer.index,
    )
    cascade = _open_cascade(settings, desk, CascadeMemory(store, routing))
    answers = _open_answers(settings, desk, audit)
    chat = ChatDesk(desk.picker, desk.invoker, cascade=cascade, answers=answers)
    writing = _open_writing(settings, store, desk)
    selector.reader = writing.reader
    count_tokens = TokenCounter()
    inputs, links_given = Inputs(partial(_open_seal, settings)), Links()
    make_meta = partial(
        MetaTools,
        store=store,
        selector=selector,
        models=models,
        relay=ToolRelay(store, invoker, inputs, links_given),
        chat=chat,
        count_tokens=count_tokens,
        note_search=feedback.note_search,
    )
    servers = ServerServices(store, invoker, pool, inputs)
    resolver = Resolver(store, count_tokens)
    views = Views(
        store,
        resolver,
        make_meta=lambda lens, links: make_meta(
            relay=ToolRelay(store, invoker, inputs, links), lens=lens
        ),
        make_scope=lambda look: Scope.of(store, look, servers.get, invoker, invoker.allows),
        reach=pool,
        version=read_version(),
    )
    gateway = build_service(
        store,
        meta=make_meta(),
        links=links_given,
        find_server=servers.get,
        invoker=invoker,
        reach=pool,
        version=read_version(),
    )
    directory = Directory(gateway)
    directory.add(PlaceKind.VIEW, partial(find_view, views))
    directory.add(PlaceKind.SERVER, servers.get)
    runtime = Runtime(
        settings=settings,
        store=store,
        secrets=secrets,
        pool=pool,
        indexer=indexer,
        selector=selector,
        models=models,
        routing=routing,
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
        gateway=gateway,
        directory=directory,
        views=views,
        view_desk=ViewDesk(
            store,
            resolver,
            count_tokens=count_tokens,
            searching_tools=searching_tools,
            on_change=views.renew,
        ),
        endpoints=HttpFace(directory.find),
        inputs=inputs,
        servers=servers,
        desk=desk,
        cascade=cascade,
        answers=answers,
        chat=chat,
        links=links,
        guard=IndexGuard(store, indexer),
        writing=writing,
        calls=calls,
        began=began,
    )
    described.append(runtime)
    return runtime


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


def _open_seal(settings: Settings) -> Seal:
    configured = [key.get_secret_value() for key in settings.state_keys]
    return Seal(load_state_keys(settings.data_dir, configured))


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


async def _recall(selector: Selector, query: str) -> list[EntryId]:
    # What is folded away or brought along was ranked otherwise; plausibility is of the rank alone.
    stages = Stages(fold=False, dependencies=False)
    answer = await selector.search(query, k=RECALLED, stages=stages)
    return [found.entry.id for found in answer.found]


def read_version() -> str:
    """Read the installed version of Toolcrib."""
    return installed_version("toolcrib")


async def run_background(runtime: Runtime) -> None:
    """Warm the index, follow the log, sync and write audit records. Never returns."""
    await register_config(runtime)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_warm, runtime)
        tasks.start_soon(runtime.indexer.follow)
        tasks.start_soon(runtime.guard.run)
        tasks.start_soon(be_present, runtime.settings.data_dir)
        tasks.start_soon(runtime.audit.run)
        tasks.start_soon(runtime.outcomes.run)
        tasks.start_soon(runtime.learner.run)
        tasks.start_soon(runtime.companions.run)
        tasks.start_soon(runtime.routing.learner.run)
        tasks.start_soon(runtime.desk.feed.run)
        tasks.start_soon(runtime.watcher.run)
        tasks.start_soon(runtime.writing.questions.run)
        tasks.start_soon(prewarm, runtime.store, runtime.pool, runtime.settings.prewarm)


async def _warm(runtime: Runtime) -> None:
    try:
        await runtime.indexer.catch_up()
        await runtime.selector.warm()
    except Exception as error:  # noqa: BLE001  # top of a task; the first search says it again
        logger.error("The index could not be opened: %s", error)
    # What was built until now stays, and a full collection need not look at it: on the event loop
    # that took 0.2 s each time, for every call under way.
    gc.collect()
    gc.freeze()


async def register_config(runtime: Runtime) -> None:
    """Register the configured file's servers that are not registered yet, and update the others."""
    from .upstream.config import load_servers  # noqa: PLC0415  # only a configured file needs it

    path = runtime.settings.config
    if path is None:
        return
    on_change = ChangePolicy(runtime.settings.on_change)
    load = partial(load_servers, path, on_change=on_change)
    parsed = await anyio.to_thread.run_sync(load)
    for warning in parsed.warnings:
        logger.warning("%s", warning)
    for server in parsed.servers:
        known = await anyio.to_thread.run_sync(runtime.store.find_server, server.name)
        if known:
            await runtime.registrar.update_server(server, actor=server.origin)
        else:
            await runtime.registrar.add_server(server, actor=server.origin)


async def close_now(runtime: Runtime) -> None:
    """Write what is pending and end every child, where the ordinary way out is not open."""
    await _last_writes(runtime)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(runtime.links.local.aclose_all)
        for state in runtime.pool.states():
            tasks.start_soon(runtime.pool.aclose_server, state.server)


async def _last_writes(runtime: Runtime) -> None:
    with anyio.CancelScope(shield=True), anyio.move_on_after(10):
        await runtime.audit.flush()
        await runtime.outcomes.flush()
        try:
            await runtime.indexer.save()
        except (OSError, StoreError) as error:
            logger.warning("The index snapshot could not be saved: %s", error)


def _tell(listeners: set[Callable[[ServerName], None]], name: ServerName) -> None:
    for listener in listeners:
        listener(name)


def _summary(store: Store) -> tuple[Counts, tuple[ServerName, ...]]:
    return store.counts(), store.enabled_servers()


def _open_encoder(settings: Settings) -> Encoder:
    # Late, in the thread that needs it: slow to import.
    from toolcrib_embeddings import SentenceTransformerEncoder  # noqa: PLC0415

    cache = settings.cache_dir / "encoders"
    return SentenceTransformerEncoder.open(cache, model=settings.encoder)


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StoreError(f"The data folder {path} cannot be made: {error.strerror}.") from error
