"""Write constraints.txt: the version of everything the project needs, as installed here.

Run in an environment that passes `make check`. Walks the requirements of the project, its extras
and its development group, so that what else lies in the environment stays out of the list.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "constraints.txt"
INSTALLERS = ("pip", "editables")
"""What installing needs besides: pip itself, and hatchling's helper for editable installs."""

HEADER = """\
# Tested versions of everything that Toolcrib needs to run, to be tested and to be built.
# Written by `make pins`; pip reads it as constraints, so nothing here is installed by itself.
"""


def main() -> None:
    """Write the file."""
    pinned = dict(walk([Requirement(text) for text in declared()]))
    lines = [f"{name}=={version}" for name, version in sorted(pinned.items())]
    TARGET.write_text(HEADER + "\n".join(lines) + "\n", encoding="utf-8")
    print(f"{TARGET.name}: {len(lines)} packages")


def declared() -> Iterator[str]:
    """List what pyproject.toml asks for, in every part that a developer installs."""
    data: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    yield from data["project"]["dependencies"]
    for extra in data["project"]["optional-dependencies"].values():
        yield from extra
    yield from data["dependency-groups"]["dev"]
    yield from data["build-system"]["requires"]
    yield from INSTALLERS


def walk(requirements: list[Requirement]) -> Iterator[tuple[str, str]]:
    """List the name and version of all that ``requirements`` need, each once for each extra."""
    seen: set[tuple[str, str]] = set()
    while requirements:
        requirement = requirements.pop()
        if requirement.marker and not requirement.marker.evaluate():
            continue
        found = distribution(requirement.name)
        yield canonicalize_name(requirement.name), public_version(found)
        for extra in {"", *requirement.extras}:
            if (found.name, extra) not in seen:
                seen.add((found.name, extra))
                requirements += needs(found, extra=extra)


def needs(found: Distribution, *, extra: str) -> Iterator[Requirement]:
    """List what a distribution needs here, with one of its extras or with none ("")."""
    for text in found.requires or ():
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
            requirement.marker = None
            yield requirement


def public_version(found: Distribution) -> str:
    """Drop a local label such as ``+cpu``: it names a build, and any build of the version fits."""
    return Version(found.version).public


if __name__ == "__main__":
    main()
