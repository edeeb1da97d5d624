"""What a server said is there for whoever asks, in whichever process, on every face."""

import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from toolcrib_registry.types import (
    CallRecord,
    EntryId,
    HttpTransport,
    Server,
    ServerName,
    StdioTransport,
)
from toolcrib_server.prewarming import find_recent, prewarm
from toolcrib_server.rest.app import build_api
from toolcrib_server.rest.testing import open_deps
from toolcrib_server.upstream.pool.pool import ConnectionPool
from toolcrib_server.upstream.pool.slot import LinkStatus
from toolcrib_server.upstream.processes.stderr_log import StderrLogs

from .conftest import Toolcrib

ROOT = Path(__file__).parents[2]
RAW = ROOT / "tests/server/upstream/servers/raw.py"
SECRET = "s3cr3t-t0ken-0123456789"


def test_what_a_failing_server_said_is_shown_by_every_command(toolcrib: Toolcrib) -> None:
    toolcrib("add", "falls", "-e", f"TOKEN={SECRET}", "--", sys.executable, RAW, "exit-on-call")
    toolcrib("call", "falls__echo", "--json")
    logged = toolcrib("logs", "falls").out
    assert "about to fall over with" in logged
    assert "--- ended with exit code 7" in logged
    assert SECRET not in logged
    shown = toolcrib("show", "falls", "--json").json
    assert any("about to fall over" in line for line in shown["stderr"])
    last = toolcrib("logs", "falls", "-n", 1, "--json").json
    assert len(last["lines"]) == 1
    toolcrib("remove", "falls")
    toolcrib("add", "falls", "--no-sync", "--", sys.executable, RAW, "ok")
    assert toolcrib("logs", "falls").out == ""


def test_doctor_quotes_a_server_that_cannot_be_reached(toolcrib: Toolcrib) -> None:
    script = "import sys; sys.exit('no module named frobnicate')"
    toolcrib("add", "broken", "--", sys.executable, "-c", script)
    examined = toolcrib("doctor").out
    assert "toolcrib logs broken" in examined
    assert "no module named frobnicate" in examined


def test_a_server_that_is_not_run_here_has_no_log(toolcrib: Toolcrib) -> None:
    toolcrib("add", "far", "--url", "http://127.0.0.1:9/mcp", "--no-sync")
    code, said, note = toolcrib("logs", "far")
    assert (code, said) == (0, "")
    assert "A remote server keeps its own log." in note
    assert toolcrib("logs", "nobody").code == 3


@pytest.mark.anyio
async def test_the_rest_api_reads_it_too(tmp_path: Path) -> None:
    name, logs = ServerName("time"), StderrLogs(tmp_path / "logs")
    logs.write(name, ["one", "two"])
    with open_deps(tmp_path) as deps:
        deps.store.add_server(Server(name=name, transport=StdioTransport("time")), actor="test")
        api = build_api(replace(deps, read_stderr=logs.read))
        transport = httpx.ASGITransport(api, client=("127.0.0.1", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
            read = await http.get("/api/v1/servers/time/stderr", params={"lines": 1})
            unknown = await http.get("/api/v1/servers/nobody/stderr")
    assert [line.split(" ")[1] for line in read.json()["lines"]] == ["two"]
    assert unknown.status_code == 404


@pytest.mark.anyio
async def test_the_servers_called_last_are_connected_to_ahead_of_their_calls(
    tmp_path: Path,
) -> None:
    names = [ServerName(name) for name in ("oldest", "older", "off", "latest", "gone")]
    transport = StdioTransport(sys.executable, (str(RAW), "ok"))
    with open_deps(tmp_path) as deps:
        for name in names[:-1]:
            server = Server(name=name, transport=transport, enabled=name != "off")
            deps.store.add_server(server, actor="test")
        broken = Server(name=ServerName("down"), transport=HttpTransport("http://127.0.0.1:9/mcp"))
        deps.store.add_server(broken, actor="test")
        deps.store.record_calls([_call(name, at) for at, name in enumerate([*names, broken.name])])
        assert [s.name for s in find_recent(deps.store, 3)] == ["down", "latest", "older"]
        async with ConnectionPool() as pool:
            await prewarm(deps.store, pool, 3)
            opened = {s.server for s in pool.states() if s.status is LinkStatus.OPEN}
            await prewarm(deps.store, pool, 0)
    assert opened == {"latest", "older"}


def _call(server: ServerName, number: int) -> CallRecord:
    return CallRecord(
        id=f"call-{number}",
        at=datetime(2026, 1, number + 1, tzinfo=UTC),
        subject=EntryId(f"tool:{server}__echo"),
        server=server,
        face="cli",
        principal="",
        outcome="ok",
        duration_ms=1.0,
        argument_shape={},
    )
