"""Writes down what became of each errand: one audit record, one span. Shapes, never values."""

from __future__ import annotations

import time
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

from toolcrib_registry.errors import ToolcribError
from toolcrib_registry.types import CallRecord
from toolcrib_server.invocation.errands.errand import CALL, Account, Errand

from .audit import AuditLog
from .shapes import shape_of
from .telemetry import Telemetry

FACTS_KEY: Final = "io.toolcrib/call"
"""Beside the shapes of the arguments: how the call went."""
_LONGEST_METHOD = 100


class Journal:
    """Keeps the records."""

    def __init__(self, audit: AuditLog, telemetry: Telemetry) -> None:
        self._audit = audit
        self._telemetry = telemetry

    @contextmanager
    def keep(self, errand: Errand, account: Account) -> Generator[None]:
        """Write down what becomes of an errand, whatever that is."""
        started = time.perf_counter()
        with self._telemetry.serving(errand, account):
            try:
                yield
            except ToolcribError as error:
                account.outcome = error.code
                raise
            except Exception:
                account.outcome = ToolcribError.code
                raise
            finally:
                duration_ms = (time.perf_counter() - started) * 1000
                self._audit.add(_record(errand, account, duration_ms))


def _record(errand: Errand, account: Account, duration_ms: float) -> CallRecord:
    return CallRecord(
        id=uuid.uuid4().hex,
        at=datetime.now(UTC),
        subject=errand.subject,
        server=errand.target.server.name,
        face=errand.asker.face,
        principal=errand.asker.principal,
        outcome=account.outcome,
        duration_ms=duration_ms,
        argument_shape=shape_of(errand.given) | {FACTS_KEY: _facts(errand, account)},
    )


def _facts(errand: Errand, account: Account) -> dict[str, Any]:
    """Say how it went; what is as usual is left out."""
    facts: dict[str, Any] = {"attempts": account.attempts}
    if errand.method != CALL:
        facts["method"] = errand.method[:_LONGEST_METHOD]
    if account.bytes is not None:
        facts["bytes"] = account.bytes
    if account.queued_s:
        facts["queuedMs"] = round(account.queued_s * 1000, 1)
    if account.from_cache:
        facts["cached"] = True
    if account.marks:
        facts["marks"] = account.marks
    return facts
