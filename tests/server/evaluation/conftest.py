"""A small judged set, as a folder."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

TOOLS = [
    {"id": "w/1", "server": "weather", "name": "forecast", "description": "Weather of a city."},
    {"id": "m/1", "server": "mail", "name": "send", "description": "Send an e-mail."},
    {"id": "m/2", "server": "mail", "name": "inbox", "description": "List unread e-mails."},
]
QUERIES = {"q1": "weather of a city", "q2": "list unread e-mails"}
JUDGED = [("q1", "w/1", 1), ("q2", "m/2", 2), ("q2", "m/1", 1)]

WriteSet = Callable[..., Path]


@pytest.fixture
def write_set(tmp_path: Path) -> WriteSet:
    """Write a folder of three files; any of them may be given, as rows or as raw text."""

    def write(
        name: str = "mine",
        *,
        tools: Sequence[Mapping[str, Any]] | str = TOOLS,
        queries: Mapping[str, str] | str = QUERIES,
        judged: Sequence[tuple[str, str, object]] | str = JUDGED,
    ) -> Path:
        folder = tmp_path / name
        folder.mkdir(parents=True)
        rows = tools if isinstance(tools, str) else "".join(f"{json.dumps(t)}\n" for t in tools)
        (folder / "tools.jsonl").write_text(rows)
        asked = (
            queries
            if isinstance(queries, str)
            else "".join(f"{json.dumps({'id': q, 'text': t})}\n" for q, t in queries.items())
        )
        (folder / "queries.jsonl").write_text(asked)
        lines = (
            judged
            if isinstance(judged, str)
            else "".join("\t".join(map(str, row)) + "\n" for row in judged)
        )
        (folder / "qrels.tsv").write_text(lines)
        return folder

    return write
