"""A model desk: a scripted provider, offers of it by mood, and the one way out over both."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path

import pytest

from toolcrib_migrations import open_store
from toolcrib_registry.store import Store
from toolcrib_registry.types import Known, Launch, Model, Offer
from toolcrib_server.invocation.figures.rolling import RollingFigures
from toolcrib_server.invocation.models.invoker import ModelInvoker
from toolcrib_server.invocation.models.order import ModelOrder, Pick
from toolcrib_server.invocation.models.spending import DailyBudgets
from toolcrib_server.invocation.records.audit import AuditLog
from toolcrib_server.invocation.traffic.breakers import Breakers
from toolcrib_server.selection.candidate import Candidate
from toolcrib_server.upstream.models.client import ModelClient
from toolcrib_server.upstream.models.limits import ModelLimits
from toolcrib_server.upstream.models.local import LocalServers
from toolcrib_server.upstream.models.target import resolve_target
from toolcrib_server.upstream.models.testing import Provider, open_provider

MESSAGES = [{"role": "user", "content": "hello"}]


class NoSecrets:
    def find(self, key: str) -> str | None:
        return None


def known(value):
    return Known(value, "test", date(2026, 1, 1))


@dataclass
class Clock:
    """Time that passes only when told to."""

    seconds: float = 0.0

    def monotonic(self) -> float:
        return 1000.0 + self.seconds

    def utc(self) -> datetime:
        return datetime.fromtimestamp(1_790_000_000 + self.seconds, tz=UTC)


@dataclass
class Desk:
    """The parts, for a look inside."""

    provider: Provider
    invoker: ModelInvoker
    figures: RollingFigures
    budgets: DailyBudgets
    breakers: Breakers
    audit: AuditLog
    store: Store
    clock: Clock
    urls: dict[str, str] = field(default_factory=dict[str, str])

    def pick(
        self,
        mood: str,
        *,
        model: str | None = None,
        price: float | None = 1.0,
        provider: str = "acme",
        context: int | None = None,
        launch: Launch | None = None,
    ) -> Pick:
        """Make an offer that behaves as ``mood`` says."""
        fact = None if price is None else known(price)
        offer = Offer(
            provider=provider,
            remote_model=mood,
            endpoint=None if launch else self.provider.url,
            price_in_usd=fact,
            price_out_usd=fact,
            context_tokens=None if context is None else known(context),
            launch=launch,
        )
        entry = Model(name=model or mood, offers=(offer,))
        return Pick(Candidate(entry, offer), ("as told",))

    def order(self, *picks: Pick | str, principal: str = "key-1", **more) -> ModelOrder:
        """Make a request to those."""
        timeout_s = more.pop("timeout_s", 20)
        body = {"model": "auto", "messages": MESSAGES, **more}
        those = [self.pick(pick) if isinstance(pick, str) else pick for pick in picks]
        return ModelOrder(
            picks=those, body=body, face="test", principal=principal, timeout_s=timeout_s
        )

    @property
    def asked(self) -> list[str]:
        """Which models were asked, in order."""
        return [str(body["model"]) for body in self.provider.bodies]


@asynccontextmanager
async def open_desk(
    folder: Path,
    *,
    budgets: dict[str, float] | None = None,
) -> AsyncGenerator[Desk]:
    clock = Clock()
    store = open_store(f"sqlite:///{folder / 'toolcrib.db'}")
    async with AsyncExitStack() as stack:
        stack.callback(store.close)
        provider = await stack.enter_async_context(open_provider())
        limits = ModelLimits(timeout_s=20, idle_timeout_s=4)
        client = await stack.enter_async_context(ModelClient(limits))
        servers = LocalServers(env={}, secrets=NoSecrets())
        local = await stack.enter_async_context(servers)
        figures, audit = RollingFigures(), AuditLog(store)
        spending = DailyBudgets(store, budgets, now=clock.utc)
        breakers = Breakers(clock.monotonic)
        invoker = ModelInvoker(
            client,
            local,
            partial(resolve_target, env={}, secrets=NoSecrets()),
            audit=audit,
            figures=figures,
            budgets=spending,
            breakers=breakers,
        )
        yield Desk(provider, invoker, figures, spending, breakers, audit, store, clock)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncGenerator[Desk]:
    async with open_desk(tmp_path) as opened:
        yield opened


@pytest.fixture
def opened_desk(tmp_path: Path):
    return partial(open_desk, tmp_path)
