"""Each call is written down once, also where the process ends in the midst of a write."""

from datetime import UTC, datetime
from pathlib import Path

import anyio
import pytest

from toolcrib_migrations import open_store
from toolcrib_registry.types import CallRecord, EntryId
from toolcrib_server.invocation.records.audit import AuditLog

pytestmark = pytest.mark.anyio


def record(name: str) -> CallRecord:
    return CallRecord(
        id=name,
        at=datetime(2026, 1, 1, tzinfo=UTC),
        subject=EntryId("tool:t"),
        server=None,
        face="rest",
        principal="p",
        outcome="ok",
        duration_ms=10,
        argument_shape={},
    )


async def test_who_writes_in_the_midst_of_a_write_writes_what_has_come_since(tmp_path: Path):
    store = open_store(f"sqlite:///{tmp_path / 'toolcrib.db'}")
    audit = AuditLog(store)
    audit.add(record("first"))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(audit.flush)
        await anyio.lowlevel.checkpoint()
        audit.add(record("second"))
        tasks.start_soon(audit.flush)
    assert {call.id for call in store.list_calls()} == {"first", "second"}
    store.close()
