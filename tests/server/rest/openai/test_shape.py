"""Errors of every kind have OpenAI's shape on its paths, and stay problems for everybody else."""

import pytest

from toolcrib_clients.problems import error_from
from toolcrib_registry.errors import NotAuthenticated
from toolcrib_server.chat.reply import Reply
from toolcrib_server.guard import ApiKey, KeyRing
from toolcrib_server.rest.app import build_api
from toolcrib_server.rest.openai.answering import headers_of
from toolcrib_server.rest.openai.shape import error_of
from toolcrib_server.rest.testing import open_deps

pytestmark = pytest.mark.anyio


@pytest.fixture
async def http(tmp_path):
    import httpx

    keys = KeyRing([ApiKey("reader", "user-key-0123456789")])
    with open_deps(tmp_path, keys=keys) as deps:
        transport = httpx.ASGITransport(build_api(deps))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            yield client


KNOWN = {"authorization": "Bearer user-key-0123456789"}


async def test_a_guards_refusal_is_openais_error_and_a_problem_at_once(http):
    answer = await http.post("/v1/chat/completions", json={})
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/json"
    assert int(answer.headers["content-length"]) == len(answer.content)
    error = answer.json()["error"]
    assert (error["type"], error["code"]) == ("authentication_error", "invalid_api_key")
    assert "Bearer" in error["message"]
    assert isinstance(error_from(answer), NotAuthenticated)


async def test_a_body_that_is_too_large_and_a_path_that_is_none_have_that_shape_too(http):
    large = await http.post("/v1/embeddings", content=b" " * (33 * 1024 * 1024), headers=KNOWN)
    assert large.status_code == 413
    assert "33554432 bytes" in large.json()["error"]["message"]
    nothing = await http.get("/v1/nothing", headers=KNOWN)
    assert nothing.status_code == 404
    assert "/v1/nothing" in nothing.json()["error"]["message"]
    wrong = await http.get("/v1/embeddings", headers=KNOWN)
    assert (wrong.status_code, wrong.json()["error"]["type"]) == (405, "invalid_request_error")


async def test_a_conflict_is_a_bad_request_that_is_not_sent_again(http):
    answer = await http.get("/v1/models", headers=KNOWN)
    assert answer.status_code == 400
    assert answer.headers["x-should-retry"] == "false"
    assert answer.json()["error"]["code"] == "not_callable"


async def test_other_paths_keep_their_problems_and_their_limit(http):
    answer = await http.get("/api/v1/tools/none", headers=KNOWN)
    assert answer.headers["content-type"] == "application/problem+json"
    assert "error" not in answer.json()
    large = await http.post("/api/v1/search", content=b" " * (5 * 1024 * 1024), headers=KNOWN)
    assert large.status_code == 413


@pytest.mark.parametrize(
    ("problem", "kind", "code"),
    [
        ({"status": 429, "code": "rate-limited"}, "rate_limit_error", "rate_limit_exceeded"),
        ({"status": 429, "code": "budget-exceeded"}, "rate_limit_error", "insufficient_quota"),
        ({"status": 409, "code": "no-model-fits"}, "invalid_request_error", "no_model_fits"),
        (
            {"status": 404, "code": "not-found", "data": {"what": "model"}},
            "invalid_request_error",
            "model_not_found",
        ),
        ({"status": 503, "code": "upstream-unavailable"}, "server_error", "upstream_unavailable"),
    ],
)
def test_codes_are_those_that_programs_look_for(problem, kind, code):
    error = error_of({"detail": "why", **problem})
    assert (error["message"], error["type"], error["code"]) == ("why", kind, code)


def test_words_of_others_do_not_split_headers():
    from toolcrib_registry.types import Model, Offer
    from toolcrib_server.invocation.models.order import Pick
    from toolcrib_server.selection.candidate import Candidate

    offer = Offer(provider="a\r\nset-cookie: x", remote_model="m")
    pick = Pick(Candidate(Model(name="ä" * 2000, offers=(offer,)), offer), ("one\n\ntwo",))
    reply = Reply(
        answer={},
        model=pick.candidate.model.name,
        provider=pick.candidate.provider,
        reasons=pick.reasons,
        cost_usd=None,
    )
    headers = headers_of(reply)
    assert headers["x-toolcrib-provider"] == "a set-cookie: x"
    assert headers["x-toolcrib-reason"] == "one two"
    assert len(headers["x-toolcrib-model"]) == 1000
    assert all(value.isascii() and value.isprintable() for value in headers.values())
