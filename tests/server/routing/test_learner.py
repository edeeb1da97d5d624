"""Routing in service, over a real store and index: recorded, learned, judged, used, forgotten."""

from datetime import UTC, datetime, timedelta

import anyio
import pytest

from toolcrib_registry.errors import NotFound, NotPermitted
from toolcrib_registry.store import Store
from toolcrib_registry.types import RatingSource, hash_query
from toolcrib_server.invocation.figures.feed import FiguresFeed
from toolcrib_server.invocation.figures.measured import Measured
from toolcrib_server.invocation.figures.rolling import RollingFigures
from toolcrib_server.learning.mode import EVERYONE, Sharing
from toolcrib_server.routing.desk import DAILY_LIMIT, RoutingDesk
from toolcrib_server.routing.learner import RoutingLearner, utc_now
from toolcrib_server.routing.mode import RoutingMode
from toolcrib_server.routing.rows import OutcomeRow
from toolcrib_server.routing.selector import RoutedSelector
from toolcrib_server.routing.weights import Weights
from toolcrib_server.selection.constraint import Constraints
from toolcrib_server.selection.models import ModelSelector, Objective
from toolcrib_server.sync.indexer import Indexer

from .conftest import GOOD_AT, KINDS, START, model, query, rows

pytestmark = pytest.mark.anyio

POEM, SUM = query("poem", 500), query("sum", 500)


def learner_of(
    store: Store,
    indexer: Indexer,
    mode: RoutingMode = RoutingMode.ON,
    sharing: Sharing = Sharing.PRINCIPAL,
    default: str | None = None,
) -> RoutingLearner:
    return RoutingLearner(store, indexer.index, mode=mode, sharing=sharing, default=default)


def desk_of(store: Store, learner: RoutingLearner) -> RoutingDesk:
    return RoutingDesk(store, learner, keep=10_000)


def selector_of(
    store: Store, indexer: Indexer, learner: RoutingLearner, explore_share: float = 0.0
) -> RoutedSelector:
    models = ModelSelector(store, indexer.index)
    return RoutedSelector(models, learner, indexer.index, explore_share=explore_share)


async def imported(
    store: Store, learner: RoutingLearner, given: list[OutcomeRow], tenant: str = EVERYONE
) -> RoutingDesk:
    desk = desk_of(store, learner)
    await desk.record(
        given, principal="local", tenant=tenant, source=RatingSource.IMPORT, limited=False
    )
    await learner.look()
    return desk


async def test_before_anything_is_learned_selection_is_as_it_was(
    store: Store, indexer: Indexer
) -> None:
    await indexer.catch_up()
    learner = learner_of(store, indexer)
    await learner.look()
    plain = await ModelSelector(store, indexer.index).select(POEM)
    routed = await selector_of(store, indexer, learner).select(POEM)
    assert (routed.choices, routed.notes) == (plain.choices, plain.notes)
    weighed = await selector_of(store, indexer, learner).select(POEM, weights=Weights(cost=1))
    assert "No outcomes are in use" in weighed.notes[-1]


async def test_each_kind_of_question_goes_to_the_model_that_is_good_at_it(
    store: Store, indexer: Indexer
) -> None:
    await indexer.catch_up()
    learner = learner_of(store, indexer)
    desk = await imported(store, learner, rows(60))
    selector = selector_of(store, indexer, learner)

    (state,) = await desk.states()
    assert (state.state, state.outcomes, state.queries) == ("used", 240, 120)
    for text, name in ((POEM, "poet"), (SUM, "clerk")):
        selection = await selector.select(text)
        assert selection.choices[0].candidate.model.name == name
        expected = selection.choices[0].expected
        assert expected is not None
        assert expected.low <= expected.quality <= expected.high
        assert expected.outcomes == 120
        assert expected.reason in selection.choices[0].reasons
        assert not any("Ranked by relevance" in said for said in selection.choices[0].reasons)
    routed = await selector.select_many([POEM, SUM])
    assert [one.choice.model for one in routed] == ["poet", "clerk"]
    by_cost = await selector.select(POEM, objective=Objective.COST)
    assert by_cost.routing is None


