"""How much poison the scan finds, how often it cries wolf, and what it costs.

    python benchmarks/poison.py [--data FOLDER] [--json FILE] [--show]

Recall is of `attacks.jsonl`, written for this by attack class before any rule was tuned; the rules
were tuned on the half named ``dev``. False marks are counted over the tools of toucan_mcp, of whose
servers the rules were tuned on half as well. ``--show`` prints what fires, for people to judge.
"""

from __future__ import annotations

import hashlib
import json
import random
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import _command

from toolcrib_registry.types import JsonObject, ServerName, Tool
from toolcrib_server.scan import Finding, Severity, scan_definition, worst
from toolcrib_server.sync.diff import tool_entry
from toolcrib_server.sync.trust_neighbours import Neighbours

ATTACKS = Path(__file__).with_name("attacks.jsonl")
SPLITS = ("dev", "held-out")
SEED = 3
HOSTILE_CHARS = 1_000_000


def main() -> None:
    parser = _command.parser(__doc__)
    parser.add_argument("--data", type=_command.folder, metavar="FOLDER", help="of the data sets")
    parser.add_argument("--show", action="store_true")
    options = parser.parse_args()
    result: dict[str, Any] = {"recall": measure_recall(show=options.show)}
    if options.data:
        tools = read_tools(options.data / "corpus" / "toucan_mcp" / "tools.jsonl")
        result["false marks"] = measure_false_marks(tools, show=options.show)
        result["resemblances"] = measure_resemblances(tools, show=options.show)
    result[f"seconds for {HOSTILE_CHARS} hostile characters"] = measure_hostile()
    print(json.dumps(result, indent=1))
    _command.write(result, options.json)


def measure_recall(*, show: bool) -> dict[str, Any]:
    rows = [json.loads(line) for line in ATTACKS.read_text(encoding="utf-8").splitlines()]
    result: dict[str, Any] = {}
    for split in SPLITS:
        marked, severe, total = Counter[str](), Counter[str](), Counter[str]()
        for row in (row for row in rows if row["split"] == split):
            severity = severity_of(row)
            total[row["class"]] += 1
            marked[row["class"]] += severity in {Severity.MEDIUM, Severity.HIGH}
            severe[row["class"]] += severity is Severity.HIGH
            if show and severity in {None, Severity.LOW}:
                print(f"missed ({split}): {row['class']}: {row['tool']['description'][:150]!r}")
        result[split] = {
            "attacks": total.total(),
            "marked": marked.total(),
            "recall": round(marked.total() / total.total(), 4),
            "severe": round(severe.total() / total.total(), 4),
            "by class": {name: f"{marked[name]}/{total[name]}" for name in sorted(total)},
        }
    return result


def severity_of(row: JsonObject) -> Severity | None:
    """Judge an attack as a review does: by its text, and by what else the registry holds."""
    severity = worst(scan_definition(row["tool"]))
    if "registry" in row and severity in {None, Severity.LOW}:
        neighbours = Neighbours()
        for other in row["registry"]:
            neighbours.put(tool_entry(ServerName(other["server"]), other["tool"]))
        attacker = tool_entry(ServerName("attacker"), row["tool"])
        return Severity.MEDIUM if neighbours.resemblance(attacker) else severity
    return severity


def measure_false_marks(tools: Sequence[Tool], *, show: bool) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for split in SPLITS:
        rules, found = Counter[str](), defaultdict[str, list[tuple[Tool, Finding]]](list)
        mine = [tool for tool in tools if split_of(tool.server) == split]
        marked = 0
        started = time.process_time()
        for tool in mine:
            findings = [f for f in scan_definition(tool.definition) if f.severity != Severity.LOW]
            marked += bool(findings)
            for finding in findings:
                rules[f"{finding.rule} ({finding.severity})"] += 1
                found[finding.rule].append((tool, finding))
        seconds = time.process_time() - started
        result[split] = {
            "tools": len(mine),
            "marked": marked,
            "share": round(marked / len(mine), 6),
            "rules": dict(rules.most_common()),
            "microseconds a tool": round(1e6 * seconds / len(mine)),
        }
        if show:
            for tool, finding in (pair for pairs in found.values() for pair in pairs):
                print(f"marked ({split}): {tool.name}: {finding}")
    return result


def split_of(server: str) -> str:
    return SPLITS[hashlib.sha256(server.encode()).digest()[0] % 2]


def measure_resemblances(tools: Sequence[Tool], *, show: bool) -> dict[str, Any]:
    """Let the servers arrive in some order, and count what is taken for an imitation."""
    by_server: dict[ServerName, list[Tool]] = defaultdict(list)
    for tool in tools:
        by_server[tool.server].append(tool)
    order = sorted(by_server)
    random.Random(SEED).shuffle(order)
    neighbours, kinds = Neighbours(), Counter[str]()
    started = time.process_time()
    for server in order:
        beside = [tool.local_name for tool in by_server[server]]
        for tool in by_server[server]:
            if alike := neighbours.resemblance(tool, beside):
                kinds[alike.likeness] += 1
                if show:
                    print(f"{alike.likeness}: {tool.name} and {alike.other}")
        for tool in by_server[server]:
            neighbours.put(tool)
    seconds = time.process_time() - started
    twins = sum(bool(neighbours.twins(tool)) for tool in tools)
    return {
        "tools": len(tools),
        "taken for imitations": kinds.total(),
        "kinds": dict(kinds),
        "share": round(kinds.total() / len(tools), 6),
        "honest duplicates, not marked": twins,
        "microseconds a tool": round(1e6 * seconds / len(tools)),
    }


def measure_hostile() -> dict[str, float]:
    """Scan texts that are made to make a scan slow; seconds of processor time for each."""
    texts = {
        "one letter": "a",
        "spaces": " ",
        "words": "ignore all previous ",
        "halves of orders": "do not tell read ~/.ssh/ send your password before any other tool ",
        "open comments": "<!-- ",
        "curl without a pipe": "curl x ",
        "open tags": '<span style="',
        "base64": "QUJD",
        "hidden": "\u200b\U000e0041",
        "mixed scripts": "\u0430b",
        "spelt letters": "i g ",
        "line ends": "\n ",
        "markdown": "![](http://a?b=",
        "percent": "%41",
    }
    seconds: dict[str, float] = {}
    for name, text in texts.items():
        long = text * (HOSTILE_CHARS // len(text))
        started = time.process_time()
        scan_definition({"name": "hostile", "description": long})
        seconds[name] = round(time.process_time() - started, 3)
    return seconds


def read_tools(file: Path) -> list[Tool]:
    return list(_read(file))


def _read(file: Path) -> Iterator[Tool]:
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            definition = {
                "name": row["name"],
                "description": row["description"] or "",
                "inputSchema": row["input_schema"],
            }
            yield tool_entry(ServerName(row["server"]), definition)


if __name__ == "__main__":
    _command.run(main)
