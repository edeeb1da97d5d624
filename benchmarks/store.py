"""What the store costs above its database: each verb next to the same rows through plain sqlite3.

Made-up tools of a realistic size, the same for a given ``--tools`` and ``--seed``; both sides in
one process and one run, the store on a file of its own under a temporary folder.
"""

from __future__ import annotations

import random
import sqlite3
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import _command

from toolcrib_migrations import open_store
from toolcrib_registry.store import Store
from toolcrib_registry.types import (
    CatalogTransport,
    EntryChanges,
    EntryKind,
    Server,
    ServerName,
    Tool,
    hash_content,
    qualified_name,
)

TOOLS = 17_570
VECTOR_BYTES = 384 * 4
ENCODER = "all-MiniLM-L6-v2@53aa5117/onnx-fp32"
OWNER = ServerName("bench")
VERBS = ("get", "list", "create", "update", "delete", "search", "convert", "send", "read", "check")
NOUNS = ("issue", "file", "invoice", "time", "weather", "repository", "message", "paper", "user")
WORDS = (*VERBS, *NOUNS, "the", "a", "of", "for", "by", "with", "returns", "identifier", "optional")
RAW_PRAGMAS = ("journal_mode = WAL", "synchronous = NORMAL")


@dataclass(frozen=True)
class Figure:
    """One verb: its best time and that of plain sqlite3, if that can do the same."""

    what: str
    store_ms: float
    raw_ms: float | None

    @property
    def ratio(self) -> float | None:
        return None if self.raw_ms is None else round(self.store_ms / self.raw_ms, 1)


def make_tools(count: int, *, seed: int) -> tuple[Tool, ...]:
    rng = random.Random(seed)
    return tuple(make_tool(number, rng) for number in range(count))


def make_tool(number: int, rng: random.Random) -> Tool:
    local_name = f"{rng.choice(VERBS)}_{rng.choice(NOUNS)}_{number}"
    description = " ".join(rng.choices(WORDS, k=rng.randrange(8, 60)))
    properties = {
        f"{rng.choice(NOUNS)}_{index}": {
            "type": rng.choice(("string", "integer", "boolean")),
            "description": " ".join(rng.choices(WORDS, k=9)),
        }
        for index in range(rng.randrange(1, 7))
    }
    schema = {"type": "object", "properties": properties, "required": sorted(properties)[:1]}
    definition = {"name": local_name, "description": description, "inputSchema": schema}
    return Tool(
        name=qualified_name(f"server{number % 500}", local_name),
        server=OWNER,
        local_name=local_name,
        description=description,
        definition=definition,
        content_hash=hash_content(definition),
    )


def best_ms(action: Callable[[], object], *, rounds: int = 1) -> float:
    taken: list[float] = []
    for _ in range(rounds):
        started = time.perf_counter()
        action()
        taken.append((time.perf_counter() - started) * 1000)
    return round(min(taken), 3)