async def test_a_hard_limit_is_never_crossed_whatever_is_expected(
    store: Store, indexer: Indexer
) -> None:
    store.put_model(model("poet", spdx="GPL-3.0"), actor="test")
    await indexer.catch_up()
    learner = learner_of(store, indexer)
    await imported(store, learner, rows(60))
    selector = selector_of(store, indexer, learner, explore_share=0.2)
    limits = Constraints(licenses=frozenset({"MIT"}))
    for _ in range(20):
        selection = await selector.select(POEM, constraints=limits, callable_only=True)
        assert [choice.candidate.model.name for choice in selection.choices] == ["clerk"]
        assert selection.routing is not None
        assert [one.model for one in selection.routing.choice.ranked] == ["clerk"]
    assert selector.explorer.explored == 0
    routed = await selector.select_many([POEM], constraints=limits)
    assert routed[0].choice.model == "clerk"


async def test_a_few_outcomes_are_shown_and_decide_nothing(store: Store, indexer: Indexer) -> None:
    await indexer.catch_up()
    learner = learner_of(store, indexer, default="clerk")
    desk = await imported(store, learner, rows(4))
    (state,) = await desk.states()
    assert (state.state, "are needed" in state.reason) == ("unjudged", True)
    selection = await selector_of(store, indexer, learner).select(POEM)
    assert selection.choices[0].candidate.model.name == "clerk"
    assert "Predictions do not decide" in " ".join(selection.notes)


async def test_a_new_model_is_expected_something_and_needs_to_be_sure_to_be_chosen(
    store: Store, indexer: Indexer
) -> None:
    store.add_model(model("newcomer"), actor="test")
    await indexer.catch_up()
    learner = learner_of(store, indexer)
    await imported(store, learner, rows(60))
    selection = await selector_of(store, indexer, learner).select(POEM)
    by_name = {choice.candidate.model.name: choice.expected for choice in selection.choices}
    newcomer, poet = by_name["newcomer"], by_name["poet"]
    assert newcomer is not None
    assert poet is not None
    assert newcomer.outcomes == 0
    assert newcomer.spread > poet.spread
    assert selection.choices[0].candidate.model.name == "poet"


async def test_the_same_outcomes_again_change_nothing(store: Store, indexer: Indexer) -> None:
    await indexer.catch_up()
    desk = desk_of(store, learner_of(store, indexer))
    once = await desk.record(rows(3), principal="p", limited=False)
    kept = store.routing.list_outcomes("p")
    again = await desk.record(rows(3), principal="p", limited=False)
    assert (once.added, again.added, again.updated, again.unchanged) == (12, 0, 0, 12)
    assert store.routing.list_outcomes("p") == kept
    first = rows(3)[0]
    mended = OutcomeRow(where="x", query=first.query, model=first.model, score=0.1)
    assert (await desk.record([mended], principal="p")).updated == 1


async def test_two_trials_of_one_pair_are_two_outcomes(store: Store, indexer: Indexer) -> None:
    desk = desk_of(store, learner_of(store, indexer))
    pair = [rows(1)[0], rows(1)[0]]
    assert (await desk.record(pair, principal="p")).added == 2
    assert (await desk.record(pair, principal="p")).unchanged == 2


async def test_outcomes_of_unknown_models_are_refused_by_place(
    store: Store, indexer: Indexer
) -> None:
    desk = desk_of(store, learner_of(store, indexer))
    wrong = OutcomeRow(where="line 7", query="x", model="peot", score=1)
    recorded = await desk.record([wrong, rows(1)[0]], principal="p")
    assert (recorded.added, len(recorded.refusals)) == (1, 1)
    assert str(recorded.refusals[0]).startswith("line 7: no model is registered as 'peot'")


