"""The order of steps, over real servers: turns, breakers, retries, hedges, sizes, promises."""

import contextlib
import json
import re
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from toolcrib_registry.errors import (
    EntryQuarantined,
    InvalidArguments,
    InvalidInput,
    NotCallable,
    NotFound,
    NotPermitted,
    ServerBusy,
    ToolcribError,
    TooManyCalls,
    UpstreamProtocolError,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from toolcrib_registry.types import (
    EntryKind,
    JsonObject,
    Mark,
    MarkReason,
    OwnedEntry,
    Server,
    ServerName,
    StdioTransport,
    Trust,
)
from toolcrib_server.invocation.errands.errand import Asker
from toolcrib_server.invocation.rules.quota import KeyQuota
from toolcrib_server.invocation.traffic.breakers import BreakerState
from toolcrib_server.upstream.messages.interaction import Interaction, Profile

pytestmark = pytest.mark.anyio

SHOP = ServerName("shop")


async def test_a_call_is_answered_over_http_and_stdio_and_recorded(
    house_in, start_workshop, stdio_server
):
    running = start_workshop()
    async with house_in() as house:
        for server in (running.server(), stdio_server):
            await house.add(server)
            result = await house.call(f"{server.name}__write", text="hello")
            assert result["structuredContent"] == {"result": "hello"}
        latest, first = await house.records()
    assert (latest.server, first.server) == ("pipe", "shop")
    assert latest.outcome == "ok"
    facts = latest.argument_shape["io.toolcrib/call"]
    assert latest.argument_shape["text"] == "string(5)"
    assert facts["attempts"] == 1
    assert facts["bytes"] > 0
    assert "hello" not in json.dumps(latest.argument_shape)


async def test_a_failure_that_a_tool_reports_is_a_result(house_in, start_workshop):
    async with house_in() as house:
        await house.add(start_workshop().server())
        assert (await house.call("shop__fail"))["isError"] is True
        (record,) = await house.records()
    assert record.outcome == "tool-error"


# --- by server and local name, and other requests ----------------------------------------------


async def test_a_tool_is_called_by_its_server_and_local_name(house_in, start_workshop):
    async with house_in() as house:
        await house.add(start_workshop().server())
        call = house.invoker.call_local
        result = await call(SHOP, "write", {"text": "x"}, Asker(face="relay", principal="me"))
        assert result["structuredContent"] == {"result": "x"}
        with pytest.raises(InvalidArguments):
            await call(SHOP, "write", {"text": 1}, Asker(face="relay", principal="me"))
        records = await house.records()
    assert {record.subject for record in records} == {"tool:shop__write"}


async def test_a_tool_that_the_registry_does_not_know_is_called_all_the_same(
    house_in, start_workshop
):
    async with house_in() as house:
        house.store.add_server(start_workshop().server(), actor="test")
        result = await house.invoker.call_local(
            SHOP, "write", {"text": "new"}, Asker(face="relay", principal="me")
        )
        assert result["structuredContent"] == {"result": "new"}
        assert house.noticed == ["shop"]
        (record,) = await house.records()
    assert record.subject == "tool:shop/write"


async def test_what_is_quarantined_or_off_is_refused_by_either_name_and_shown_in_no_list(
    house_in, start_workshop
):
    running = start_workshop()
    async with house_in() as house:
        await house.add(running.server())
        store, invoker = house.store, house.invoker
        store.set_entry_enabled(EntryKind.TOOL, "shop__read", enabled=False, actor="test")
        invoker.forget()
        server = store.get_server(SHOP)
        off = store.get_entry(EntryKind.TOOL, "shop__read")
        assert not invoker.allows("me", server, off)
        assert invoker.allows("me", server, store.get_entry(EntryKind.TOOL, "shop__put"))
        with pytest.raises(NotCallable, match="disabled"):
            await house.call("shop__read", text="x")
        with pytest.raises(NotCallable, match="disabled"):
            await invoker.call_local(
                SHOP, "read", {"text": "x"}, Asker(face="relay", principal="me")
            )
        store.set_entry_enabled(EntryKind.RESOURCE, "shop__notes", enabled=False, actor="test")
        invoker.forget()
        with pytest.raises(NotCallable, match="disabled"):
            await invoker.request(
                SHOP,
                "resources/read",
                {"uri": "shelf://notes"},
                Asker(face="relay", principal="me"),
            )
    assert not running.workshop.calls


async def test_other_requests_pass_the_same_way(house_in, start_workshop):
    async with house_in() as house:
        await house.add(start_workshop().server())
        ask, relay = house.invoker.request, Asker(face="relay", principal="me")
        read = await ask(SHOP, "resources/read", {"uri": "shelf://notes"}, relay)
        assert read["contents"][0]["text"] == "remember the milk"
        params = {"name": "ask", "arguments": {"topic": "milk"}}
        got = await ask(SHOP, "prompts/get", params, relay)
        assert "milk" in json.dumps(got["messages"])
        listed = await ask(SHOP, "tools/list", {}, relay, safe=True)
        assert len(listed["tools"]) > 5
        with pytest.raises(UpstreamProtocolError) as caught:
            await ask(SHOP, "acme/unheard", {"x": 1}, relay)
        assert caught.value.rpc_code == -32601
        with pytest.raises(NotFound):
            await ask(ServerName("shpo"), "tools/list", {}, relay)
        records = await house.records()
    assert [record.subject for record in reversed(records)] == [
        "resource:shop__notes",
        "prompt:shop__ask",
        "server:shop",
        "server:shop",
    ]
    assert records[0].outcome == "upstream-protocol-error"
    assert records[0].argument_shape["io.toolcrib/call"]["method"] == "acme/unheard"


async def test_no_request_goes_round_the_rules_for_what_it_names(house_in, start_workshop):
    running = start_workshop()
    async with house_in() as house:
        await house.add(running.server())
        house.store.set_entry_enabled(EntryKind.PROMPT, "shop__ask", enabled=False, actor="test")
        house.invoker.forget()
        argument = {"name": "topic", "value": "m"}
        complete = {"ref": {"type": "ref/prompt", "name": "ask"}, "argument": argument}
        call = {"name": "write", "arguments": {"text": "x"}}
        for method, params, error in (
            ("prompts/get", {"name": "ask"}, NotCallable),
            ("completion/complete", complete, NotCallable),
            ("tools/call", call, InvalidInput),
            ("tools/list\r\nX-Evil: 1", {}, InvalidInput),
            ("gr\u00fc\u00dfe", {}, InvalidInput),
        ):
            with pytest.raises(error):
                await house.invoker.request(
                    SHOP, method, params, Asker(face="relay", principal="me")
                )
    assert not running.workshop.calls


@pytest.mark.parametrize("arguments", [[], "text", 5, None, {"\ud800": "\x00\udfff"}])
async def test_whatever_a_client_sends_is_answered_and_recorded(
    house_in, start_workshop, arguments
):
    async with house_in() as house:
        await house.add(start_workshop().server())
        for name in ("write", "no\ud800such\x00tool"):
            # Known or not: it is an error that says what is wrong, or the server's own.
            with contextlib.suppress(ToolcribError):
                result = await house.invoker.call_local(
                    SHOP, name, arguments, Asker(face="relay", principal="me")
                )
                assert result["isError"]
        records = await house.records()
    assert len(records) == 2
    assert {record.outcome for record in records} <= {
        *("invalid-arguments", "upstream-protocol-error", "tool-error"),
    }


async def test_a_cancelled_call_is_recorded_as_one(house_in, start_workshop):
    running = start_workshop()
    async with house_in() as house:
        await house.add(running.server())
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(house.call, "shop__hold")
            await until(lambda: running.workshop.running == 1)
            tasks.cancel_scope.cancel()
        (record,) = await house.records()
    assert record.outcome == "cancelled"


class OnlyForAlice:
    """A permission by name."""

    def check(self, principal: str, server: Server, entry: OwnedEntry | None) -> None:
        if principal != "alice" and entry is not None and entry.name == "shop__write":
            raise NotPermitted("Only alice may write.")


async def test_the_permission_hook_rules_calls_and_lists_alike(house_in, start_workshop):
    running = start_workshop()
    async with house_in(permission=OnlyForAlice()) as house:
        server = await house.add(running.server())
        tool = house.store.get_entry(EntryKind.TOOL, "shop__write")
        await house.call("shop__write", principal="alice", text="x")
        with pytest.raises(NotPermitted, match="Only alice"):
            await house.call("shop__write", principal="bob", text="x")
        with pytest.raises(NotPermitted, match="Only alice"):
            await house.invoker.call_local(
                SHOP, "write", {"text": "x"}, Asker(face="relay", principal="bob")
            )
        assert house.invoker.allows("alice", server, tool)
        assert not house.invoker.allows("bob", server, tool)
        records = await house.records()
    assert running.workshop.calls["write"] == 1
    assert [record.outcome for record in records] == ["not-permitted", "not-permitted", "ok"]


# --- deadlines and turns -----------------------------------------------------------------------


async def test_a_call_ends_at_its_deadline(house_in, start_workshop):
    async with house_in() as house:
        await house.add(start_workshop().server())
        with pytest.raises(UpstreamTimeout):
            await house.invoker.call(
                "shop__hold", {}, Asker(face="test", principal="me", timeout_s=0.2)
            )
        with pytest.raises(InvalidInput, match="more than 0"):
            await house.invoker.call(
                "shop__hold", {}, Asker(face="test", principal="me", timeout_s=0)
            )


async def test_a_server_answers_no_more_at_once_than_the_policy_says(house_in, start_workshop):
    running = start_workshop()
    async with house_in({"shop": {"concurrency": 3}}) as house:
        await house.add(running.server())
        async with anyio.create_task_group() as tasks:
            for _ in range(9):
                tasks.start_soon(house.call, "shop__hold")
            crowds = house.invoker.read_path
            await until(lambda: SHOP in crowds().crowds and crowds().crowds[SHOP].waiting == 6)
            await until(lambda: running.workshop.running == 3)
            assert crowds().crowds[SHOP].running == 3
            running.workshop.released.set()
        assert running.workshop.calls["hold"] == 9
        assert running.workshop.most_running == 3
        assert not house.invoker.read_path().crowds
        records = await house.records()
    queued = [r.argument_shape["io.toolcrib/call"].get("queuedMs", 0) for r in records]
    assert sum(wait > 0 for wait in queued) == 6


async def test_one_key_cannot_keep_another_from_its_turn(house_in, start_workshop):
    running = start_workshop()
    order: list[str] = []
    async with house_in({"shop": {"concurrency": 1}}) as house:
        await house.add(running.server())

        async def call(who: str) -> None:
            await house.call("shop__write", principal=who, text="x")
            order.append(who)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(house.call, "shop__hold")
            await until(lambda: running.workshop.running == 1)
            for _ in range(20):
                tasks.start_soon(call, "greedy")
            await until(lambda: house.invoker.read_path().crowds[SHOP].waiting == 20)
            tasks.start_soon(call, "modest")
            await until(lambda: house.invoker.read_path().crowds[SHOP].waiting == 21)
            running.workshop.released.set()
    assert order.index("modest") <= 1


async def test_the_queue_is_bounded_in_length_and_in_time(house_in, start_workshop):
    running = start_workshop()
    policy = {"shop": {"concurrency": 1, "queue": 1, "queue_wait_s": 2}}
    async with house_in(policy) as house:
        await house.add(running.server())
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(house.call, "shop__hold")
            await until(lambda: running.workshop.running == 1)
            refused: list[str] = []

            async def wait() -> None:
                with pytest.raises(ServerBusy, match=r"no place came free .* was not sent"):
                    await house.call("shop__write", text="x")
                refused.append("late")

            tasks.start_soon(wait)
            await until(lambda: house.invoker.read_path().crowds[SHOP].waiting == 1)
            with pytest.raises(ServerBusy, match="1 calls run, and 1 wait") as caught:
                await house.call("shop__write", text="x")
            assert caught.value.retry_after_s > 0
            await until(lambda: refused == ["late"])
            running.workshop.released.set()
        assert running.workshop.calls["write"] == 0


async def test_a_server_that_hangs_under_a_thousand_calls_delays_no_other(house_in, start_workshop):
    hung, well = start_workshop(), start_workshop()
    async with house_in({"hung": {"queue": 500}}) as house:
        await house.add(hung.server("hung"))
        await house.add(well.server("well"))
        ended: list[str] = []

        async def call() -> None:
            try:
                await house.call("hung__hold")
            except ServerBusy:
                ended.append("busy")

        async with anyio.create_task_group() as tasks:
            for _ in range(1000):
                tasks.start_soon(call)
            await until(lambda: len(ended) == 400)
            await until(lambda: hung.workshop.running > 0)
            with anyio.fail_after(25):  # of the 30 s that the hung one makes its own callers wait
                for number in range(20):
                    await house.call("well__write", text=str(number))
            tasks.cancel_scope.cancel()
        assert not house.invoker.read_path().crowds, "a storm of cancellations leaves nothing"
        await until(lambda: hung.workshop.running == 0)
        hung.workshop.released.set()
        await house.call("hung__hold")
        assert hung.workshop.most_running <= 100


async def test_each_key_may_call_so_often_and_so_much_at_once(house_in, start_workshop):
    running = start_workshop()
    async with house_in(quota=KeyQuota(per_minute=4, at_once=1)) as house:
        await house.add(running.server())
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(house.call, "shop__hold")
            await until(lambda: running.workshop.running == 1)
            with pytest.raises(TooManyCalls, match="1 calls at once"):
                await house.call("shop__write", text="x")
            await house.call("shop__write", principal="other", text="x")
            running.workshop.released.set()
        for _ in range(3):
            await house.call("shop__write", text="x")
        with pytest.raises(TooManyCalls, match="4 calls a minute") as caught:
            await house.call("shop__write", text="x")
        assert 0 < caught.value.retry_after_s <= 15
        assert (await house.records())[0].outcome == "too-many-calls"


# --- trying again ------------------------------------------------------------------------------


@pytest.mark.parametrize("tool", ["read", "put"])
async def test_what_may_be_repeated_is_tried_again(house_in, start_workshop, tool):
    running = start_workshop()
    async with house_in() as house:
        await house.add(running.server())
        running.door.failures = 2
        result = await house.call(f"shop__{tool}", text="x")
        assert not result.get("isError")
        (record,) = await house.records()
        assert house.invoker.read_path().sums.retries[SHOP] == 2
    assert record.argument_shape["io.toolcrib/call"]["attempts"] == 3
    assert running.workshop.calls[tool] == 1


async def test_what_may_have_taken_effect_is_not_tried_again(house_in, start_workshop):
    running = start_workshop()
    async with house_in() as house:
        await house.add(running.server())
        running.door.failures = 1
        with pytest.raises(UpstreamUnavailable):
            await house.call("shop__write", text="x")
    assert running.door.refused == 1


async def test_the_claim_of_a_tool_that_wants_a_look_counts_for_nothing(house_in, start_workshop):
    running = start_workshop()
    async with house_in() as house:
        await house.add(running.server())
        marks = (Mark(MarkReason.CHANGED, "its description"),)
        house.mark("shop__read", Trust.MARKED, marks)
        running.door.failures = 1
        with pytest.raises(UpstreamUnavailable):
            await house.call("shop__read", text="x")
        house.mark("shop__read", Trust.QUARANTINED, marks)
        with pytest.raises(EntryQuarantined):
            await house.call("shop__read", text="x")
        with pytest.raises(EntryQuarantined):
            await house.invoker.call_local(
                SHOP, "read", {"text": "x"}, Asker(face="relay", principal="me")
            )
    assert running.door.refused == 1


async def test_the_policy_may_forbid_further_tries(house_in, start_workshop):
    running = start_workshop()
    async with house_in({"*": {"retries": 5}, "shop__read": {"retries": 0}}) as house:
        await house.add(running.server())
        running.door.failures = 1
        with pytest.raises(UpstreamUnavailable):
            await house.call("shop__read", text="x")


async def test_a_safe_request_is_tried_again(house_in, start_workshop):
    running = start_workshop()
    async with house_in() as house:
        await house.add(running.server())
        running.door.failures = 1
        params = {"uri": "shelf://notes"}
        await house.invoker.request(
            SHOP, "resources/read", params, Asker(face="relay", principal="me"), safe=True
        )
    assert running.workshop.calls["notes"] == 1


async def test_a_second_try_beside_a_slow_one_answers_first(house_in, start_workshop):
    running = start_workshop()
    async with house_in({"shop__slow_once": {"hedge_after_s": 0.05}}) as house:
        await house.add(running.server())
        with anyio.fail_after(30):
            result = await house.call("shop__slow_once")
        assert result["structuredContent"] == {"result": "at once"}
        assert house.invoker.read_path().sums.hedges[SHOP] == 1
        assert not house.invoker.read_path().crowds


# --- servers that fail -------------------------------------------------------------------------


async def test_a_server_that_fails_for_everybody_is_left_alone_and_probed_by_one(
    house_in, start_workshop
):
    running = start_workshop()
    async with house_in() as house:
        await house.add(running.server())
        running.door.failures = 6
        for number in range(6):
            with pytest.raises(UpstreamUnavailable, match="HTTP 503"):
                await house.call("shop__write", principal=f"key-{number}", text="x")
        with pytest.raises(UpstreamUnavailable, match="failed 6 times in a row") as caught:
            await house.call("shop__write", text="x")
        assert 1 < (caught.value.retry_after_s or 0) <= 2
        assert running.door.refused == 6, "it was not asked again"
        assert house.invoker.read_path().breakers == {"shop": BreakerState.OPEN}
        house.invoker.forgive(SHOP)
        await house.call("shop__write", text="x")
        assert house.invoker.read_path().breakers == {}


@pytest.mark.parametrize("tool", ["write", "read"])
async def test_a_call_that_fails_however_often_keeps_no_other_waiting(
    house_in, start_workshop, tool
):
    running = start_workshop()
    async with house_in() as house:
        await house.add(running.server())
        running.door.failures = 1000
        for _ in range(4):
            with pytest.raises(UpstreamUnavailable, match="HTTP 503"):
                await house.call(f"shop__{tool}", text="poison")
            assert house.invoker.read_path().breakers == {}
        running.door.failures = 0
        await house.call("shop__put", principal="other", text="x")
        latest = (await house.records())[0]
    assert "queuedMs" not in latest.argument_shape["io.toolcrib/call"]


async def test_a_restart_of_a_server_fails_no_call_that_was_not_sent(house_in, start_workshop):
    running = start_workshop()
    async with house_in() as house:
        await house.add(running.server())
        await house.call("shop__write", text="before")
        await anyio.to_thread.run_sync(running.stop)  # what was idle is seen to be closed
        async with anyio.create_task_group() as tasks:
            for number in range(5):
                call = partial(house.call, principal=f"key-{number}", text="x")
                tasks.start_soon(call, "shop__write")
            await until(lambda: house.invoker.read_path().breakers)
            start_workshop(running.port)
        assert house.invoker.read_path().breakers == {}
        records = await house.records()
    assert [record.outcome for record in records] == ["ok"] * 6
    facts = [record.argument_shape["io.toolcrib/call"] for record in records]
    assert [fact["attempts"] for fact in facts] == [1] * 6
    assert any(fact.get("queuedMs", 0) > 50 for fact in facts)


async def test_a_server_that_is_gone_says_so_once_and_when_it_is_tried_again(
    house_in, start_workshop
):
    running = start_workshop()
    said: list[str] = []
    async with house_in() as house:
        await house.add(running.server())
        running.stop()
        for _ in range(3):
            with pytest.raises(UpstreamUnavailable) as caught:
                await house.call("shop__write", text="x")
            said.append(caught.value.detail)
        records = await house.records()
    for sentence in said:
        assert sentence.count("cannot be reached") == sentence.count("Server 'shop'") == 1
        assert ".." not in sentence
    assert re.search(r"Next attempt in [\d.]+ s\.$", said[-1])
    assert [r.argument_shape["io.toolcrib/call"]["attempts"] for r in records] == [0, 0, 0]


async def test_a_server_that_sets_no_deadline_has_the_one_of_the_settings(house_in, start_workshop):
    running = start_workshop()
    async with house_in(call_timeout_s=0.2) as house:
        await house.add(running.server())
        with anyio.fail_after(30), pytest.raises(UpstreamTimeout, match=r"within 0.2 s"):
            await house.call("shop__hold")
        house.store.update_server(running.server(call_timeout_s=0.3), actor="test")
        house.invoker.forget()
        with anyio.fail_after(30), pytest.raises(UpstreamTimeout, match=r"within 0.3 s"):
            await house.call("shop__hold")


async def test_errors_that_a_server_answers_with_open_no_breaker(house_in, start_workshop):
    async with house_in() as house:
        await house.add(start_workshop().server())
        for _ in range(5):
            with pytest.raises(UpstreamProtocolError):
                await house.invoker.request(
                    SHOP, "no/such", {}, Asker(face="relay", principal="me")
                )
        await house.call("shop__write", text="x")


async def test_callers_in_a_hurry_open_no_breaker(house_in, start_workshop):
    async with house_in() as house:
        await house.add(start_workshop().server())
        for _ in range(5):
            with pytest.raises(UpstreamTimeout):
                await house.invoker.call(
                    "shop__hold", {}, Asker(face="test", principal="me", timeout_s=0.05)
                )
        assert house.invoker.read_path().breakers == {}


# --- what passes between -----------------------------------------------------------------------


async def test_progress_is_heard_and_the_call_then_not_repeated(house_in, start_workshop):
    running = start_workshop()
    heard: list[tuple[str, Any]] = []

    async def hear(method: str, params: Any) -> None:
        heard.append((method, params.get("progress")))

    async with house_in() as house:
        await house.add(running.server())
        await house.invoker.call(
            "shop__progress",
            {},
            Asker(face="test", principal="me", interaction=Interaction(on_notice=hear)),
        )
        await until(lambda: ("notifications/progress", 1) in heard)


async def test_while_a_person_is_asked_another_call_has_the_place(house_in):
    """The handshake's way: the server asks in the middle of its answer."""
    script = Path(__file__).parents[1] / "upstream" / "servers" / "asking.py"
    server = Server(
        name=ServerName("asking"), transport=StdioTransport(sys.executable, (str(script), "old"))
    )
    asked, answered = anyio.Event(), anyio.Event()

    async def ask(method: str, params: JsonObject) -> JsonObject:
        asked.set()
        await answered.wait()
        return {"action": "accept", "content": {"name": "Ada"}}

    profile = Profile(key="me", capabilities={"elicitation": {}}, on_ask=ask)
    async with house_in({"asking": {"concurrency": 1}}) as house:
        await house.add(server)
        call, me = house.invoker.call, Asker(face="test", principal="me")
        async with anyio.create_task_group() as tasks:
            asked_too = replace(me, interaction=Interaction(profile=profile, on_ask=ask))
            tasks.start_soon(call, "asking__ask", {}, asked_too)
            with anyio.fail_after(30):
                await asked.wait()
                assert house.invoker.read_path().crowds[server.name].running == 0
                await call("asking__say", {}, me)
            answered.set()
        assert house.invoker.read_path().crowds == {}


async def until(condition) -> None:
    """Wait for what other tasks and threads bring about."""
    with anyio.fail_after(30):
        while not condition():  # noqa: ASYNC110  # brought about by other threads too
            await anyio.sleep(0.005)
