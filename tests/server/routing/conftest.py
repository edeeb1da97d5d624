"""A store with two models and what they did on questions of two kinds."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from toolcrib_embeddings.testing import HashEncoder
from toolcrib_migrations import open_store
from toolcrib_registry.store import Store
from toolcrib_registry.types import (
    Known,
    Model,
    ModelDescriptor,
    ModelOutcome,
    Offer,
    RatingSource,
)
from toolcrib_server.learning.mode import EVERYONE
from toolcrib_server.routing.rows import OutcomeRow
from toolcrib_server.sync.indexer import Indexer

START = datetime(2026, 5, 1, tzinfo=UTC)
KINDS = {
    "poem": "write a rhyming poem about the sea and the moon number {}",
    "sum": "calculate the integral of a polynomial function of degree {}",
}
GOOD_AT = {"poet": "poem", "clerk": "sum"}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path / 'toolcrib.db'}")
    for name in GOOD_AT:
        opened.add_model(model(name), actor="test")
    yield opened
    opened.close()


@pytest.fixture
def indexer(store: Store, tmp_path: Path) -> Indexer:
    return Indexer(store, open_encoder=HashEncoder, folder=tmp_path / "index")


def model(name: str, *, price: float = 1.0, spdx: str = "MIT") -> Model:
    today = START.date()
    offer = Offer(
        provider="here",
        remote_model=name,
        endpoint="http://127.0.0.1:9/v1",
        price_in_usd=Known(price, "test", today),
        price_out_usd=Known(price, "test", today),
    )
    says = ModelDescriptor(license=Known(spdx, "test", today))
    return Model(name=name, descriptor=says, offers=(offer,))


def query(kind: str, number: int) -> str:
    return KINDS[kind].format(number)


def rows(count: int = 40, **figures: Any) -> list[OutcomeRow]:
    """Say that each model does well on its own kind of question and badly on the other."""
    return [
        OutcomeRow(
            where=f"line {number}",
            query=query(kind, number),
            model=name,
            score=0.9 if GOOD_AT[name] == kind else 0.2,
            **figures,
        )
        for number in range(count)
        for kind in KINDS
        for name in GOOD_AT
    ]


def said(number: int, **fields: Any) -> ModelOutcome:
    given: dict[str, Any] = {
        "id": f"{fields.get('principal', 'key-1')}/{fields.get('model', 'poet')}/{number}",
        "at": START + timedelta(minutes=number),
        "tenant": EVERYONE,
        "principal": "key-1",
        "query": f"question {number}",
        "model": "poet",
        "score": 0.5,
        "source": RatingSource.FEEDBACK,
    }
    return ModelOutcome(**(given | fields))