class RawCopy:
    """The same tables and rows in another file, written and read with nothing in between."""

    def __init__(self, original: Path, copy: Path) -> None:
        self._connection = sqlite3.connect(copy, isolation_level=None)
        for pragma in RAW_PRAGMAS:
            self._connection.execute(f"PRAGMA {pragma}")
        self._connection.execute("ATTACH ? AS original", (str(original),))
        query = "SELECT sql FROM original.sqlite_master WHERE sql IS NOT NULL ORDER BY type DESC"
        for (statement,) in self._connection.execute(query).fetchall():
            self._connection.execute(statement)

    def close(self) -> None:
        self._connection.close()

    def read(self, query: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        return self._connection.execute(query, values).fetchall()

    def write_ms(self, *tables: str) -> float:
        """Time one transaction that writes all rows of these tables."""
        rows = {table: self.read(f"SELECT * FROM original.{table}") for table in tables}

        def write() -> None:
            self._connection.execute("BEGIN IMMEDIATE")
            for table, values in rows.items():
                marks = ", ".join("?" * len(values[0]))
                self._connection.executemany(f"INSERT INTO main.{table} VALUES ({marks})", values)
            self._connection.execute("COMMIT")

        return best_ms(write)


def measure(folder: Path, tools: tuple[Tool, ...], *, seed: int) -> list[Figure]:
    url = f"sqlite:///{folder}/store.db"
    create_ms = best_ms(lambda: open_store(url).close())
    open_ms = best_ms(lambda: open_store(url).close(), rounds=5)
    store = open_store(url)
    store.add_server(Server(name=OWNER, transport=CatalogTransport("bench")), actor="bench")
    rng = random.Random(seed)
    vectors = {tool.content_hash: rng.randbytes(VECTOR_BYTES) for tool in tools}
    changes = EntryChanges(server=OWNER, upserts=tools)
    apply_ms = best_ms(lambda: store.apply(changes, actor="bench"))
    put_ms = best_ms(lambda: store.put_embeddings(ENCODER, vectors))
    raw = RawCopy(folder / "store.db", folder / "raw.db")
    figures = [
        Figure("create a database", create_ms, None),
        Figure("open an existing database", open_ms, None),
        Figure("apply, all new", apply_ms, raw.write_ms("servers", "entries", "changes")),
        Figure("put_embeddings, all", put_ms, raw.write_ms("embeddings")),
        *reading(store, raw, tools, changes),
    ]
    raw.close()
    store.close()
    return figures


def reading(
    store: Store, raw: RawCopy, tools: tuple[Tool, ...], changes: EntryChanges
) -> list[Figure]:
    hashes = [tool.content_hash for tool in tools]
    ten = [tool.id for tool in tools[:: max(1, len(tools) // 10)]][:10]
    marks = ", ".join("?" * len(ten))
    ten_query = f"SELECT * FROM main.entries WHERE id IN ({marks})"
    hash_query = "SELECT id, content_hash FROM main.entries WHERE server = 'bench'"
    vector_query = "SELECT text_hash, vector FROM main.embeddings"
    return [
        Figure(
            "apply, none changed", best_ms(lambda: store.apply(changes, actor="b"), rounds=3), None
        ),
        Figure(
            "entry_hashes, all",
            best_ms(lambda: store.entry_hashes(OWNER), rounds=5),
            best_ms(lambda: dict(raw.read(hash_query)), rounds=5),
        ),
        Figure(
            "get_entries, ten",
            best_ms(lambda: store.get_entries(ten, live=True), rounds=50),
            best_ms(lambda: raw.read(ten_query, tuple(ten)), rounds=50),
        ),
        Figure(
            "get_embeddings, all",
            best_ms(lambda: store.get_embeddings(ENCODER, hashes), rounds=3),
            best_ms(lambda: dict(raw.read(vector_query)), rounds=3),
        ),
        Figure(
            "list_changes, a thousand",
            best_ms(store.list_changes, rounds=5),
            best_ms(lambda: raw.read("SELECT * FROM main.changes LIMIT 1000"), rounds=5),
        ),
        Figure(
            "near_names",
            best_ms(lambda: store.near_names(EntryKind.TOOL, "serch_paper"), rounds=5),
            None,
        ),
    ]


def report(figures: list[Figure]) -> None:
    print(f"{'':28}{'store':>12}{'sqlite3':>12}{'ratio':>8}")
    for figure in figures:
        raw = "" if figure.raw_ms is None else f"{figure.raw_ms:.2f} ms"
        ratio = "" if figure.ratio is None else f"{figure.ratio:.1f}"
        print(f"{figure.what:28}{figure.store_ms:>9.2f} ms{raw:>12}{ratio:>8}")


def main() -> None:
    parser = _command.parser(__doc__)
    parser.add_argument("--tools", type=int, default=TOOLS, help=f"how many (default {TOOLS})")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tools = make_tools(args.tools, seed=args.seed)
        figures = measure(Path(folder), tools, seed=args.seed)
    report(figures)
    found = {f.what: {"ms": f.store_ms, "raw_ms": f.raw_ms, "ratio": f.ratio} for f in figures}
    _command.write(found, args.json)


if __name__ == "__main__":
    _command.run(main)
