"""Host applications (Claude Desktop, Claude Code, Cursor, VS Code): put Toolcrib into their files.

Every change is a `Plan` first: shown, then applied with a backup, then undone if wanted. Nothing
here knows the registry, a server or MCP itself; it knows four file formats and how to edit them
without touching what else they hold.
"""

from .known import (
    ENTRY_NAME,
    Host,
    HostEntry,
    HostFile,
    Machine,
    Scope,
    find_executable,
    known_hosts,
    locate,
    snippet,
)
from .plan import Action, Plan, apply, plan_connect, plan_remove, plan_undo

__all__ = [
    "ENTRY_NAME",
    "Action",
    "Host",
    "HostEntry",
    "HostFile",
    "Machine",
    "Plan",
    "Scope",
    "apply",
    "find_executable",
    "known_hosts",
    "locate",
    "plan_connect",
    "plan_remove",
    "plan_undo",
    "snippet",
]
