"""What is expected of a new model starts from its test; which model is the default never does."""

import pytest

from toolcrib_registry.store import Store
from toolcrib_registry.types import RatingSource
from toolcrib_server.aptitude.suite import built_in_suite
from toolcrib_server.learning.mode import EVERYONE, Sharing
from toolcrib_server.routing.desk import RoutingDesk
from toolcrib_server.routing.learner import RoutingLearner
from toolcrib_server.routing.mode import RoutingMode
from toolcrib_server.routing.rows import OutcomeRow
from toolcrib_server.routing.selector import RoutedSelector
from toolcrib_server.selection.models import ModelSelector, Selection
from toolcrib_server.sync.indexer import Indexer

from .conftest import model, query, rows

pytestmark = pytest.mark.anyio

POEM = query("poem", 500)


async def chosen(
    store: Store, indexer: Indexer, tests: dict[str, float], *, used: bool = True
) -> Selection:
    """Select after models took a test, with a score each; ``used``: others were seen in use."""
    store.add_model(model("novice"), actor="test")
    await indexer.catch_up()
    learner = RoutingLearner(store, indexer.index, mode=RoutingMode.ON, sharing=Sharing.PRINCIPAL)
    desk = RoutingDesk(store, learner, keep=10_000)
    if used:
        await desk.record(
            rows(60), principal="local", tenant=EVERYONE, source=RatingSource.IMPORT, limited=False
        )
    marks = [
        OutcomeRow(where="test", query=task.prompt, model=name, score=score)
        for task in built_in_suite()
        for name, score in tests.items()
    ]
    await desk.record(
        marks, principal="local", tenant=EVERYONE, source=RatingSource.APTITUDE, limited=False
    )
    await learner.look()
    models = ModelSelector(store, indexer.index)
    selector = RoutedSelector(models, learner, indexer.index, explore_share=0.0)
    return await selector.select(POEM)


def expected(selection: Selection, name: str) -> float:
    assert selection.routing is not None
    ranked = selection.routing.choice.ranked
    return next(one.quality for one in ranked if one.model == name)


async def test_more_is_expected_of_a_new_model_that_did_well_in_its_test(
    store: Store, indexer: Indexer
) -> None:
    good = expected(await chosen(store, indexer, {"novice": 1.0}), "novice")
    store.remove_model("novice", actor="test")
    bad = expected(await chosen(store, indexer, {"novice": 0.0}), "novice")
    assert good > bad + 0.3


async def test_a_test_alone_makes_no_model_the_default(store: Store, indexer: Indexer) -> None:
    selection = await chosen(store, indexer, {"novice": 1.0})
    assert selection.routing is not None
    assert selection.routing.choice.default in {"poet", "clerk"}


async def test_where_nothing_but_tests_is_known_they_are_what_is_gone_by(
    store: Store, indexer: Indexer
) -> None:
    selection = await chosen(store, indexer, {"novice": 0.9, "poet": 0.3, "clerk": 0.3}, used=False)
    assert selection.routing is not None
    assert selection.routing.choice.model == "novice"
