"""Development data as entries and queries, and a cache of their vectors."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from toolcrib_embeddings import Document, FloatMatrix, render_document
from toolcrib_embeddings.encoding.encoder import Encoder
from toolcrib_embeddings.encoding.tokens import TokenMatrix
from toolcrib_registry.types import ServerName, Tool

CACHE = Path(__file__).parent.parent / ".cache"
MAX_QUERIES = 400
SEED = 7


@dataclass(frozen=True, slots=True)
class RetrievalSet:
    """One folder of the shared format: documents by tool id, queries, relevant ids by query."""

    name: str
    documents: dict[str, Document]
    queries: dict[str, str]
    relevant: dict[str, set[str]]


def read_documents(file: Path) -> dict[str, Document]:
    return {row["id"]: render_document(_tool(row)) for row in _rows(file)}


def read_queries(folder: Path) -> dict[str, str]:
    return {row["id"]: row["text"] for row in _rows(folder / "queries.jsonl")}


def read_sets(folder: Path) -> Iterator[RetrievalSet]:
    """Read each set, at most 400 of its queries."""
    for place in sorted(path for path in folder.iterdir() if path.is_dir()):
        relevant: dict[str, set[str]] = {}
        for line in (place / "qrels.tsv").read_text(encoding="utf-8").splitlines():
            query, tool, *_ = line.split("\t")
            relevant.setdefault(query, set()).add(tool)
        queries = [(id_, text) for id_, text in read_queries(place).items() if id_ in relevant]
        chosen = random.Random(SEED).sample(queries, min(MAX_QUERIES, len(queries)))
        yield RetrievalSet(
            place.name, read_documents(place / "tools.jsonl"), dict(chosen), relevant
        )


def _rows(file: Path) -> Iterator[dict[str, Any]]:
    with file.open(encoding="utf-8") as lines:
        yield from (json.loads(line) for line in lines)


def _tool(row: dict[str, Any]) -> Tool:
    return Tool(
        name=row["id"],
        description=row["description"] or "",
        server=ServerName(row.get("server") or row.get("group") or ""),
        local_name=row["name"],
        definition={"inputSchema": row.get("input_schema")},
    )


class VectorCache:
    """Vectors by the hash of their text, kept in ``.cache/bench`` from run to run."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._file = CACHE / "bench" / f"vectors-{encoder.id.replace('/', '-')}.npz"
        self._vectors: dict[str, FloatMatrix] = {}
        if self._file.exists():
            with np.load(self._file) as kept:
                self._vectors = dict(zip(kept["keys"].tolist(), kept["vectors"], strict=True))

    def encode(self, texts: Sequence[str]) -> FloatMatrix:
        """Encode those not yet known, and keep them."""
        keys = [hashlib.sha256(text.encode()).hexdigest() for text in texts]
        missing = {k: t for k, t in zip(keys, texts, strict=True) if k not in self._vectors}
        if missing:
            print(f"encoding {len(missing)} texts, once", flush=True)
            self._vectors |= zip(missing, self._encoder.encode([*missing.values()]), strict=True)
            self._file.parent.mkdir(parents=True, exist_ok=True)
            vectors = np.array(list(self._vectors.values()))
            np.savez(self._file, keys=np.array(list(self._vectors)), vectors=vectors)
        return np.array([self._vectors[key] for key in keys])

    def tokens(self, texts: Sequence[str]) -> list[TokenMatrix]:
        """Make token vectors of texts, in order; kept as vectors are, by the name of the head."""
        if self._encoder.token_id is None:
            return []
        file = CACHE / "bench" / f"{self._encoder.token_id.replace('/', '-')}.npz"
        known = _load_tokens(file)
        keys = [hashlib.sha256(text.encode()).hexdigest() for text in texts]
        missing = {k: t for k, t in zip(keys, texts, strict=True) if k not in known}
        if missing:
            print(f"reading {len(missing)} texts by their tokens, once", flush=True)
            read = self._encoder.encode_documents([*missing.values()])
            known |= zip(missing, read.tokens or (), strict=True)
            file.parent.mkdir(parents=True, exist_ok=True)
            ends = np.cumsum([len(rows) for rows in known.values()])
            rows = np.concatenate(list(known.values()))
            np.savez(file, keys=np.array(list(known)), ends=ends, rows=rows)
        return [known[key] for key in keys]


def _load_tokens(file: Path) -> dict[str, TokenMatrix]:
    if not file.exists():
        return {}
    with np.load(file) as kept:
        matrices = np.split(kept["rows"], kept["ends"][:-1])
        return dict(zip(kept["keys"].tolist(), matrices, strict=True))
