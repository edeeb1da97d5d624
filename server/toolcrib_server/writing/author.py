"""Asks the model that writes, through the one way out for models: permitted, budgeted, audited.

Knows requests and answers as text; what they are about is others' business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from toolcrib_registry.errors import RequestRefused
from toolcrib_registry.types import JsonObject
from toolcrib_server.invocation.bodies.answer import text_of
from toolcrib_server.invocation.models.invoker import ModelInvoker
from toolcrib_server.invocation.models.objectives import is_auto
from toolcrib_server.invocation.models.order import Answered, ModelOrder
from toolcrib_server.invocation.models.picking import ModelPicker

from .prompts import EDITION, RESPONSE_FORMAT, ask_questions, plainly

PRINCIPAL: Final = "writer"
"""Whose calls these are, in budgets and in the audit log."""
FACE: Final = "writing"
_DROPPABLE: Final = (RESPONSE_FORMAT, "temperature", "max_tokens")


@dataclass(frozen=True, slots=True)
class Wrote:
    """An answer's text, and who wrote it."""

    text: str
    model: str
    cost_usd: float | None


class Author:
    """Asks one registered model, or whichever fits best where the name is ``auto``."""

    def __init__(self, model: str, picker: ModelPicker, invoker: ModelInvoker) -> None:
        self.model = model
        self._picker = picker
        self._invoker = invoker
        self._unwanted: frozenset[str] = frozenset()

    @property
    def writer(self) -> str | None:
        """Who counts as having written; None where that is anybody, for ``auto``."""
        return None if is_auto(self.model) else self.sign(self.model)

    @staticmethod
    def sign(model: str) -> str:
        """Name a writer: a model, and the edition of what it is asked."""
        return f"{model.partition('@')[0]}/{EDITION}"

    async def find(self) -> None:
        """Make sure that there is a model to be asked; calls nothing.

        Raises:
            NotFound: It is not registered.
            NotCallable: It is off, or nobody serves it; for ``auto``, none can do what is asked.
        """
        if is_auto(self.model):
            body = plainly(ask_questions("A tool."), self._unwanted)
            await self._picker.pick(self.model, body, principal=PRINCIPAL)
        else:
            await self._picker.find(self.model)

    async def ask(self, body: JsonObject, *, timeout_s: float) -> Wrote:
        """Ask, and once more without what the provider says that it does not take.

        Raises:
            ToolcribError: No model answered.
        """
        try:
            answered = await self._ask(body, timeout_s)
        except RequestRefused as error:
            refused = frozenset(name for name in _DROPPABLE if name in error.detail)
            if not refused - self._unwanted:
                raise
            self._unwanted |= refused
            answered = await self._ask(body, timeout_s)
        return Wrote(
            text_of(answered.answer),
            answered.pick.candidate.model.name,
            answered.measured.cost_usd,
        )

    async def _ask(self, body: JsonObject, timeout_s: float) -> Answered:
        wanted: dict[str, Any] = plainly(body, self._unwanted)
        picks = await self._picker.pick(self.model, wanted, principal=PRINCIPAL)
        order = ModelOrder(
            picks=picks, body=wanted, face=FACE, principal=PRINCIPAL, timeout_s=timeout_s
        )
        return await self._invoker.chat(order)
