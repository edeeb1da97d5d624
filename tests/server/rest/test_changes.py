"""The change log with its differences, as a stream, and what a tool said before."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import anyio
import pytest

from toolcrib_registry.types import (
    EntryChanges,
    EntryId,
    HttpTransport,
    Model,
    Server,
    ServerName,
    hash_content,
)
from toolcrib_server.rest.app import build_api

from .conftest import Api, tool

pytestmark = pytest.mark.anyio


def reword(api: Api, server: str, name: str, **said: Any) -> None:
    """Have a server say something else of a tool."""
    old = tool(server, name)
    definition = {**old.definition, **said}
    new = replace(
        old,
        definition=definition,
        description=definition["description"],
        content_hash=hash_content(definition),
    )
    api.deps.store.apply(EntryChanges(server=ServerName(server), upserts=(new,)), actor="test")


async def get(api: Api, path: str, **params: Any) -> Any:
    answer = await api.http.get(f"/api/v1{path}", params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_diff_says_how_the_two_sides_differ(api: Api):
    api.add_tools("desk", "stapler")
    schema = {"properties": {"n": {"type": "integer"}}, "required": ["n"]}
    reword(api, "desk", "stapler", description="stapler of the desk", inputSchema=schema)
    (change,) = (await get(api, "/changes", since=2, diff=True))["items"]
    assert [edit["text"] for edit in change["diff"]] == [
        "description: stapler of {+the+} desk",
        "inputSchema.properties: added (1 field)",
        'inputSchema.required: added (["n"])',
    ]
    words = change["diff"][0]["words"]
    assert [piece["text"].strip() for piece in words if piece["fate"] == "added"] == ["the"]
    (plain,) = (await get(api, "/changes", since=2))["items"]
    assert plain["diff"] is None


async def test_changes_of_one_subject_are_read_alone(api: Api):
    api.add_tools("desk", "stapler", "pen")
    reword(api, "desk", "pen", description="red")
    of_pen = await get(api, "/changes", subject="tool:desk__pen")
    assert [change["action"] for change in of_pen["items"]] == ["added", "updated"]


async def test_the_tail_of_the_log_is_read_from_its_end(api: Api):
    api.deps.store.put_models([Model(name=f"m{n}") for n in range(30)], actor="test")
    page = await get(api, "/changes", last=True, limit=3)
    assert [change["revision"] for change in page["items"]] == [28, 29, 30]


async def test_settings_are_masked_on_both_sides_of_a_diff(api: Api):
    name = ServerName("far")
    for secret in ("one", "two"):
        transport = HttpTransport(f"http://x/mcp?key={secret}")
        server = Server(name=name, transport=transport)
        if secret == "one":
            api.deps.store.add_server(server, actor="test")
        else:
            api.deps.store.update_server(server, actor="test")
    shown = await api.http.get("/api/v1/changes", params={"diff": True})
    assert "•••" in shown.text
    assert "key=one" not in shown.text
    assert "key=two" not in shown.text


async def test_past_revisions_are_read_also_of_a_tool_that_is_gone(api: Api):
    api.add_tools("desk", "pen")
    reword(api, "desk", "pen", description="red")
    gone = EntryChanges(server=ServerName("desk"), removals=(EntryId("tool:desk__pen"),))
    api.deps.store.apply(gone, actor="test")
    listed = await get(api, "/tools/desk__pen/revisions", diff=True)
    assert listed["subject"] == "tool:desk__pen"
    assert [(r["revision"], r["action"]) for r in listed["items"]] == [
        (2, "added"),
        (3, "updated"),
        (4, "removed"),
    ]
    assert listed["items"][1]["diff"][0]["path"] == "description"
    past = await get(api, "/tools/desk__pen/revisions/2")
    assert past["definition"]["description"] == "pen of desk"
    assert (await get(api, "/tools/desk__pen/revisions/4"))["definition"]["description"] == "red"


async def test_a_revision_that_is_not_there_is_a_problem_that_names_those_that_are(api: Api):
    api.add_tools("desk", "pen")
    answer = await api.http.get("/api/v1/tools/desk__pen/revisions/9")
    assert answer.status_code == 404
    assert answer.json()["code"] == "revision-not-found"
    assert answer.json()["detail"] == "tool:desk__pen has no revision 9; it has 2."
    assert answer.json()["data"]["known"] == [2]
    never = await api.http.get("/api/v1/tools/desk__pencil/revisions")
    assert never.status_code == 404
    assert "desk__pen" in never.json()["detail"]


# --- the stream --------------------------------------------------------------------------------


def events(text: str) -> list[tuple[str, Any]]:
    """Read a whole stream: (id, change) of each event."""
    read: list[tuple[str, Any]] = []
    for block in text.split("\n\n"):
        said = [line for line in block.splitlines() if ": " in line and not line.startswith(":")]
        fields = dict(line.split(": ", 1) for line in said)
        if fields.get("event") == "change":
            read.append((fields["id"], json.loads(fields["data"])))
    return read


async def test_a_stream_gives_what_is_after_a_revision_with_ids(api: Api):
    api.add_tools("desk", "pen", "ink")
    answer = await api.http.get("/api/v1/changes/stream", params={"since": 1})
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["cache-control"] == "no-store"
    read = events(answer.text)
    assert [id_ for id_, _ in read] == ["2", "3"]
    assert read[0][1]["subject"] == "tool:desk__ink" or read[0][1]["subject"] == "tool:desk__pen"


async def test_a_reader_that_was_cut_off_goes_on_after_its_last_event(api: Api):
    api.add_tools("desk", "pen", "ink")
    answer = await api.http.get(
        "/api/v1/changes/stream", params={"since": 0}, headers={"Last-Event-ID": "2"}
    )
    assert [id_ for id_, _ in events(answer.text)] == ["3"]
    wrong = await api.http.get("/api/v1/changes/stream", headers={"Last-Event-ID": "x"})
    assert wrong.status_code == 400


async def test_without_a_revision_it_begins_now(api: Api):
    api.add_tools("desk", "pen")
    answer = await api.http.get("/api/v1/changes/stream")
    assert events(answer.text) == []
    assert ": 2" in answer.text


class Listener:
    """Reads a stream as a network would, until it has enough; then it leaves."""

    def __init__(self, app: Any, query: str, *, enough: int) -> None:
        self._app = app
        self._enough = enough
        self._left = anyio.Event()
        self.started = anyio.Event()
        self.text = ""
        path = "/api/v1/changes/stream"
        self._scope = {
            "type": "http", "http_version": "1.1", "method": "GET", "path": path,
            "raw_path": path.encode(), "root_path": "", "scheme": "http",
            "query_string": query.encode(), "headers": [(b"host", b"127.0.0.1")],
            "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80),
        }  # fmt: skip

    async def listen(self) -> None:
        """Listen until enough has come."""
        with anyio.fail_after(30):
            await self._app(self._scope, self._receive(), self._send)

    def _receive(self) -> Callable[[], Awaitable[dict[str, Any]]]:
        asked = False

        async def receive() -> dict[str, Any]:
            nonlocal asked
            if not asked:
                asked = True
                return {"type": "http.request", "body": b"", "more_body": False}
            await self._left.wait()
            return {"type": "http.disconnect"}

        return receive

    async def _send(self, message: dict[str, Any]) -> None:
        self.text += message.get("body", b"").decode()
        if message["type"] == "http.response.body":
            self.started.set()
        if len(events(self.text)) >= self._enough:
            self._left.set()


async def test_what_commits_while_somebody_listens_arrives_and_leaving_frees_the_place(open_api):
    async with open_api(stopping=lambda: False) as api:
        listener = Listener(api.app, "", enough=1)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listener.listen)
            await listener.started.wait()
            assert api.deps.readers.borrowed_tokens == 1
            add = api.deps.store.add_model
            await anyio.to_thread.run_sync(lambda: add(Model(name="late"), actor="test"))
        assert [change["subject"] for _, change in events(listener.text)] == ["model:late"]
        assert api.deps.readers.borrowed_tokens == 0


async def test_more_readers_than_there_is_room_for_are_told_to_come_back(open_api):
    async with open_api(stopping=lambda: False) as api:
        deps = replace(api.deps, readers=anyio.CapacityLimiter(1))
        app = build_api(deps)
        listener = Listener(app, "", enough=1)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listener.listen)
            await listener.started.wait()
            second = Listener(app, "", enough=1)
            await second.listen()
            assert '"code":"too-many-readers"' in second.text
            add = deps.store.add_model
            await anyio.to_thread.run_sync(lambda: add(Model(name="late"), actor="test"))
        assert len(events(listener.text)) == 1
