"""Toolcrib end to end, in about a minute: real servers, a search for each of three tasks, a call.

Everything goes through the `toolcrib` command, as a person would use it, with a data folder of its
own under `.cache/demo`. What it claims it checks, and a claim that fails fails the demo.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
from upstreams import (
    DemoError,
    install_node_server,
    install_python_server,
    make_repository,
    python_servers,
)

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".cache" / "demo"
TOOLCRIB = Path(sys.executable).with_name("toolcrib")
COMMAND_TIMEOUT_S = 300

TASKS = (
    ("what time is it in Tokyo when it is noon in Berlin", "time__convert_time"),
    ("what did I change in my working copy and not commit yet", "git__git_diff_unstaged"),
    ("read a web page", "fetch__fetch"),
)
"""A task, and the tool that is right for it."""


def main() -> None:
    """Run the demo; exit 1 with a sentence when something is not as it should be."""
    # Process start times are told in whole ticks, so that one may seem a little too early.
    started_at = time.time() - 1
    try:
        demonstrate()
        left = find_what_is_left(started_at)
        expect(not left, f"{len(left)} processes were left behind: {', '.join(left)}")
    except DemoError as error:
        say(f"\nThe demo failed: {error}")
        sys.exit(1)
    say(f"\nNo process was left behind. Done in {time.time() - started_at:.0f} s.")


def demonstrate() -> None:
    """Show it, step by step."""
    title("Real MCP servers, each in an environment of its own")
    servers = install_servers()
    shutil.rmtree(FOLDER / "data", ignore_errors=True)

    title("Register them")
    for name, command in servers.items():
        toolcrib("add", "--no-sync", name, "--", *command)

    title("Read what they offer, all at once")
    toolcrib("sync")

    title("Ask for what you need, not for a tool's name")
    for task, right in TASKS:
        toolcrib("search", task, "-k", "3")
        check_first(task, right)

    title("Call one for real")
    arguments = ("source_timezone=Europe/Berlin", "time=12:00", "target_timezone=Asia/Tokyo")
    answer = toolcrib("call", "time__convert_time", *arguments)
    # Noon in Berlin is 19:00 in Tokyo while Berlin has summer time, else 20:00.
    expect(re.search(r"T(19|20):00", answer), "the call did not tell the time in Tokyo")

    title("A second sync has nothing to do")
    again = toolcrib("sync")
    expect("Nothing changed." in again, "the second sync changed something")

    title("Connect your assistant")
    say("Each command shows the change to the assistant's settings and asks before it makes it:\n")
    for host in ("claude-desktop", "claude-code", "cursor", "vscode"):
        say(f"  {shown(TOOLCRIB)} connect {host}")
    say("\nThis demo kept its registry apart. Add servers to your own with `toolcrib add`.")


def install_servers() -> dict[str, list[str]]:
    """Install what is missing; map each server's name to the command that starts it."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    servers = {
        server.name: install_python_server(server, FOLDER, say)
        for server in python_servers(make_repository(FOLDER))
    }
    everything = install_node_server(FOLDER, say)
    return servers if everything is None else {**servers, "everything": everything}


def check_first(task: str, right: str) -> None:
    """Fail unless the right tool is the first answer to the task."""
    results: list[dict[str, Any]] = toolcrib_json("search", task, "-k", "3")["results"]
    first = (results[0]["kind"], results[0]["name"]) if results else ("nothing", "")
    expect(first == ("tool", right), f"{' '.join(first)} came first for {task!r}, not {right}")


def toolcrib(*arguments: str) -> str:
    """Run the command as a person would, show what it prints, and return it."""
    say(f"$ toolcrib {shlex.join(shown(argument) for argument in arguments)}")
    printed = execute(arguments)
    say(printed.rstrip() + "\n")
    return printed


def toolcrib_json(*arguments: str) -> dict[str, Any]:
    """Run the command as a script would."""
    return json.loads(execute([*arguments, "--json"]))


def execute(arguments: Sequence[str]) -> str:
    """Run the command and return what it printed.

    Raises:
        DemoError: It failed.
    """
    try:
        done = subprocess.run(
            [str(TOOLCRIB), *arguments],
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DemoError(str(error)) from error
    if done.returncode:
        raise DemoError(
            f"`toolcrib {shlex.join(arguments)}` ended with {done.returncode}:\n"
            f"{done.stdout}{done.stderr}"
        )
    return done.stdout


def environment() -> dict[str, str]:
    """Leave out the settings of the user's own Toolcrib, but for where its encoder is kept."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("TOOLCRIB_") or name == "TOOLCRIB_CACHE_DIR"
    }
    return {**kept, "TOOLCRIB_DATA_DIR": str(FOLDER / "data")}


def find_what_is_left(started_at: float) -> list[str]:
    """Name every process of the demo's servers that was started since and still runs."""
    left: list[str] = []
    for process in psutil.process_iter(["cmdline", "create_time", "status"]):
        command: list[str] = process.info["cmdline"] or []
        is_ours = any(word.startswith(str(FOLDER)) for word in command)
        is_new = (process.info["create_time"] or 0) >= started_at
        if is_ours and is_new and process.info["status"] != psutil.STATUS_ZOMBIE:
            left.append(f"{process.pid} {shlex.join(command)}")
    return left


def expect(holds: object, otherwise: str) -> None:
    """Fail the demo unless ``holds``.

    Raises:
        DemoError: It does not hold.
    """
    if not holds:
        raise DemoError(otherwise)


def title(text: str) -> None:
    """Print a heading."""
    say(f"\n== {text}\n")


def say(text: str) -> None:
    """Print at once, so that progress is seen as it happens."""
    print(text, flush=True)


def shown(path: Path | str) -> str:
    """Shorten a path for people: as seen from the project's folder."""
    return str(path).replace(f"{ROOT}{os.sep}", "")


if __name__ == "__main__":
    main()