async def test_a_principal_may_say_so_much_a_day(store: Store, indexer: Indexer) -> None:
    desk = desk_of(store, learner_of(store, indexer))
    many = rows(DAILY_LIMIT // 4)
    await desk.record(many, principal="p")
    with pytest.raises(NotPermitted, match="a day are taken"):
        await desk.record(many[:1], principal="p")
    assert (await desk.record(many[:1], principal="q")).added == 1


@pytest.mark.parametrize("mode", [RoutingMode.OFF, RoutingMode.RECORD])
async def test_where_it_is_off_nothing_is_used(
    store: Store, indexer: Indexer, mode: RoutingMode
) -> None:
    await indexer.catch_up()
    learner = learner_of(store, indexer, mode)
    desk = desk_of(store, learner)
    if mode is RoutingMode.OFF:
        with pytest.raises(NotPermitted, match="TOOLCRIB_ROUTING"):
            await desk.record(rows(40), principal="local")
        return
    await desk.record(rows(40), principal="local", limited=False)
    await learner.look()
    assert learner.policy("local") is None
    assert (await desk.states())[0].state == "off"


async def test_a_tenant_uses_its_own_outcomes_and_everyones_and_no_others(
    store: Store, indexer: Indexer
) -> None:
    await indexer.catch_up()
    learner = learner_of(store, indexer)
    desk = await imported(store, learner, rows(40))
    worse = [OutcomeRow(where="x", query=POEM, model="poet", score=0.0)]
    await desk.record(worse, principal="key-1")
    await learner.look()
    own, shared = learner.policy("key-1"), learner.policy("key-2")
    assert own is not None
    assert shared is not None
    assert (own.tenant, shared.tenant) == ("key-1", EVERYONE)
    assert own.queries == shared.queries + 1


async def test_it_is_learned_again_when_something_changed_and_not_at_once(
    store: Store, indexer: Indexer
) -> None:
    await indexer.catch_up()
    now = utc_now()
    learner = RoutingLearner(
        store,
        indexer.index,
        mode=RoutingMode.ON,
        sharing=Sharing.PRINCIPAL,
        now=lambda: now,
    )
    desk = await imported(store, learner, rows(40))
    first = learner.policy("x")
    await learner.look()
    assert learner.policy("x") is first
    await desk.record(rows(50)[-4:], principal="local", tenant=EVERYONE)
    await learner.look()
    assert learner.policy("x") is first
    now += timedelta(hours=1)
    await learner.look()
    second = learner.policy("x")
    assert second is not None
    assert second is not first
    now += timedelta(hours=1)
    store.add_model(model("newcomer"), actor="test")
    await learner.look()
    assert learner.policy("x") is not second


async def test_forgetting_takes_the_policy_and_the_vectors_with_it(
    store: Store, indexer: Indexer
) -> None:
    await indexer.catch_up()
    learner = learner_of(store, indexer)
    desk = await imported(store, learner, rows(40))
    encoder = (await indexer.index()).encoder
    key = hash_query(query("poem", 1))
    assert store.get_embeddings(encoder.id, [key])
    assert await desk.forget(tenant=EVERYONE) == 160
    assert learner.policy("local") is None
    assert not store.get_embeddings(encoder.id, [key])
    await learner.look()
    assert learner.policy("local") is None
    assert await desk.states() == ()


async def test_a_stream_that_lies_does_not_turn_the_choice(store: Store, indexer: Indexer) -> None:
    await indexer.catch_up()
    learner = learner_of(store, indexer, sharing=Sharing.EVERYONE)
    desk = desk_of(store, learner)
    for number, principal in enumerate(("a", "b", "c", "d")):
        own = [
            OutcomeRow(where="", query=f"{row.query} {number}", model=row.model, score=row.score)
            for row in rows(20)
        ]
        await desk.record(own, principal=principal)
    lies = [
        OutcomeRow(
            where="",
            query=query("poem", number),
            model=name,
            score=0.0 if name == "poet" else 1.0,
        )
        for number in range(600)
        for name in GOOD_AT
    ]
    await desk.record(lies, principal="liar")
    await learner.look()

    selection = await selector_of(store, indexer, learner).select(POEM, principal="a")

    assert selection.choices[0].candidate.model.name == "poet"
    (state,) = await desk.states()
    assert len(state.set_aside) == 1
    assert state.set_aside[0].startswith("liar: ")


async def test_outside_of_every_domain_the_default_is_kept(store: Store, indexer: Indexer) -> None:
    await indexer.catch_up()
    learner, poem = learner_of(store, indexer, default="clerk"), query("poem", 31)
    desk = desk_of(store, learner)
    await desk.put_domain("poetry", [query("poem", n) for n in range(30)])
    await learner.look()
    selector = selector_of(store, indexer, learner)
    inside = await selector.select(poem)
    assert inside.routing is not None
    assert inside.routing.domain is not None
    assert inside.routing.domain.domain == "poetry"
    assert inside.routing.choice.model is None

    await imported(store, learner, rows(60))
    await learner.look(at_once=True)
    outside = await selector.select("why does my kettle whistle at breakfast")
    assert outside.choices[0].candidate.model.name == "clerk"
    assert any("outside every domain" in note for note in outside.notes)
    assert (await selector.select(poem)).choices[0].candidate.model.name == "poet"

    with pytest.raises(NotFound):
        await desk.remove_domain("poesy")
    await desk.remove_domain("poetry")
    assert await desk.list_domains() == ()


async def test_a_budget_and_weights_decide_among_what_is_expected(
    store: Store, indexer: Indexer
) -> None:
    await indexer.catch_up()
    learner = learner_of(store, indexer)
    cheap = [
        OutcomeRow(
            where=row.where,
            query=row.query,
            model=row.model,
            score=row.score,
            cost_usd=0.01 if row.model == "poet" else 0.001,
        )
        for row in rows(60)
    ]
    await imported(store, learner, cheap)
    selector = selector_of(store, indexer, learner)
    assert (await selector.select(POEM)).choices[0].candidate.model.name == "poet"
    for weights in (Weights(cost=2.0), Weights(max_cost_usd=0.005)):
        selection = await selector.select(POEM, weights=weights)
        assert selection.choices[0].candidate.model.name == "clerk"
    none = await selector.select(POEM, weights=Weights(max_cost_usd=0.0001))
    assert none.routing is not None
    assert none.routing.choice.model is None
    assert "No candidate is expected to stay within the budget." in none.notes


async def test_it_learns_by_itself_while_selections_go_on(store: Store, indexer: Indexer) -> None:
    await indexer.catch_up()
    learner = learner_of(store, indexer)
    desk = desk_of(store, learner)
    selector = selector_of(store, indexer, learner)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: learner.run(interval_s=0.01))
        assert (await selector.select(POEM)).routing is None
        await desk.record(rows(40), principal="local", tenant=EVERYONE)
        with anyio.fail_after(30):
            while learner.policy("local") is None:
                await anyio.lowlevel.checkpoint()
        assert (await selector.select(SUM)).choices[0].candidate.model.name == "clerk"
        tasks.cancel_scope.cancel()


