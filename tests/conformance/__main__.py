"""``make conformance``: the official suite directly, and through Toolcrib; fetches it once.

Runs a Toolcrib of its own between the suite and its fixtures server, prints every scenario beside
what it is directly, and writes docs/conformance.md. Fails when a scored scenario does. Not part of
``make test``, which needs no network.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from .kit import FOLDER, ROOT, Kit, prepare
from .processes import LAUNCHER, House, serving_fixtures, serving_house
from .scope import GENERIC, NOT_BRIDGED
from .suite import Outcome, Required, Suite
from .tables import DIRECT, Table, render

PAGE = ROOT / "docs" / "conformance.md"
RESULTS = FOLDER / "results"
"""Where what was found in detail is left."""
REVISIONS = ("2026-07-28", "2025-11-25")
META = "/mcp"
BRIDGE = "bridged"
OTHER_ERA = {"2026-07-28": "handshake", "2025-11-25": "modern"}
"""What the fixtures server behind the bridge knows, for clients of each revision."""
INTRO = """<!-- Written by `make conformance`; run that instead of editing. -->
# Conformance

What the [official conformance suite](https://github.com/modelcontextprotocol/conformance) {version}
finds, each scenario beside what it finds in its own fixtures server without Toolcrib between. CI
runs it, with nothing that is expected to fail; `make conformance` runs it here and writes this
page. Only what the revision requires is scored; the rest is run and shown.

- **direct**: the fixtures server of the Python SDK, which speaks both eras
- **http**, **stdio**: the same through `/servers/{{name}}/mcp` of a `toolcrib serve`
- **bridged**: the same through Toolcrib with a fixtures server that knows only the other era. No
  scenario has a server of one era ask a client of the other something: [our own
  matrix](../tests/relay/test_matrix.py) does
- **/mcp**: Toolcrib's own tools, where a scenario needs no fixtures
"""


@dataclass(frozen=True, slots=True)
class Site:
    """Everything that is running while the suite is run."""

    suite: Suite
    direct: str
    house: House
    alone: House
    """One with a single server, so that nothing of it is there twice."""


def main() -> None:
    """Run everything that is asked for; exit 1 when a scored scenario fails."""
    parser = argparse.ArgumentParser(prog="make conformance", description=__doc__)
    parser.add_argument("--only", choices=["server", "client"], help="one mode; writes no page")
    parser.add_argument("--json", type=Path, help="write the figures here")
    args = parser.parse_args()
    kit = prepare()
    with site(kit) as at:
        tables = [table for revision in REVISIONS for table in run(at, revision, args.only)]
    tell(tables)
    if args.only is None:
        PAGE.write_text("\n".join(page(kit, tables)))
        print(f"\nWritten to {PAGE.relative_to(ROOT)}")
    if args.json:
        args.json.write_text(json.dumps(figures(tables), indent=2) + "\n")
    sys.exit(any(fault for table in tables for fault in table.faults()))


@contextmanager
def site(kit: Kit) -> Generator[Site]:
    """Start the fixtures servers and a Toolcrib with all of them behind it."""
    with ExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        found = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        both = stack.enter_context(serving_fixtures(kit.fixtures))
        one_era = {
            f"only-{era}": ["--url", stack.enter_context(serving_fixtures(kit.fixtures, era))]
            for era in OTHER_ERA.values()
        }
        command = [sys.executable, str(LAUNCHER), "stdio"]
        stdio = ["--env", f"PYTHONPATH={kit.fixtures}", "--", *command]
        servers = {"everything": ["--url", both], "over-stdio": stdio, **one_era}
        house = stack.enter_context(serving_house(data / "all", servers))
        one = {"everything": servers["everything"]}
        alone = stack.enter_context(serving_house(data / "one", one))
        try:
            yield Site(Suite(kit.suite, found), both, house, alone)
        finally:
            shutil.rmtree(RESULTS, ignore_errors=True)
            shutil.copytree(found, RESULTS)


def run(at: Site, revision: str, only: str | None) -> Iterator[Table]:
    """Run the suite for one revision."""
    required = at.suite.requirements(revision)
    if only != "client":
        mine = [one for one in required if one.mode == "server"]
        yield run_passing(at, revision, mine)
        yield run_meta(at, revision, mine)
    if only != "server":
        yield run_client(at, revision, [one for one in required if one.mode == "client"])


def run_passing(at: Site, revision: str, required: Sequence[Required]) -> Table:
    """Run the scenarios for servers: directly, and each way through."""
    urls = {
        DIRECT: at.direct,
        "http": at.house.passing("everything"),
        "stdio": at.house.passing("over-stdio"),
        BRIDGE: at.house.passing(f"only-{OTHER_ERA[revision]}"),
    }
    return Table(
        title=f"Servers, {revision}",
        about=f"Behind the bridge the server knows only the {OTHER_ERA[revision]} era.",
        required=required,
        columns={name: server(at, url, revision, name) for name, url in urls.items()},
        left_out={BRIDGE: NOT_BRIDGED[revision]},
    )


def run_meta(at: Site, revision: str, required: Sequence[Required]) -> Table:
    """Run what needs no fixtures against Toolcrib's own tools."""
    generic = [one for one in required if one.scenario in GENERIC[revision]]
    print(f"… {META}, {revision}", file=sys.stderr, flush=True)
    found = at.suite.test_server(
        f"{at.alone.url}{META}", revision, name=f"meta-{revision}", has_fixtures=False
    )
    return Table(
        title=f"Toolcrib's own tools, {revision}",
        about="The scenarios that ask for no fixtures, against `/mcp`. Checks that the suite "
        "itself calls not testable for want of a diagnostic tool are left out.",
        required=generic,
        columns={META: found},
    )


def run_client(at: Site, revision: str, required: Sequence[Required]) -> Table:
    """Run the scenarios for clients: the suite's servers are reached through Toolcrib."""
    print(f"… clients, {revision}", file=sys.stderr, flush=True)
    command = f"{sys.executable} -m {__package__}.client"
    env = {**at.house.environment, "TOOLCRIB_URL": at.house.url}
    found = at.suite.test_client(command, revision, name=f"client-{revision}", env=env)
    return Table(
        title=f"Clients, {revision}",
        about="The suite's own servers, registered with Toolcrib and called through it. What is "
        "about logging in (`auth/`) is Toolcrib's own login at them, without its pass-through.",
        required=required,
        columns={"through": found},
    )


def server(at: Site, url: str, revision: str, column: str) -> Mapping[str, Outcome]:
    """Run the scenarios for servers against one address."""
    print(f"… servers, {revision}, {column}", file=sys.stderr, flush=True)
    return at.suite.test_server(url, revision, name=f"{column}-{revision}")


def tell(tables: Sequence[Table]) -> None:
    """Print the tables, what differs from the direct run, and what is wrong."""
    for table in tables:
        print("\n".join(render(table)))
    for title, lines in (
        ("Found otherwise than directly", [d for table in tables for d in table.differences()]),
        ("Scored scenarios that fail", [fault for table in tables for fault in table.faults()]),
    ):
        print(f"\n{title}: {len(lines)}")
        print("\n".join(f"  {line}" for line in lines))


def page(kit: Kit, tables: Sequence[Table]) -> Iterator[str]:
    """Write the page."""
    yield INTRO.format(version=kit.version)
    for table in tables:
        yield from render(table)


def figures(tables: Sequence[Table]) -> dict[str, object]:
    """Sum up, for a dated file."""
    scores = {
        table.title: {column: table.score(column) for column in table.columns} for table in tables
    }
    return {"scored": scores, "failing": [fault for table in tables for fault in table.faults()]}


if __name__ == "__main__":
    main()
