"""Exploration stays within its share, and within what the caller allows."""

from toolcrib_server.routing.exploring import Explorer
from toolcrib_server.selection.routing.choice import Expectation, RoutedChoice


def expectation(
    model: str, quality: float, spread: float, within_budget: bool = True
) -> Expectation:
    return Expectation(
        model=model,
        quality=quality,
        spread=spread,
        evidence=1,
        outcomes=5,
        within_budget=within_budget,
    )


def choice(*ranked: Expectation) -> RoutedChoice:
    return RoutedChoice(
        model=ranked[0].model, default=None, gain=0, uncertainty=0, reasons=("best",), ranked=ranked
    )


UNSURE = choice(expectation("known", 0.7, 0.01), expectation("unknown", 0.5, 0.3))


def test_never_more_than_the_share() -> None:
    explorer = Explorer(0.1)
    for routed in range(1, 501):
        explorer.explore(UNSURE)
        assert explorer.explored <= 0.1 * routed
    assert explorer.explored == 50


def test_without_a_budget_nothing_is_tried() -> None:
    explorer = Explorer(0.0)
    assert {explorer.explore(UNSURE).model for _ in range(1_000)} == {"known"}


def test_what_could_not_do_better_or_is_over_the_budget_is_not_tried() -> None:
    explorer = Explorer(0.2)
    hopeless = choice(expectation("known", 0.7, 0.01), expectation("unknown", 0.1, 0.05))
    dear = choice(
        expectation("known", 0.7, 0.01), expectation("unknown", 0.5, 0.3, within_budget=False)
    )
    for one in (hopeless, dear):
        assert {explorer.explore(one).model for _ in range(50)} == {"known"}


def test_what_is_tried_says_so() -> None:
    explorer = Explorer(0.2)
    tried = [one for _ in range(10) if (one := explorer.explore(UNSURE)).model == "unknown"]
    assert len(tried) == 2
    assert tried[0].reasons[0].startswith("Tried to learn more of it")
