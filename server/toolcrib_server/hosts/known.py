"""The hosts we know: where each keeps its servers, under which key, and how an entry looks there.

Knows names, paths and shapes, and reads no file; editing is `document`'s work.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeAlias

from toolcrib_registry.errors import InvalidInput, NotFound
from toolcrib_registry.types import HttpTransport, StdioTransport

ENTRY_NAME = "toolcrib"
"""The name our entry has in a host's file unless the user asks for another."""

HostEntry: TypeAlias = dict[str, Any]
"""One server's entry in a host's file, as JSON."""


class Host(StrEnum):
    """A host application."""

    CLAUDE_DESKTOP = "claude-desktop"
    CLAUDE_CODE = "claude-code"
    CURSOR = "cursor"
    VSCODE = "vscode"


class Scope(StrEnum):
    """Whom the entry serves: this user everywhere, or everyone in one project folder."""

    USER = "user"
    PROJECT = "project"


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Where we are: what paths depend on, as values, so that each platform can be tested on any."""

    platform: str
    """As `sys.platform` has it: ``linux``, ``darwin`` or ``win32``."""
    home: Path
    project: Path
    environ: Mapping[str, str] = field(default_factory=dict[str, str])

    @classmethod
    def current(cls) -> Machine:
        """Describe the machine this process runs on; the project is the working directory."""
        return cls(
            platform=sys.platform, home=Path.home(), project=Path.cwd(), environ=dict(os.environ)
        )

    def folder(self, variable: str, *default: str) -> Path:
        """Read a folder from an environment variable, else join ``default`` to the home folder."""
        value = self.environ.get(variable)
        return Path(value) if value else self.home.joinpath(*default)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFile:
    """What we know of a host's file. A dialect with comments is edited with them in place."""

    title: str
    container: str
    """The top-level key that maps names to entries."""
    allows_comments: bool
    takes_http: bool
    has_type: bool
    """Whether an entry of ours states its transport under ``type``."""
    project_path: tuple[str, ...] | None
    user_path: Callable[[Machine], Path]
    reload_hint: str


def _application_support(machine: Machine) -> Path:
    if machine.platform == "darwin":
        return machine.home / "Library" / "Application Support"
    if machine.platform == "win32":
        return machine.folder("APPDATA", "AppData", "Roaming")
    return machine.folder("XDG_CONFIG_HOME", ".config")


def _claude_desktop_path(machine: Machine) -> Path:
    # Installed as an MSIX package, which is the default on Windows since 2026, the application
    # sees a private copy of the roaming folder; the documented path is then never read.
    if machine.platform == "win32":
        packages = machine.folder("LOCALAPPDATA", "AppData", "Local") / "Packages"
        for folder in sorted(packages.glob("Claude_*/LocalCache/Roaming/Claude")):
            return folder / "claude_desktop_config.json"
    return _application_support(machine) / "Claude" / "claude_desktop_config.json"


def _claude_code_path(machine: Machine) -> Path:
    return machine.folder("CLAUDE_CONFIG_DIR") / ".claude.json"


def _cursor_path(machine: Machine) -> Path:
    return machine.home / ".cursor" / "mcp.json"


def _vscode_path(machine: Machine) -> Path:
    return _application_support(machine) / "Code" / "User" / "mcp.json"


def known_hosts() -> Mapping[Host, HostFile]:
    """Describe every host we can connect, in the order of `Host`."""
    return {
        Host.CLAUDE_DESKTOP: HostFile(
            title="Claude Desktop",
            container="mcpServers",
            allows_comments=False,
            takes_http=False,
            has_type=False,
            project_path=None,
            user_path=_claude_desktop_path,
            reload_hint="Quit Claude Desktop fully and start it again.",
        ),
        Host.CLAUDE_CODE: HostFile(
            title="Claude Code",
            container="mcpServers",
            allows_comments=False,
            takes_http=True,
            has_type=True,
            project_path=(".mcp.json",),
            user_path=_claude_code_path,
            reload_hint="Start a new Claude Code session; /mcp shows the connection.",
        ),
        Host.CURSOR: HostFile(
            title="Cursor",
            container="mcpServers",
            allows_comments=True,
            takes_http=True,
            has_type=False,
            project_path=(".cursor", "mcp.json"),
            user_path=_cursor_path,
            reload_hint="Restart Cursor and switch the server on in its MCP settings.",
        ),
        Host.VSCODE: HostFile(
            title="VS Code",
            container="servers",
            allows_comments=True,
            takes_http=True,
            has_type=True,
            project_path=(".vscode", "mcp.json"),
            user_path=_vscode_path,
            reload_hint='Run "MCP: List Servers" in VS Code and start the server.',
        ),
    }


def locate(host: Host, *, scope: Scope, machine: Machine) -> Path:
    """Name the file that holds the host's servers; it need not exist.

    Raises:
        InvalidInput: The host has no file of that scope.
    """
    known = known_hosts()[host]
    if scope is Scope.USER:
        return known.user_path(machine)
    if known.project_path is None:
        raise InvalidInput(f"{known.title} has no project files; use the user scope.")
    return machine.project.joinpath(*known.project_path)


def entry_for(host: Host, transport: StdioTransport | HttpTransport) -> HostEntry:
    """Render the entry that makes ``host`` reach Toolcrib by ``transport``.

    Raises:
        InvalidInput: The host's file takes no HTTP servers.
    """
    known = known_hosts()[host]
    if isinstance(transport, StdioTransport):
        entry: HostEntry = {"command": transport.command, "args": list(transport.args)}
        entry |= {"env": dict(transport.env)} if transport.env else {}
        entry |= {"cwd": transport.cwd} if transport.cwd else {}
        kind = "stdio"
    elif not known.takes_http:
        raise InvalidInput(
            f"{known.title} starts servers from its file by command only; connect it over stdio."
        )
    else:
        entry = {"url": transport.url}
        entry |= {"headers": dict(transport.headers)} if transport.headers else {}
        kind = "http"
    return ({"type": kind} if known.has_type else {}) | entry


def snippet(
    host: Host, transport: StdioTransport | HttpTransport, *, name: str = ENTRY_NAME
) -> dict[str, Any]:
    """Render the whole file that a host with no other server would have, for people who paste."""
    return {known_hosts()[host].container: {name: entry_for(host, transport)}}


def find_executable(machine: Machine) -> Path:
    """Find the absolute path of the installed ``toolcrib`` command.

    A host starts it with a PATH of its own, so only an absolute path is sure to work.

    Raises:
        NotFound: It is neither beside this Python nor on the PATH.
    """
    name = "toolcrib.exe" if machine.platform == "win32" else "toolcrib"
    beside = Path(sys.executable).parent / name
    if beside.is_file():
        return beside
    on_path = shutil.which(name, path=machine.environ.get("PATH", ""))
    if on_path is None:
        raise NotFound("installed command", name)
    return Path(on_path).absolute()
