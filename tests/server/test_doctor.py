"""Doctor names what is wrong, mends what it can, and says what it did."""

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from toolcrib_embeddings.testing import HashEncoder
from toolcrib_registry.errors import EncoderError
from toolcrib_registry.types import (
    EntryChanges,
    EntryId,
    HttpTransport,
    Model,
    Server,
    ServerHealth,
    ServerName,
    ServerStatus,
)
from toolcrib_server.doctor import Check, examine, repair
from toolcrib_server.runtime import Runtime, open_runtime
from toolcrib_server.settings import Settings
from toolcrib_server.sync.leases import name_this_process

pytestmark = pytest.mark.anyio


def settings(folder: Path) -> Settings:
    return Settings(data_dir=folder, cache_dir=folder / "cache")


def set_mode(path: Path, mode: int) -> None:
    path.chmod(mode)


def pid_of_the_dead() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait(timeout=30)
    return process.pid


@pytest.fixture
async def runtime(tmp_path: Path) -> AsyncIterator[Runtime]:
    set_mode(tmp_path, 0o700)
    async with open_runtime(settings(tmp_path), open_encoder=HashEncoder) as opened:
        models = [Model(name=f"m{n}", description=f"model number {n}") for n in range(3)]
        opened.store.put_models(models, actor="test")
        await opened.indexer.catch_up()
        await opened.indexer.save()
        yield opened


async def look(runtime: Runtime) -> dict[str, Check]:
    return {check.name: check for check in await examine(runtime)}


async def mended(runtime: Runtime) -> dict[str, str]:
    return {done.name: done.did for done in await repair(await examine(runtime))}


async def test_where_all_is_well_there_is_nothing_to_mend(runtime: Runtime):
    checks = await look(runtime)
    assert all(check.ok for check in checks.values()), checks
    assert checks["vectors"].detail == "3 of 3 texts have their vector stored"
    assert await mended(runtime) == {}


async def test_a_gap_of_the_index_is_closed_and_kept(runtime: Runtime):
    index = await runtime.indexer.index()
    index.update([], [EntryId("model:m1")], revision=index.revision)
    check = (await look(runtime))["index"]
    assert not check.ok
    assert "1 missing from the index (model:m1)" in check.detail
    assert await mended(runtime) == {"index": "1 entries were indexed again"}
    assert (await look(runtime))["index"].ok


async def test_a_damaged_snapshot_is_written_anew(tmp_path: Path, runtime: Runtime):
    manifest = tmp_path / "index" / "manifest.json"
    manifest.write_text(manifest.read_text().replace("3", "4", 1))
    async with open_runtime(settings(tmp_path), open_encoder=HashEncoder) as second:
        check = (await look(second))["snapshot"]
        assert not check.ok
        done = await mended(second)
        assert done["snapshot"] == "a snapshot of 3 entries at revision 3 was written"
        assert "snapshot" not in await look(second)


async def test_a_lost_part_of_the_snapshot_is_made_and_written_anew(
    tmp_path: Path, runtime: Runtime
):
    (part,) = (tmp_path / "index").glob("tokens.*")
    part.unlink()
    async with open_runtime(settings(tmp_path), open_encoder=HashEncoder) as second:
        assert not (await look(second))["snapshot"].ok
        await mended(second)
        assert "snapshot" not in await look(second)
    (again,) = (tmp_path / "index").glob("tokens.*")
    assert again.stat().st_size


async def test_lost_vectors_are_encoded_and_useless_ones_dropped(runtime: Runtime):
    index = await runtime.indexer.index()
    runtime.store.prune_embeddings(index.encoder.id, ())
    runtime.store.put_embeddings("another", {"x": b"1234"})
    assert not (await look(runtime))["vectors"].ok
    assert await mended(runtime) == {
        "vectors": "3 texts were encoded, 1 vectors of no use were dropped"
    }
    assert (await look(runtime))["vectors"].ok


async def test_files_that_others_may_read_are_closed(tmp_path: Path, runtime: Runtime):
    server = Server(
        name=ServerName("s"),
        transport=HttpTransport("http://127.0.0.1:9/mcp", {"Authorization": "Bearer secret-123"}),
        enabled=False,
    )
    await runtime.registrar.add_server(server, actor="test")
    secrets = tmp_path / "secrets.json"
    set_mode(secrets, 0o644)
    set_mode(tmp_path, 0o777)
    done = await mended(runtime)
    assert done["secrets file"] == f"{secrets} is 600 now"
    assert done["data folder"] == f"{tmp_path} is 755 now"
    checks = await look(runtime)
    assert checks["secrets file"].ok
    assert checks["data folder"].ok


async def test_leases_of_the_dead_are_given_back_and_others_kept(runtime: Runtime):
    ended = pid_of_the_dead()
    host = name_this_process().rsplit(":", 2)[0]
    for name, holder in {
        "dead": f"{host}:{ended}:aa",
        "mine": f"{host}:{os.getpid()}:bb",
        "far": f"elsewhere:{ended}:cc",
    }.items():
        server = Server(name=ServerName(name), transport=HttpTransport("http://127.0.0.1:9/mcp"))
        runtime.store.add_server(replace(server, enabled=False), actor="test")
        runtime.store.acquire_leases([server.name], holder=holder, ttl_s=600)
    check = (await look(runtime))["leases"]
    assert "1 are held by processes that have ended (dead)" in check.detail
    assert (await mended(runtime))["leases"] == "1 leases were given back"
    assert [lease.server for lease in runtime.store.list_leases()] == ["far", "mine"]


async def test_an_encoder_that_cannot_be_had_is_named_and_the_rest_still_examined(
    tmp_path: Path, runtime: Runtime
):
    def refuse() -> HashEncoder:
        raise EncoderError("no weights")

    async with open_runtime(settings(tmp_path), open_encoder=refuse) as second:
        checks = await look(second)
        assert checks["encoder"].detail == "no weights"
        assert not checks["encoder"].ok
        assert checks["index"].ok
        assert "by words alone" in checks["encoder"].advice


async def test_what_cannot_be_mended_is_said_and_stops_nothing_else():
    async def fail() -> str:
        raise OSError("read-only")

    async def work() -> str:
        return "done"

    done = await repair(
        [Check("a", "", ok=False, mend=fail), Check("b", ""), Check("c", "", mend=work)]
    )
    assert [(one.name, one.ok) for one in done] == [("a", False), ("c", True)]
    assert "read-only" in done[0].did


async def test_a_server_that_cannot_be_reached_says_how_old_its_entries_are(runtime: Runtime):
    server = Server(name=ServerName("s"), transport=HttpTransport("http://127.0.0.1:9/mcp"))
    runtime.store.add_server(server, actor="test")
    old = datetime(2026, 1, 1, tzinfo=UTC)
    health = ServerHealth(status=ServerStatus.UNREACHABLE, synced_at=old, error="refused.")
    runtime.store.apply(EntryChanges(server=server.name), actor="sync", health=health)
    check = (await look(runtime))["server s"]
    assert check.detail.startswith("refused. Its entries are kept, and as old as ")
    assert json.dumps(check.detail)
