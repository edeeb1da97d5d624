"""Runs the official suite and reads what it found. Knows nothing of Toolcrib."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from .kit import ROOT

Mode = Literal["server", "client"]
RUN_TIMEOUT_S = 900
SCENARIO_TIMEOUT_S = 600
"""They are all started at once, and wait for a turn."""
_LISTED = re.compile(r"^\s+- (\S+)(?: \[(server|client)\])?$")
_REASON = re.compile(r"^  (\S+) \(\d+\):$")
_UNTESTABLE = "Not testable: server does not list the diagnostic tool"
_STAMP = re.compile(r"-\d{4}-\d{2}-\d{2}T[\d-]+Z$")


@dataclass(frozen=True, slots=True)
class Required:
    """A scenario of a revision's requirements."""

    scenario: str
    mode: Mode
    unscored: str | None = None
    """Why it is run without being scored."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one scenario found."""

    passed: int
    failed: int
    faults: tuple[str, ...] = ()
    """Each failed check, and what the suite says of it."""

    @property
    def is_pass(self) -> bool:
        """Whether no check failed; one that was never reached is no pass."""
        return not self.failed and self.passed > 0

    @property
    def is_skip(self) -> bool:
        """Whether the suite itself leaves it out."""
        return not self.failed and not self.passed


@dataclass(frozen=True, slots=True)
class Suite:
    """The suite, ready to run."""

    command: Sequence[str]
    folder: Path
    """Where what it found in detail is left."""

    def requirements(self, revision: str) -> tuple[Required, ...]:
        """List what a revision requires, and what is run beside it."""
        done = subprocess.run(
            [*self.command, "list", "--requirements", revision],
            capture_output=True,
            text=True,
            check=True,
            timeout=RUN_TIMEOUT_S,
        )
        return tuple(read_requirements(done.stdout))

    def test_server(
        self, url: str, revision: str, *, name: str, has_fixtures: bool = True
    ) -> dict[str, Outcome]:
        """Run every scenario for servers against ``url``; ``name`` names the folder."""
        folder = self._run("server", ["--url", url], revision, name=name)
        return dict(read_outcomes(folder, "server", has_fixtures=has_fixtures))

    def test_client(
        self, command: str, revision: str, *, name: str, env: Mapping[str, str]
    ) -> dict[str, Outcome]:
        """Run every scenario for clients with ``command``, to which it adds its URL."""
        options = ["--command", command, "--timeout", str(1000 * SCENARIO_TIMEOUT_S)]
        folder = self._run("client", options, revision, name=name, env=env)
        return dict(read_outcomes(folder, "client"))

    def _run(
        self,
        mode: Mode,
        options: list[str],
        revision: str,
        *,
        name: str,
        env: Mapping[str, str] | None = None,
    ) -> Path:
        folder = self.folder / name
        folder.mkdir(parents=True)
        command = [*self.command, mode, *options, "--requirements", revision]
        # Its exit code says whether all is well, which is judged here, column by column.
        done = subprocess.run(
            [*command, "--output-dir", str(folder)],
            cwd=ROOT,
            env=None if env is None else dict(env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=RUN_TIMEOUT_S,
        )
        (folder / "output.txt").write_text(done.stdout + done.stderr)
        return folder


@dataclass(slots=True)
class _Section:
    mode: Mode | None = None
    reason: str | None = None
    seen: set[str] = field(default_factory=set[str])


def read_requirements(listing: str) -> Iterator[Required]:
    """Read what ``list --requirements`` prints."""
    at = _Section()
    for line in listing.splitlines():
        if line.startswith(("Server scenarios", "Client scenarios")):
            at = _Section(mode="server" if line.startswith("Server") else "client")
        elif reason := _REASON.match(line):
            at.reason = reason[1]
        elif listed := _LISTED.match(line):
            mode = listed[2] or at.mode
            yield Required(listed[1], "server" if mode == "server" else "client", at.reason)


def read_outcomes(
    folder: Path, mode: Mode, *, has_fixtures: bool = True
) -> Iterator[tuple[str, Outcome]]:
    """Read what a run left in its folder: a file of checks for each scenario."""
    for file in sorted(folder.rglob("checks.json")):
        name = _STAMP.sub("", file.parent.relative_to(folder).as_posix())
        if mode == "server":
            name = name.removeprefix("server-")
        yield name, judge(json.loads(file.read_text()), has_fixtures=has_fixtures)


def judge(checks: Sequence[Mapping[str, Any]], *, has_fixtures: bool = True) -> Outcome:
    """Count the checks of a scenario as the suite does.

    Without fixtures, those do not count that the suite itself calls not testable for want of one.
    """
    failed = [
        check
        for check in checks
        if check["status"] == "FAILURE"
        and (has_fixtures or not check.get("errorMessage", "").startswith(_UNTESTABLE))
    ]
    return Outcome(
        passed=sum(check["status"] == "SUCCESS" for check in checks),
        failed=len(failed),
        faults=tuple(f"{check['id']}: {_say(check)}" for check in failed),
    )


def _say(check: Mapping[str, Any]) -> str:
    said = check.get("errorMessage") or check.get("description") or check.get("name")
    return " ".join(str(said).split())[:300]