def test_the_kinds_and_the_models_of_this_file_match() -> None:
    assert set(GOOD_AT.values()) == set(KINDS)


async def test_what_is_expected_of_a_model_follows_it_when_it_changes(
    store: Store, indexer: Indexer
) -> None:
    await indexer.catch_up()
    clock = [START]
    learner = RoutingLearner(
        store,
        indexer.index,
        mode=RoutingMode.ON,
        sharing=Sharing.PRINCIPAL,
        now=lambda: clock[0],
    )
    desk = desk_of(store, learner)
    for number in range(120):
        clock[0] = START + timedelta(hours=number)
        good = 0.9 if number < 80 else 0.1
        told = [
            OutcomeRow(
                where="x", query=f"{query('poem', number)} {number}", model=name, score=score
            )
            for name, score in (("poet", good), ("clerk", 0.5))
        ]
        await desk.record(
            told, principal="l", tenant=EVERYONE, source=RatingSource.VERIFIER, limited=False
        )
    await learner.look(at_once=True)
    policy = learner.policy("local")
    assert policy is not None
    (drift,) = policy.drifts
    assert (drift.model, drift.latest, drift.left_out) == ("poet", 40, 80)
    assert "80 from before are left out" in drift.reason
    selection = await selector_of(store, indexer, learner).select(POEM)
    assert selection.routing is not None
    expected = {one.model: one.quality for one in selection.routing.choice.ranked}
    assert expected["poet"] < 0.3, "its past would have said 0.63"
    (state,) = await desk.states()
    assert state.drifts == (drift.reason,)


