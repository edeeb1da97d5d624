"""Every failure is an RFC 9457 problem: one shape, no trace, no secret, no input repeated."""

import logging

import anyio
import httpx
import pytest

from toolcrib_registry import errors
from toolcrib_registry.errors import ToolcribError
from toolcrib_server.guard import MAX_BODY_BYTES, BodyGuard
from toolcrib_server.rest.problems import LastResort, problem_of

pytestmark = pytest.mark.anyio


def kinds(root=ToolcribError):
    yield root
    for kind in root.__subclasses__():
        yield from kinds(kind)


async def test_every_error_of_the_tree_has_a_status_and_a_code_of_its_own():
    tree = list(kinds())
    assert len({kind.code for kind in tree}) == len(tree)
    for kind in tree:
        error = kind.__new__(kind, "what happened")
        Exception.__init__(error, "what happened")
        error.detail = "what happened"
        if isinstance(error, errors.InvalidArguments):
            error.problems = ()
        problem = problem_of(error)
        assert problem.code == kind.code
        assert problem.detail == "what happened"
        assert 400 <= problem.status < 600
        if kind is not ToolcribError:
            assert problem.status != 500, kind


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not-found"),
        ("GET", "/api/v1/nowhere", 404, "not-found"),
        ("DELETE", "/api/v1/search", 405, "method-not-allowed"),
        ("PATCH", "/healthz", 405, "method-not-allowed"),
    ],
)
async def test_what_is_not_there_is_a_problem_too(api, method, path, status, code):
    answer = await api.http.request(method, path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == code
    assert answer.json()["type"] == f"urn:toolcrib:problem:{code}"


@pytest.mark.parametrize(
    "content",
    [
        b"{not json",
        b"",
        b"[]",
        b"null",
        b'"text"',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"query": "x", "k": ' + b"9" * 5000 + b"}",
        b'{"query": "\\ud800"}',
        b'{"query": "a\\u0000b"}',
        b'{"query": "x", "k": NaN}',
        b'{"query": "x", "k": 1e999}',
    ],
)
async def test_a_body_that_is_no_query_is_refused_with_a_reason(api, content):
    headers = {"content-type": "application/json"}
    answer = await api.http.post("/api/v1/search", content=content, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["detail"]
    assert "Traceback" not in answer.text


async def test_a_field_that_does_not_fit_is_named_with_what_was_expected(api):
    answer = await api.http.post("/api/v1/search", json={"query": "x", "k": "many"})
    (problem,) = answer.json()["errors"]
    assert problem["path"] == "k"
    assert "integer" in problem["expected"]


async def test_a_missing_field_is_named(api):
    answer = await api.http.post("/api/v1/call", json={})
    assert answer.json()["errors"] == [{"path": "name", "problem": "is missing"}]


async def test_an_unknown_field_is_answered_with_the_near_one(api):
    answer = await api.http.post("/api/v1/search", json={"query": "x", "servrs": ["a"]})
    assert answer.status_code == 400
    assert "did you mean 'servers'?" in answer.json()["detail"]


async def test_either_spelling_is_taken(api):
    for name in ("maxTokens", "max_tokens"):
        answer = await api.http.post("/api/v1/search", json={"query": "x", name: 5})
        assert answer.status_code == 200


async def test_input_that_does_not_fit_is_not_repeated(api):
    body = {
        "name": "s",
        "transport": {"type": "http", "url": "nonsense-s3cr3t", "headers": {"a": ["s3cr3t"]}},
    }
    answer = await api.http.post("/api/v1/servers", json=body)
    assert answer.status_code == 400
    assert "s3cr3t" not in answer.text


async def test_deep_arguments_are_refused_and_ordinary_ones_are_not(api):
    def nested(depth):
        return {"a": nested(depth - 1)} if depth else 1

    api.add_tools("desk", "stapler")
    fine = {"name": "desk__stapler", "arguments": nested(60)}
    assert (await api.http.post("/api/v1/call", json=fine)).status_code == 200
    deep = {"name": "desk__stapler", "arguments": nested(65)}
    answer = await api.http.post("/api/v1/call", json=deep)
    assert answer.status_code == 400
    assert "64 levels" in answer.json()["detail"]


async def test_a_body_that_never_ends_is_given_up():
    sent = []

    async def receive():
        await anyio.sleep_forever()
        return {}

    async def send(message):
        sent.append(message)

    async def unreached(scope, receive, send):
        raise AssertionError("the body was not complete")

    scope = {"type": "http", "method": "POST", "path": "/", "headers": []}
    await BodyGuard(unreached, timeout_s=0.01)(scope, receive, send)
    assert sent[0]["status"] == 408


@pytest.mark.parametrize("is_declared", [True, False])
async def test_a_body_over_the_limit_is_refused_whether_it_says_so_or_not(api, is_declared):
    whole = b'{"query": "' + b"x" * MAX_BODY_BYTES + b'"}'

    async def in_parts():
        for start in range(0, len(whole), 65_536):
            yield whole[start : start + 65_536]

    content = whole if is_declared else in_parts()
    answer = await api.http.post("/api/v1/search", content=content)
    assert answer.status_code == 413
    assert answer.json()["code"] == "content-too-large"


async def test_the_unexpected_is_logged_under_the_id_that_is_answered(open_api, caplog):
    async with open_api(failures={"t": RuntimeError("password=hunter2")}) as api:
        with caplog.at_level(logging.ERROR):
            answer = await api.http.post("/api/v1/call", json={"name": "t"})
    assert answer.status_code == 500
    assert answer.json()["code"] == "internal-error"
    assert "hunter2" not in answer.text
    assert "RuntimeError" not in answer.text
    instance = answer.json()["instance"]
    assert instance.startswith("urn:uuid:")
    assert any(instance in record.getMessage() for record in caplog.records)


async def test_a_failure_after_the_answer_began_is_not_papered_over():
    async def half(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("late")

    transport = httpx.ASGITransport(LastResort(half))
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as http:
        with pytest.raises(RuntimeError, match="late"):
            await http.get("/")
