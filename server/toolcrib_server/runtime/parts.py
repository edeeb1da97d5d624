"""What a running Toolcrib is made of."""

from __future__ import annotations

from dataclasses import dataclass

import anyio.to_thread

from toolcrib_registry.store import Store
from toolcrib_registry.types import Counts, Revision, ServerName
from toolcrib_server.answers.cache import AnswerCache
from toolcrib_server.cascade.climbing import Cascade
from toolcrib_server.chat.desk import ChatDesk
from toolcrib_server.downstream.http import HttpFace
from toolcrib_server.gateway.service import MetaService
from toolcrib_server.gateway.views import Views
from toolcrib_server.invocation.invoker import Invoker
from toolcrib_server.invocation.models.desk import ModelDesk
from toolcrib_server.invocation.records.audit import AuditLog
from toolcrib_server.invocation.records.meter import CallMeter
from toolcrib_server.learning.companions import CompanionDesk
from toolcrib_server.learning.desk import FeedbackDesk
from toolcrib_server.learning.learner import Learner
from toolcrib_server.learning.recorder import OutcomeLog
from toolcrib_server.learning.refusing import NeedDesk
from toolcrib_server.relay.inputs import Inputs
from toolcrib_server.relay.news import Newsroom
from toolcrib_server.relay.servers import ServerServices
from toolcrib_server.routing.desk import RoutingDesk
from toolcrib_server.routing.selector import RoutedSelector
from toolcrib_server.selection.selector import Selector
from toolcrib_server.settings import Settings
from toolcrib_server.sync.departures import Departures
from toolcrib_server.sync.health import IndexGuard
from toolcrib_server.sync.indexer import Indexer
from toolcrib_server.sync.reconcile import Reconciler
from toolcrib_server.sync.registrar import Registrar
from toolcrib_server.sync.trust_review import TrustReview
from toolcrib_server.sync.watch import Watcher
from toolcrib_server.upstream.config.secrets import SecretStore
from toolcrib_server.upstream.pool.pool import ConnectionPool
from toolcrib_server.upstream.processes.stderr_log import StderrLogs
from toolcrib_server.views.desk import ViewDesk
from toolcrib_server.writing.desk import WritingDesk

from .links import ModelLinks


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
    needs: NeedDesk
    gateway: MetaService
    views: Views
    view_desk: ViewDesk
    endpoints: HttpFace
    inputs: Inputs
    """Puts what upstreams want to know to clients, in the way of each one's era."""
    servers: ServerServices
    news: Newsroom
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
        await self.news.publish(counts.head)
        await self.views.renew()
        await self.selector.renew()
        await self.departures.note(servers)


def _summary(store: Store) -> tuple[Counts, tuple[ServerName, ...]]:
    return store.counts(), store.enabled_servers()
