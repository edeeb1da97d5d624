"""What a search over HTTP passes on, in both directions."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import pytest

from toolcrib_embeddings import Signal
from toolcrib_embeddings.abstention.calibration import Basis, Grounds
from toolcrib_registry import wire
from toolcrib_registry.types import EntryKind, Revision
from toolcrib_server.rest.app import build_api
from toolcrib_server.selection.brief import brief_of
from toolcrib_server.selection.question import EVERY_STAGE, NO_FILTERS, Filters, Rerank, Stages
from toolcrib_server.selection.selector import Answer, Found

from .conftest import Api, tool

pytestmark = pytest.mark.anyio


@dataclass
class OneAnswer:
    """A searcher that knows one answer, and keeps what it was asked."""

    answer: Answer
    asked: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    async def search(
        self,
        query: str | Sequence[str],
        *,
        k: int = 5,
        filters: Filters = NO_FILTERS,
        stages: Stages = EVERY_STAGE,
        principal: str = "",
    ) -> Answer:
        assert principal == "local", "whose use was learned from"
        self.asked.append({"query": query, "k": k, "filters": filters, "stages": stages})
        return self.answer

    async def read(self, found: Sequence[Found]) -> dict[Any, Any]:
        return {}


SIGNALS = {"dense": Signal(1, 0.5, 1.25), "name": Signal(2, 0.1)}
FOUND = Found(
    brief_of(tool("desk", "stapler")),
    1.5,
    SIGNALS,
    alternatives=("shed__stapler",),
    required_by=("desk__lamp",),
    steps=(1,),
    likelihood=0.25,
)
ANSWER = Answer(
    ("a", "b"),
    (FOUND,),
    Revision(3),
    searched=9,
    steps=("a", "b"),
    unanswered=(1,),
    step_likelihoods=(0.8, 0.1234567),
    likelihood=0.3,
    abstained=True,
    grounds=Grounds(error_rate=0.02, basis=Basis.CONFIRMED, questions=120),
    unwanted=("not c",),
    reranked=True,
    took_ms=4.25,
)


async def ask(api: Api, searcher: OneAnswer, method: str, **request: Any) -> dict[str, Any]:
    transport = httpx.ASGITransport(build_api(replace(api.deps, searcher=searcher)))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
        answer = await http.request(method, "/api/v1/search", **request)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_all_that_is_known_of_an_answer_is_shown(api):
    body = {"query": ["a", "b"], "explain": True, "groupBy": "server"}
    shown = await ask(api, OneAnswer(ANSWER), "POST", json=body)
    (hit,) = shown.pop("hits")
    assert shown == {
        "query": ["a", "b"],
        "revision": 3,
        "searched": 9,
        "leftOut": 0,
        "steps": ["a", "b"],
        "unanswered": [1],
        "stepLikelihoods": [0.8, 0.123457],
        "likelihood": 0.3,
        "abstained": True,
        "grounds": {"errorRate": 0.02, "basis": "confirmed", "questions": 120},
        "unwanted": ["not c"],
        "splitBy": None,
        "readBy": None,
        "english": None,
        "notice": None,
        "reranked": True,
        "rerankOff": None,
        "lexicalOnly": False,
        "lexicalOnlyReason": None,
        "tookMs": 4.25,
        "groups": [{"server": "desk", "names": ["desk__stapler"]}],
    }
    assert hit["signals"] == {
        "dense": {"rank": 1, "score": 0.5, "contribution": 1.25},
        "name": {"rank": 2, "score": 0.1, "contribution": None},
    }
    assert (hit["alternatives"], hit["requiredBy"]) == (["shed__stapler"], ["desk__lamp"])
    assert (hit["steps"], hit["likelihood"]) == ([1], 0.25)


async def test_unexplained_it_says_what_found_a_hit(api):
    (hit,) = (await ask(api, OneAnswer(ANSWER), "POST", json={"query": "a"}))["hits"]
    assert hit["signals"] == {"dense": {"rank": 1, "score": 0.5, "contribution": None}}


WANTED = {
    "query": "a",
    "k": 7,
    "filters": Filters.of(
        kinds=[EntryKind.TOOL], servers=["desk"], tags=["x", "y"], read_only=True, destructive=False
    ),
    "stages": Stages(rerank=Rerank.ON, split=False, fold=False, dependencies=False),
}


@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_every_option_reaches_the_search(api, method):
    searcher = OneAnswer(ANSWER)
    stages = {"rerank": "on", "split": False, "fold": False, "dependencies": False}
    plain = {"query": "a", "k": 7, "readOnly": True, "destructive": False, **stages}
    if method == "POST":
        body = {**plain, "kinds": ["tool"], "servers": ["desk"], "tags": ["x", "y"]}
        await ask(api, searcher, method, json=body)
    else:
        params = {**plain, "kind": "tool", "server": "desk", "tag": ["x", "y"]}
        await ask(api, searcher, method, params=params)
    assert searcher.asked == [WANTED]


async def test_by_default_nothing_is_narrowed_and_every_stage_runs(api):
    searcher = OneAnswer(ANSWER)
    for method, how in (("POST", "json"), ("GET", "params")):
        await ask(api, searcher, method, **{how: {"query": "a"}})
    assert searcher.asked == 2 * [
        {"query": "a", "k": 5, "filters": NO_FILTERS, "stages": EVERY_STAGE}
    ]


async def test_hits_keep_within_the_tokens_asked_for(api):
    many = replace(ANSWER, found=(FOUND,) * 9)
    count = api.deps.count_tokens
    for budget in (1, 100, 300, 10_000):
        shown = await ask(api, OneAnswer(many), "POST", json={"query": "a", "maxTokens": budget})
        hits = shown["hits"]
        given = [wire.SearchHit.model_validate(hit) for hit in hits]
        assert sum(count(hit.model_dump_json(exclude_none=True)) for hit in given) <= budget
        assert shown["leftOut"] == 9 - len(hits)
    assert len(hits) == 9


@pytest.mark.parametrize(("wrong", "meant"), [("read_only", "readOnly"), ("servers", "server")])
async def test_a_misspelt_parameter_is_refused_and_not_passed_over(api, wrong: str, meant: str):
    transport = httpx.ASGITransport(build_api(api.deps))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
        answer = await http.get("/api/v1/search", params={"query": "x", wrong: "true"})
    assert answer.status_code == 400
    assert answer.json()["detail"] == f"There is no parameter '{wrong}'. Did you mean {meant}?"
