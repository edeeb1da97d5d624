"""Who is heard: a stream of feedback that lies is bounded, and set aside where it contradicts."""

from toolcrib_registry.types import ModelOutcome, RatingSource
from toolcrib_server.routing.voices import MOST_SHARE, hear

from .conftest import said

TRUTH = {"poet": 0.9, "clerk": 0.3}


def stream(principal: str, scores: dict[str, float], count: int = 15) -> list[ModelOutcome]:
    return [
        said(n, principal=principal, model=model, score=score, query=f"{principal} asks {n}")
        for n in range(count)
        for model, score in scores.items()
    ]


def test_who_contradicts_all_others_is_not_heard() -> None:
    honest = [one for p in ("a", "b", "c") for one in stream(p, TRUTH)]
    liar = stream("liar", {"poet": 0.0, "clerk": 1.0})

    heard = hear([*honest, *liar])

    assert list(heard.set_aside) == ["liar"]
    assert "lies" in heard.set_aside["liar"]
    assert {one.principal for one in heard.outcomes} == {"a", "b", "c"}


def test_who_asks_harder_questions_is_heard_all_the_same() -> None:
    honest = [one for p in ("a", "b") for one in stream(p, TRUTH)]
    harder = stream("c", {"poet": 0.6, "clerk": 0.0})

    assert not hear([*honest, *harder]).set_aside


def test_nobody_is_set_aside_where_there_is_nothing_to_compare_with() -> None:
    assert not hear(stream("only", {"poet": 0.0, "clerk": 1.0})).set_aside


def test_a_loud_voice_makes_at_most_its_share_of_what_is_known_of_a_model() -> None:
    quiet = [one for p in ("a", "b") for one in stream(p, {"poet": 0.3})]
    loud = stream("loud", {"poet": 1.0}, count=500)

    heard = hear([*quiet, *loud])

    share = sum(one.principal == "loud" for one in heard.outcomes) / len(heard.outcomes)
    assert 0 < share <= MOST_SHARE
    assert heard.bounded == {"loud": 490}
    latest = max(one.at for one in loud)
    assert any(one.at == latest for one in heard.outcomes if one.principal == "loud")


def test_feedback_is_not_heard_against_a_check_of_the_same_answer() -> None:
    checked = said(1, source=RatingSource.VERIFIER, score=0.0, principal="ci", id="checked")
    praise = said(1, score=1.0)

    assert hear([checked, praise]).outcomes == (checked,)


def test_in_its_own_tenant_a_principal_is_heard_as_it_is() -> None:
    checked = [
        said(n, source=RatingSource.IMPORT, model=model, score=score, id=f"i{model}{n}")
        for n in range(30)
        for model, score in TRUTH.items()
    ]
    own = stream("key-7", {"poet": 0.0, "clerk": 1.0}, count=60)

    assert list(hear([*checked, *own]).set_aside) == ["key-7"]
    heard = hear([*checked, *own], own="key-7")
    assert not heard.set_aside
    assert len(heard.outcomes) == len(checked) + len(own)
