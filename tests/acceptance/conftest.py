"""The whole house in one process: a real store, a real index, real servers over loopback."""

import json
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError

from toolcrib_embeddings.testing import HashEncoder
from toolcrib_server.asgi import build_app
from toolcrib_server.cli.app import app
from toolcrib_server.cli.running import told
from toolcrib_server.runtime import Runtime, open_runtime
from toolcrib_server.settings import Settings

from ..serving import served

ROOT = Path(__file__).parents[2]


def clock() -> MCPServer:
    """A small real upstream server, which speaks both eras."""
    server = MCPServer("clock", instructions="Tells the time.")

    @server.tool()
    def convert_time(time: str, zone: str) -> str:
        """Convert a time of day to another time zone."""
        return f"{time} in {zone}"

    @server.tool()
    def list_zones(region: str = "Europe") -> list[str]:
        """List the time zones of a region."""
        return [f"{region}/Berlin", f"{region}/Lisbon"]

    @server.tool()
    def break_clock() -> str:
        """Fail on purpose."""
        raise ToolError("the spring is broken")

    @server.prompt()
    def morning() -> str:
        """Greet somebody in the morning."""
        return "Good morning."

    @server.resource("clock://zones")
    def zones() -> str:
        """All known zones."""
        return "UTC"

    return server


@dataclass
class House:
    """A served Toolcrib, with its parts for a look inside."""

    url: str
    runtime: Runtime
    http: httpx.AsyncClient

    @property
    def mcp(self) -> str:
        return f"{self.url}/mcp"


OpenHouse = Callable[..., AbstractAsyncContextManager[House]]


@pytest.fixture
def open_house(tmp_path: Path) -> OpenHouse:
    """Open and serve a Toolcrib with its own data folder; keyword arguments are settings."""

    @asynccontextmanager
    async def opened(**settings: Any) -> AsyncGenerator[House]:
        folders = {"data_dir": tmp_path / "data", "cache_dir": tmp_path / "cache"}
        given: dict[str, Any] = {**folders, **settings}
        async with (
            open_runtime(Settings(**given), open_encoder=HashEncoder) as runtime,
            served(build_app(runtime)) as url,
            httpx.AsyncClient(base_url=url, timeout=30) as http,
        ):
            yield House(url, runtime, http)

    return opened


@pytest.fixture
async def clock_url() -> AsyncGenerator[str]:
    """Serve the clock over Streamable HTTP."""
    async with served(clock().streamable_http_app()) as url:
        yield f"{url}/mcp"


class Ran(NamedTuple):
    """What came of one command: its exit code, and what it printed."""

    code: Any
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Toolcrib = Callable[..., Ran]


@pytest.fixture
def own_folders(tmp_path: Path) -> dict[str, str]:
    """Name folders of its own for a command, with the bundled encoder exported already."""
    cache, shared = tmp_path / "cache", ROOT / ".cache/encoders"
    cache.mkdir()
    shared.mkdir(parents=True, exist_ok=True)
    (cache / "encoders").symlink_to(shared, target_is_directory=True)
    data, home = str(tmp_path / "data"), str(tmp_path / "home")
    return {"TOOLCRIB_DATA_DIR": data, "TOOLCRIB_CACHE_DIR": str(cache), "HOME": home}


@pytest.fixture
def toolcrib(
    own_folders: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Toolcrib:
    """Run the command line in this process, as `toolcrib("list", "--json").json`."""
    for name, folder in own_folders.items():
        monkeypatch.setenv(name, folder)

    def run(*args: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["toolcrib", *map(str, args)])
        code: Any = 0
        try:
            told(app)
        except SystemExit as end:
            code = end.code
        captured = capsys.readouterr()
        return Ran(code or 0, captured.out, captured.err)

    return run
