"""Who may answer: by name or by choice, within limits, and long enough; else a reason."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from toolcrib_embeddings.testing import HashEncoder
from toolcrib_migrations import open_store
from toolcrib_registry.errors import (
    ContextTooLong,
    InvalidInput,
    NoModelFits,
    NotCallable,
    NotFound,
)
from toolcrib_registry.types import EntryKind, Known, Model, ModelDescriptor, Offer
from toolcrib_server.invocation.figures.feed import FiguresFeed
from toolcrib_server.invocation.figures.measured import Measured
from toolcrib_server.invocation.figures.rolling import RollingFigures
from toolcrib_server.invocation.models.picking import ModelPicker
from toolcrib_server.selection.constraint import Constraints
from toolcrib_server.selection.models import ModelSelector, Selection
from toolcrib_server.sync.indexer import Indexer

pytestmark = pytest.mark.anyio

HELLO = {"messages": [{"role": "user", "content": "hello"}]}
URL = "https://models.example.com/v1"


def known(value):
    return Known(value, "test", date(2026, 1, 1))


def fact(value):
    return None if value is None else known(value)


class Unlearned:
    """Chooses alike for every principal."""

    def __init__(self, selector: ModelSelector) -> None:
        self._selector = selector

    async def select(self, task: str, *, principal: str = "local", **how: Any) -> Selection:
        return await self._selector.select(task, **how)


def model(
    name: str,
    *,
    price: float | None = 1.0,
    context: int | None = None,
    sees: tuple[str, ...] | None = None,
    tools: bool | None = None,
    endpoint: str | None = URL,
    providers: tuple[str, ...] = ("a",),
) -> Model:
    offers = tuple(
        Offer(
            provider=provider,
            remote_model=name,
            endpoint=endpoint,
            price_in_usd=fact(price),
            price_out_usd=fact(price),
        )
        for provider in providers
    )
    descriptor = ModelDescriptor(
        context_tokens=fact(context), modalities_in=fact(sees), tool_call=fact(tools)
    )
    return Model(name=name, description="says hello", descriptor=descriptor, offers=offers)


@pytest.fixture
async def picker(tmp_path):
    store = open_store(f"sqlite:///{tmp_path / 'toolcrib.db'}")
    indexer = Indexer(store, open_encoder=HashEncoder, folder=tmp_path / "index")
    for each in (
        model("both", price=2.0, providers=("a", "b"), context=8_000, sees=("text",), tools=True),
        model("free", price=0.0, context=1_000, sees=("text", "image")),
        model("untold", price=None),
        model("idle", endpoint=None),
        model("off"),
        model("vendor@2026", price=3.0),
    ):
        store.add_model(each, actor="test")
    store.set_entry_enabled(EntryKind.MODEL, "off", enabled=False, actor="test")
    await indexer.catch_up()
    yield ModelPicker(store, Unlearned(ModelSelector(store, indexer.index)))
    store.close()


async def labels(picker, asked, body=HELLO, **more):
    return [pick.candidate.label for pick in await picker.pick(asked, body, **more)]


async def test_a_name_gives_its_offers_and_a_provider_one_of_them(picker):
    assert await labels(picker, "both") == ["both at a", "both at b"]
    assert await labels(picker, "both@b") == ["both at b"]
    assert await labels(picker, "vendor@2026") == ["vendor@2026 at a"]
    assert await labels(picker, "vendor@2026@a") == ["vendor@2026 at a"]


async def test_what_surely_fails_is_asked_last_also_by_name(picker, tmp_path):
    store, figures = picker._store, RollingFigures(renewed_s=0)
    indexer = Indexer(store, open_encoder=HashEncoder, folder=tmp_path / "index")
    await indexer.catch_up()
    feed = FiguresFeed(store, figures)
    models = ModelSelector(store, indexer.index, measuring=feed)
    measured = ModelPicker(store, Unlearned(models), measuring=feed)
    assert await labels(measured, "both") == ["both at a", "both at b"]
    now = datetime.now(UTC)
    for number in range(40):
        for key in ("both@a/both", "free@a/free"):
            outcome = "ok" if number % 2 else "upstream-error"
            one = Measured(
                id=f"{key}{number}", at=now, outcome=outcome, duration_ms=900, tokens_out=9
            )
            figures.note(key, one)

    last = (await measured.pick("both", HELLO))[-1]

    assert await labels(measured, "both") == ["both at b", "both at a"]
    assert last.reasons[1].startswith("Asked last: 50% of its calls failed (measured over 40 calls")
    cheapest = await labels(measured, "auto:cheapest")
    assert cheapest.index("free at a") > cheapest.index("vendor@2026 at a")
    assert (await labels(measured, "auto:fastest"))[0] in {"both at a", "free at a"}
    with pytest.raises(NoModelFits, match=r"error_rate is 0\.5 \(measured over 40 calls"):
        await measured.pick("free", HELLO, constraints=Constraints(max_error_rate=0.1))


async def test_auto_ranks_what_can_be_called(picker):
    everyone = {"both at a", "both at b", "free at a", "untold at a", "vendor@2026 at a"}
    assert set(await labels(picker, "auto")) == everyone
    cheapest = await labels(picker, "auto:cheapest")
    assert cheapest[0] == "free at a"
    assert cheapest[-1] == "untold at a", "an unknown price comes last"
    limits = Constraints(max_price_in_usd=2.0)
    assert set(await labels(picker, "auto", constraints=limits)) == everyone - {
        "untold at a",
        "vendor@2026 at a",
    }


@pytest.mark.parametrize(
    ("asked", "kind", "says"),
    [
        ("bot", NotFound, "Did you mean: both"),
        ("both@c", NotFound, "both@a, both@b"),
        ("idle", NotCallable, "no endpoint is registered"),
        ("off", NotCallable, "is disabled"),
        ("auto:newest", InvalidInput, "no objective 'newest'"),
    ],
)
async def test_who_cannot_be_called_is_named(picker, asked, kind, says):
    with pytest.raises(kind, match=says):
        await picker.pick(asked, HELLO)


async def test_that_nobody_meets_the_limits_is_said_once(picker):
    with pytest.raises(NoModelFits) as caught:
        await picker.pick("auto", HELLO, constraints=Constraints(min_context_tokens=10**9))
    said = caught.value.detail
    assert said.startswith("No model that can be called meets every limit. All ")
    assert said.count("every limit") == 1


async def test_a_name_is_held_to_the_limits_too(picker):
    with pytest.raises(NoModelFits, match="price_in_usd is 2"):
        await picker.pick("both", HELLO, constraints=Constraints(max_price_in_usd=1.0))
    with pytest.raises(NoModelFits, match="price_in_usd is unknown"):
        await picker.pick("untold", HELLO, constraints=Constraints(max_price_in_usd=1.0))
    with pytest.raises(NoModelFits, match="cost_usd is unknown"):
        await picker.pick("untold", HELLO, constraints=Constraints(max_cost_usd=1.0))


async def test_a_limit_that_makes_no_sense_is_refused(picker):
    for asked in ("auto", "both"):
        with pytest.raises(InvalidInput, match="max_price_in_usd is nan"):
            await picker.pick(asked, HELLO, constraints=Constraints(max_price_in_usd=float("nan")))


IMAGE = {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}
TOOLS = {**HELLO, "tools": [{"type": "function", "function": {"name": "f"}}]}


async def test_what_is_needed_must_be_known_under_auto_and_not_denied_by_name(picker):
    assert await labels(picker, "auto", IMAGE) == ["free at a"]
    assert await labels(picker, "untold", IMAGE) == ["untold at a"]
    with pytest.raises(NoModelFits, match="modalities_in is text"):
        await picker.pick("both", IMAGE)
    assert await labels(picker, "auto", TOOLS) == ["both at a", "both at b"]
    assert await labels(picker, "free", TOOLS) == ["free at a"]


async def test_a_request_goes_only_where_it_fits(picker):
    long = {"messages": [{"role": "user", "content": "word " * 4_000}]}
    assert set(await labels(picker, "auto", long)) == {
        "both at a",
        "both at b",
        "untold at a",
        "vendor@2026 at a",
    }
    with pytest.raises(ContextTooLong, match=r"at least 3333 tokens.* 1000 tokens \(free at a\)"):
        await picker.pick("free", long)
    endless = {"messages": [{"role": "user", "content": "word " * 40_000}]}
    assert await labels(picker, "untold", endless) == ["untold at a"], "who names it may know"
    with pytest.raises(ContextTooLong, match=r"8000 tokens \(both at"):
        await picker.pick("auto", {**HELLO, "max_tokens": 9_000})


async def test_a_model_that_embeds_is_held_to_the_limits_too(picker):
    limits = Constraints(without_providers=frozenset({"a"}))
    assert [p.candidate.label for p in await picker.pick_named("free")] == ["free at a"]
    with pytest.raises(NoModelFits, match="provider is a"):
        await picker.pick_named("free", constraints=limits)
