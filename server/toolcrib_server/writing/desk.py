"""The parts that write, put together from what is set. Off is a desk that says so."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from toolcrib_registry.store import Store
from toolcrib_server.invocation.models.desk import ModelDesk

from .author import Author
from .pace import Pace
from .questions import QuestionWriter
from .readings import QueryReader


@dataclass(frozen=True, slots=True, kw_only=True)
class WritingSettings:
    """Which model writes, how often it is asked, and how long a search waits for it."""

    model: str | None = None
    """A registered model's name, or ``auto``; None: none does."""
    calls_per_hour: int = 600
    budget_s: float = 1.0
    """0: no query is read by it."""


class WritingDesk:
    """Writes questions, and reads queries where that is wanted. Enter it before use."""

    def __init__(self, store: Store, desk: ModelDesk, settings: WritingSettings) -> None:
        author = Author(settings.model, desk.picker, desk.invoker) if settings.model else None
        pace = Pace(store, "writer/questions", settings.calls_per_hour)
        self.questions = QuestionWriter(store, author, pace)
        self.reader: QueryReader | None = None
        """None where no query is sent to a model."""
        if author is not None and settings.budget_s > 0:
            pace = Pace(store, "writer/readings", settings.calls_per_hour)
            self.reader = QueryReader(store, author, pace, budget_s=settings.budget_s)
        self._opened = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._opened.__aenter__()
        if self.reader is not None:
            await self._opened.enter_async_context(self.reader)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._opened.aclose()