async def test_what_others_only_say_of_cost_is_not_believed(store: Store, indexer: Indexer) -> None:
    await indexer.catch_up()
    learner = learner_of(store, indexer)
    desk = desk_of(store, learner)
    await imported(store, learner, rows(30, cost_usd=0.01))
    lies = [
        OutcomeRow(where="x", query=query("poem", n), model="poet", cost_usd=0.0, latency_ms=1.0)
        for n in range(30)
    ]
    await desk.record(lies, principal="liar", tenant=EVERYONE, source=RatingSource.FEEDBACK)
    await learner.look(at_once=True)
    selection = await selector_of(store, indexer, learner).select(POEM)
    assert selection.routing is not None
    poet = next(one for one in selection.routing.choice.ranked if one.model == "poet")
    assert poet.cost_usd == pytest.approx(0.01)
    assert poet.latency_ms is None


async def test_what_calls_measured_joins_what_outcomes_say(store: Store, indexer: Indexer) -> None:
    await indexer.catch_up()
    learner = learner_of(store, indexer)
    await imported(store, learner, rows(60))
    now = datetime.now(UTC)
    figures = RollingFigures(renewed_s=0)
    feed = FiguresFeed(store, figures)
    for number in range(40):
        for name, ms in (("poet", 8_000.0), ("clerk", 200.0)):
            measured = Measured(
                id=f"{name}/{number}",
                at=now,
                outcome="ok" if name == "clerk" or number % 2 else "upstream-error",
                duration_ms=ms,
                tokens_in=20,
                tokens_out=100,
            )
            figures.note(f"{name}@here/{name}", measured)
    models = ModelSelector(store, indexer.index, measuring=feed)
    selector = RoutedSelector(models, learner, indexer.index)

    selection = await selector.select(POEM)
    assert selection.routing is not None
    by_name = {one.model: one for one in selection.routing.choice.ranked}
    assert by_name["clerk"].latency_ms == pytest.approx(200, rel=0.05)
    assert by_name["poet"].latency_ms is not None
    assert by_name["poet"].latency_ms > 10_000, "half of its calls are made again"
    assert by_name["poet"].reliability < 0.7
    assert "measured over 40 calls" in by_name["poet"].reason
    chosen = selection.choices[0]
    assert chosen.forecast is not None
    assert chosen.forecast.calls == 40
    hurried = await selector.select(POEM, weights=Weights(max_latency_ms=1_000))
    assert hurried.choices[0].candidate.model.name == "clerk"
    weighed = await selector.select(POEM, weights=Weights(latency=2))
    assert weighed.choices[0].candidate.model.name == "clerk"
    limits = Constraints(max_error_rate=0.1)
    able = await selector.select(POEM, constraints=limits)
    assert [choice.candidate.model.name for choice in able.choices] == ["clerk"]
    (routed,) = await selector.select_many([POEM], weights=Weights(max_latency_ms=1_000))
    assert routed.choice.model == "clerk"
