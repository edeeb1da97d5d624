"""The handshake era over HTTP: sessions, streams, questions, subscriptions, and what goes wrong."""

import anyio
import pytest

pytestmark = pytest.mark.anyio

ALL = {"elicitation": {}, "sampling": {}, "roots": {}}
VERSIONS = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"]


def error_of(got, code, status):
    assert (got.status_code, got.json()["error"]["code"]) == (status, code), got.text
    return got.json()["error"]


def tool(name, **arguments):
    return {"name": name, "arguments": arguments}


@pytest.mark.parametrize("version", VERSIONS)
async def test_every_version_of_the_era_is_agreed_to(bench, version):
    params = {"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "x"}}
    got = await bench.post("initialize", params)
    result = got.json()["result"]
    assert result == {
        "protocolVersion": version,
        "capabilities": bench.shop.capabilities,
        "serverInfo": {"name": "workshop", "version": "1.2.3"},
        "instructions": "Try the tools.",
    }
    assert len(got.headers["mcp-session-id"]) >= 32


@pytest.mark.parametrize("version", ["1999-01-01", "2026-07-28", ""])
async def test_an_unknown_version_is_answered_with_the_latest_of_the_era(bench, version):
    got = await bench.post("initialize", {"protocolVersion": version, "capabilities": {}})
    assert got.json()["result"]["protocolVersion"] == "2025-11-25"


@pytest.mark.parametrize(
    "params", [{}, {"protocolVersion": 1}, {"protocolVersion": "2025-11-25", "capabilities": []}]
)
async def test_an_initialize_that_is_not_whole_is_refused(bench, params):
    error_of(await bench.post("initialize", params), -32602, 400)
    assert not len(bench.face.sessions)


async def test_a_call_is_answered_in_the_words_of_its_era(bench):
    headers = await bench.shake()
    got = await bench.post("tools/call", tool("echo", text="hi"), headers=headers)
    assert got.headers["content-type"] == "application/json"
    result = got.json()["result"]
    assert "resultType" not in result
    assert result["structuredContent"] == {"text": "hi"}
    client = bench.shop.requests[-1].client
    assert (client.principal, client.version) == ("ada", "2025-11-25")
    assert client.info == {"name": "old", "version": "1"}
    assert client.session == headers["mcp-session-id"]


async def test_a_request_without_its_session_is_refused(bench):
    error_of(await bench.post("tools/list"), -32600, 400)
    error_of(await bench.post("tools/list", headers={"mcp-session-id": "none"}), -32600, 404)
    got = await bench.http.get(bench.url, headers={"accept": "text/event-stream"})
    error_of(got, -32600, 400)
    error_of(await bench.http.delete(bench.url), -32600, 400)
    note = {"method": "notifications/initialized"}
    assert (await bench.send(note)).status_code == 400


async def test_a_session_belongs_to_who_began_it_and_where(bench):
    headers = await bench.shake()
    bob = {**headers, "authorization": "Bearer b-key"}
    error_of(await bench.post("tools/list", headers=bob), -32600, 404)
    error_of(await bench.http.delete(bench.url, headers=bob), -32600, 404)
    other = bench.url.replace("/shop", "/other")
    got = await bench.http.post(
        other, json={"jsonrpc": "2.0", "id": 1, "method": "ping"}, headers=headers
    )
    assert got.status_code == 404
    assert (await bench.post("ping", headers=headers)).json()["result"] == {}


async def test_a_session_that_was_deleted_is_gone_and_the_service_knows(bench):
    headers = await bench.shake()
    assert (await bench.http.delete(bench.url, headers=headers)).status_code == 204
    error_of(await bench.post("ping", headers=headers), -32600, 404)
    assert [client.session for client in bench.shop.left] == [headers["mcp-session-id"]]


async def test_an_unsupported_version_header_is_refused(bench):
    headers = {**await bench.shake(), "mcp-protocol-version": "1999-01-01"}
    assert (await bench.post("ping", headers=headers)).status_code == 400


async def test_methods_of_the_next_era_are_unknown_here(bench):
    headers = await bench.shake()
    for method in ("server/discover", "subscriptions/listen", "nobody/knows"):
        error_of(await bench.post(method, headers=headers), -32601, 200)
    error_of(await bench.post("initialize", {"protocolVersion": 3}, headers=headers), -32602, 400)


async def test_what_the_service_does_not_offer_is_unknown(open_bench):
    async with open_bench() as bench:
        bench.shop.capabilities = {"tools": {}}
        headers = await bench.shake()
        for method in ("logging/setLevel", "resources/subscribe", "resources/unsubscribe"):
            got = await bench.post(method, {"level": "info", "uri": "tool://a"}, headers=headers)
            error_of(got, -32601, 200)


async def test_progress_comes_on_the_stream_of_its_request(bench):
    headers = await bench.shake()
    params = {**tool("count", upto=2), "_meta": {"progressToken": "t"}}
    async with bench.post_stream("tools/call", params, headers=headers) as (got, stream):
        assert got.headers["content-type"] == "text/event-stream"
        first = await stream.next()
        assert first[0]
        assert first[1] is None  # an empty event, from which the stream could be taken up again
        said = await stream.rest()
    assert [each["params"]["progressToken"] for each in said[:-1]] == ["t", "t"]
    assert "counted to 2" in said[-1]["result"]["content"][0]["text"]


async def test_an_older_client_gets_no_empty_event(bench):
    headers = await bench.shake("2025-06-18")
    params = {**tool("count", upto=1), "_meta": {"progressToken": 1}}
    async with bench.post_stream("tools/call", params, headers=headers) as (_, stream):
        assert (await stream.next())[1]["method"] == "notifications/progress"


@pytest.mark.parametrize(
    ("level", "heard"), [(None, ["debug", "warning", "emergency"]), ("error", ["emergency"])]
)
async def test_log_messages_come_as_the_session_wants_them(bench, level, heard):
    headers = await bench.shake()
    if level:
        got = await bench.post("logging/setLevel", {"level": level}, headers=headers)
        assert got.json()["result"] == {}
    async with bench.post_stream("tools/call", tool("log"), headers=headers) as (_, stream):
        said = await stream.rest()
    assert [each["params"]["level"] for each in said[:-1]] == heard
    assert bench.shop.requests[-1].client.log_level == level
    error_of(await bench.post("logging/setLevel", {"level": 9}, headers=headers), -32602, 200)


@pytest.mark.parametrize("name", ["ask", "ask_now"])
async def test_a_question_comes_on_the_stream_and_its_answer_by_a_post(bench, name):
    headers = await bench.shake(capabilities=ALL)
    async with bench.post_stream("tools/call", tool(name), headers=headers) as (_, stream):
        asked = None
        while asked is None:
            _, asked = await stream.next()
        assert asked["method"] == "elicitation/create"
        assert asked["params"]["message"] == "Who are you?"
        reply = {"id": asked["id"], "result": {"action": "accept", "content": {"name": "Ada"}}}
        assert (await bench.send(reply, headers=headers)).status_code == 202
        said = await stream.rest()
    assert "Ada" in said[-1]["result"]["content"][0]["text"]


async def test_several_questions_are_asked_at_once(bench):
    headers = await bench.shake(capabilities=ALL)
    async with bench.post_stream("tools/call", tool("ask_twice"), headers=headers) as (_, stream):
        asked = {}
        while len(asked) < 2:
            _, message = await stream.next()
            if message is not None:
                asked[message["method"]] = message["id"]
        for method, result in [
            ("sampling/createMessage", {"role": "assistant"}),
            ("elicitation/create", {"action": "decline"}),
        ]:
            await bench.send({"id": asked[method], "result": result}, headers=headers)
        said = await stream.rest()
    assert said[-1]["result"]["content"][0]["text"] == "both: decline, assistant"


@pytest.mark.parametrize("name", ["ask", "ask_now"])
async def test_a_refusal_of_the_client_is_the_answer(bench, name):
    headers = await bench.shake(capabilities=ALL)
    async with bench.post_stream("tools/call", tool(name), headers=headers) as (_, stream):
        asked = None
        while asked is None:
            _, asked = await stream.next()
        error = {"code": -1, "message": "not now", "data": [1]}
        await bench.send({"id": asked["id"], "error": error}, headers=headers)
        said = await stream.rest()
    assert said[-1]["error"] == error


@pytest.mark.parametrize("name", ["ask", "ask_now"])
async def test_a_client_that_cannot_be_asked_is_told_what_it_lacks(bench, name):
    headers = await bench.shake()
    error = error_of(await bench.post("tools/call", tool(name), headers=headers), -32021, 200)
    assert error["data"] == {"requiredCapabilities": {"elicitation": {"form": {}}}}


async def test_a_client_that_takes_no_streams_cannot_be_asked(bench):
    headers = {**await bench.shake(capabilities=ALL), "accept": "application/json"}
    error_of(await bench.post("tools/call", tool("ask_now"), headers=headers), -32603, 200)


async def test_who_is_asked_again_and_again_is_spared_at_last(bench):
    headers = await bench.shake(capabilities=ALL)
    async with bench.post_stream("tools/call", tool("insist"), headers=headers) as (_, stream):
        asked = 0
        while True:
            _, message = await stream.next()
            if message is None:
                continue
            if "error" in message:
                break
            asked += 1
            result = {"action": "accept", "content": {}}
            await bench.send({"id": message["id"], "result": result}, headers=headers)
    assert asked == 10
    assert message["error"]["code"] == -32603


async def test_an_answer_of_another_session_is_not_taken(bench):
    mine = await bench.shake(capabilities=ALL)
    others = await bench.shake(capabilities=ALL)
    async with bench.post_stream("tools/call", tool("ask_now"), headers=mine) as (_, stream):
        asked = None
        while asked is None:
            _, asked = await stream.next()
        for result in ({"action": "theirs"}, {"action": "mine"}):
            headers = others if result["action"] == "theirs" else mine
            await bench.send({"id": asked["id"], "result": result}, headers=headers)
        said = await stream.rest()
    assert "mine" in said[-1]["result"]["content"][0]["text"]


async def test_a_cancelled_request_is_cancelled_and_ends(bench):
    headers = await bench.shake()
    got = []

    async def call():
        got.append(await bench.post("tools/call", tool("wait"), headers=headers, call_id="w"))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        await bench.shop.running.wait()
        note = {"method": "notifications/cancelled", "params": {"requestId": "w"}}
        assert (await bench.send(note, headers=headers)).status_code == 202
    assert bench.shop.cancelled == 1
    error_of(got[0], -32800, 200)


@pytest.mark.parametrize("params", [{}, {"requestId": []}, {"requestId": True}, {"requestId": 9}])
async def test_a_cancellation_of_nothing_is_passed_over(bench, params):
    headers = await bench.shake()
    note = {"method": "notifications/cancelled", "params": params}
    assert (await bench.send(note, headers=headers)).status_code == 202


async def test_a_cancelled_request_withdraws_its_question(bench):
    headers = await bench.shake(capabilities=ALL)
    async with bench.post_stream("tools/call", tool("ask_now"), headers=headers, call_id=9) as (
        _,
        stream,
    ):
        asked = None
        while asked is None:
            _, asked = await stream.next()
        note = {"method": "notifications/cancelled", "params": {"requestId": 9}}
        await bench.send(note, headers=headers)
        said = await stream.rest()
    assert said[0]["method"] == "notifications/cancelled"
    assert said[0]["params"]["requestId"] == asked["id"]
    assert said[-1]["error"]["code"] == -32800


async def test_an_id_in_flight_is_not_taken_twice(bench):
    headers = await bench.shake()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: bench.post("tools/call", tool("wait"), headers=headers, call_id=5))
        await bench.shop.running.wait()
        got = await bench.post("tools/call", tool("echo"), headers=headers, call_id=5)
        error_of(got, -32600, 200)
        got = await bench.post("tools/call", tool("echo", text="x"), headers=headers, call_id="5")
        assert "result" in got.json()
        bench.shop.release.set()


async def test_a_lost_connection_cancels_nothing_and_the_stream_can_be_taken_up(bench):
    headers = await bench.shake()
    params = {**tool("count", upto=1), "_meta": {"progressToken": 1}}
    async with bench.post_stream("tools/call", params, headers=headers) as (_, stream):
        event_id, _ = await stream.next()
    more = {"last-event-id": event_id}
    async with bench.listen(headers, **more) as (got, stream):
        assert got.status_code == 200
        said = await stream.rest()
    assert [each.get("method", "answer") for each in said] == ["notifications/progress", "answer"]


async def test_the_rest_of_a_torn_stream_comes_when_it_is_there(bench):
    headers = await bench.shake(capabilities=ALL)
    async with bench.post_stream("tools/call", tool("ask_now"), headers=headers) as (_, stream):
        event_id, asked = await stream.next()
        while asked is None:
            event_id, asked = await stream.next()
    async with bench.listen(headers, **{"last-event-id": event_id}) as (_, stream):
        result = {"action": "accept", "content": {"late": True}}
        await bench.send({"id": asked["id"], "result": result}, headers=headers)
        said = await stream.rest()
    assert "late" in said[-1]["result"]["content"][0]["text"]


async def test_an_event_id_that_names_nothing_opens_the_standing_stream(bench):
    headers = await bench.shake()
    for event_id in ("x", "7-1", "-", "0-99999999999999999999", "٣-٣"):
        about = {"last-event-id": event_id.encode()}
        async with bench.listen(headers, **about) as (got, _):
            assert got.status_code == 200


async def test_changes_come_on_the_standing_stream(bench):
    headers = await bench.shake()
    async with bench.listen(headers) as (got, stream):
        assert got.headers["content-type"] == "text/event-stream"
        await bench.shop.wait(lambda: bench.shop.listening)
        assert bench.shop.wanted == [{"toolsListChanged": True, "resourcesListChanged": True}]
        await bench.shop.tell("notifications/tools/list_changed", {})
        event_id, message = None, None
        while message is None:
            event_id, message = await stream.next()
        assert message == {"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}
    await bench.shop.tell("notifications/resources/list_changed", {})
    async with bench.listen(headers, **{"last-event-id": event_id}) as (_, stream):
        message = None
        while message is None:
            _, message = await stream.next()
    assert message["method"] == "notifications/resources/list_changed"


async def test_nothing_is_listened_to_for_who_does_not_listen(bench):
    headers = await bench.shake()
    await bench.post("ping", headers=headers)
    assert not bench.shop.wanted


async def test_the_newest_stream_gets_what_is_told_and_the_older_takes_over_again(bench):
    headers = await bench.shake()
    async with bench.listen(headers) as (_, older):
        await older.next()
        async with bench.listen(headers) as (_, newer):
            await newer.next()
            await bench.shop.wait(lambda: bench.shop.listening)
            await bench.shop.tell("notifications/tools/list_changed", {})
            assert (await newer.next())[1]["method"] == "notifications/tools/list_changed"
        session_id = headers["mcp-session-id"]
        session = bench.face.sessions.get(session_id, principal="ada", place="/shop")
        while session.readers > 1:
            await session.standing.wait()
        await bench.shop.tell("notifications/resources/list_changed", {})
        assert (await older.next())[1]["method"] == "notifications/resources/list_changed"


async def test_streams_of_a_session_are_limited(bench):
    headers = await bench.shake()
    async with anyio.create_task_group() as tasks:

        async def listen(*, task_status):
            async with bench.listen(headers) as (got, _):
                assert got.status_code == 200
                task_status.started()
                await anyio.sleep_forever()

        for _ in range(8):
            await tasks.start(listen)
        got = await bench.http.get(bench.url, headers={**headers, "accept": "text/event-stream"})
        error_of(got, -32600, 400)
        tasks.cancel_scope.cancel()


async def test_a_question_of_no_request_comes_on_the_standing_stream(bench):
    headers = await bench.shake(capabilities=ALL)
    got = []

    async def call():
        got.append(await bench.post("tools/call", tool("ask_outside"), headers=headers, call_id=3))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        await bench.shop.wait(lambda: bench.shop.requests)
        async with bench.listen(headers) as (_, stream):
            asked = None
            while asked is None:
                _, asked = await stream.next()
            assert asked["method"] == "roots/list"
            await bench.send({"id": asked["id"], "result": {"roots": []}}, headers=headers)
    assert "roots" in got[0].json()["result"]["content"][0]["text"]


async def test_a_question_that_nobody_could_hear_is_refused(open_bench):
    async with open_bench(heard_within_s=0.05) as bench:
        headers = await bench.shake(capabilities=ALL)
        got = await bench.post("tools/call", tool("ask_outside"), headers=headers)
        error_of(got, -32603, 200)


async def test_a_question_that_is_not_answered_in_time_is_withdrawn(open_bench):
    async with open_bench(ask_timeout_s=0.05) as bench:
        headers = await bench.shake(capabilities=ALL)
        async with bench.post_stream("tools/call", tool("ask"), headers=headers) as (_, stream):
            said = await stream.rest()
    assert [each.get("method") for each in said] == [
        "elicitation/create",
        "notifications/cancelled",
        None,
    ]
    assert said[-1]["error"]["code"] == -32603


async def test_resources_are_subscribed_to_one_by_one_and_nothing_is_missed(bench):
    headers = await bench.shake()
    shop = bench.shop
    for uri in ("tool://a", "tool://b", "tool://a"):
        got = await bench.post("resources/subscribe", {"uri": uri}, headers=headers)
        assert got.json()["result"] == {}
    assert [each["resourceSubscriptions"] for each in shop.wanted] == [
        ["tool://a"],
        ["tool://a", "tool://b"],
    ]
    await shop.wait(lambda: shop.listening == 1)
    await shop.tell("notifications/resources/updated", {"uri": "tool://b"})
    async with bench.listen(headers) as (_, stream):
        message = None
        while message is None:
            _, message = await stream.next()
        assert message["params"] == {"uri": "tool://b"}
        got = await bench.post("resources/unsubscribe", {"uri": "tool://a"}, headers=headers)
        assert got.json()["result"] == {}
        assert shop.wanted[-1]["resourceSubscriptions"] == ["tool://b"]


@pytest.mark.parametrize("uri", ["tool://broken", "http://not-watched", None, 7])
async def test_a_resource_that_cannot_be_subscribed_to_is_refused(bench, uri):
    headers = await bench.shake()
    await bench.post("resources/subscribe", {"uri": "tool://a"}, headers=headers)
    got = await bench.post("resources/subscribe", {"uri": uri}, headers=headers)
    error_of(got, -32602, 200)
    assert bench.shop.listening


async def test_a_listening_that_ends_is_taken_up_again_and_the_gap_is_told(open_bench):
    async with open_bench(listen_pause_s=0.01) as bench:
        headers = await bench.shake()
        await bench.post("resources/subscribe", {"uri": "tool://a"}, headers=headers)
        bench.shop.end_listening()
        await bench.shop.wait(lambda: len(bench.shop.wanted) == 2)
        async with bench.listen(headers) as (_, stream):
            message = None
            while message is None:
                _, message = await stream.next()
    assert message["params"] == {"uri": "tool://a"}


async def test_a_session_ends_what_it_listens_to(bench):
    headers = await bench.shake()
    await bench.post("resources/subscribe", {"uri": "tool://a"}, headers=headers)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: bench.post("tools/call", tool("wait"), headers=headers))
        await bench.shop.running.wait()
        await bench.http.delete(bench.url, headers=headers)
    await bench.shop.wait(lambda: not bench.shop.listening)
    assert bench.shop.cancelled == 1


async def test_notifications_of_the_client_are_told(bench):
    headers = await bench.shake()
    for method in ("notifications/roots/list_changed", "notifications/vendor", "odd"):
        got = await bench.send({"method": method, "params": {"a": 1}}, headers=headers)
        assert (got.status_code, got.content) == (202, b"")
    assert bench.shop.notes == [
        ("notifications/roots/list_changed", {"a": 1}),
        ("notifications/vendor", {"a": 1}),
        ("odd", {"a": 1}),
    ]


async def test_an_answer_to_nothing_is_passed_over(bench):
    headers = await bench.shake()
    for reply_id in (1, "1", None, True, [1], 1.0):
        reply = {"id": reply_id, "result": {}}
        assert (await bench.send(reply, headers=headers)).status_code == 202


async def test_batches_are_taken_where_the_version_had_them(bench):
    headers = await bench.shake("2025-03-26")
    batch = [
        {"jsonrpc": "2.0", "id": 1, "method": "ping"},
        {"jsonrpc": "2.0", "method": "notifications/vendor"},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": tool("echo", text="b")},
        {"jsonrpc": "2.0", "id": 3, "method": "initialize"},
        {"id": 4},
    ]
    got = await bench.send(batch, headers=headers)
    by_id = {each["id"]: each for each in got.json()}
    assert by_id[1]["result"] == {}
    assert by_id[2]["result"]["content"][0]["text"] == "b"
    assert by_id[3]["error"]["code"] == by_id[4]["error"]["code"] == -32600
    got = await bench.send([{"jsonrpc": "2.0", "method": "notifications/x"}], headers=headers)
    assert (got.status_code, got.content) == (202, b"")
    error_of(await bench.send([], headers=headers), -32600, 400)
    error_of(await bench.send([{}] * 101, headers=headers), -32600, 400)


async def test_batches_are_refused_where_the_version_has_none(bench):
    headers = await bench.shake("2025-06-18")
    batch = [{"jsonrpc": "2.0", "id": 1, "method": "ping"}]
    error_of(await bench.send(batch, headers=headers), -32600, 400)


async def test_sessions_are_limited_and_the_idle_one_gives_way(open_bench):
    async with open_bench(max_sessions=2, spare_after_s=3600) as bench:
        first = await bench.shake()
        await bench.shake()
        got = await bench.post("initialize", {"protocolVersion": "2025-11-25"})
        error_of(got, -32603, 503)
        assert (await bench.post("ping", headers=first)).status_code == 200
    async with open_bench(max_sessions=2, spare_after_s=0) as bench:
        idle = await bench.shake()
        used = await bench.shake()
        async with bench.listen(used):
            await bench.shake()
            error_of(await bench.post("ping", headers=idle), -32600, 404)
            assert (await bench.post("ping", headers=used)).status_code == 200
    assert len(bench.shop.left) == 3


async def test_whoever_has_most_sessions_keeps_nobody_out(open_bench):
    bob = {"authorization": "Bearer b-key"}
    async with open_bench(max_sessions=3, spare_after_s=3600) as bench:
        used, idle, other = [await bench.shake() for _ in range(3)]
        async with bench.listen(used):
            theirs = await bench.shake(**bob)
            error_of(await bench.post("ping", headers=idle), -32600, 404)
            for headers in (used, other, theirs):
                assert (await bench.post("ping", headers=headers)).status_code == 200
            got = await bench.post("initialize", {"protocolVersion": "2025-11-25"}, headers=bob)
            error_of(got, -32603, 503)


async def test_an_idle_session_is_forgotten(open_bench):
    async with open_bench(session_idle_s=1.5) as bench:
        idle = await bench.shake()
        busy = await bench.shake()
        async with bench.listen(busy):
            await bench.shop.wait(lambda: bench.shop.left)
            assert [each.session for each in bench.shop.left] == [idle["mcp-session-id"]]
            assert (await bench.post("ping", headers=busy)).status_code == 200


async def test_a_silent_request_is_kept_alive_by_comments(open_bench):
    async with open_bench(keep_alive_s=0.05) as bench:
        headers = await bench.shake()
        async with bench.post_stream("tools/call", tool("wait"), headers=headers) as (got, stream):
            assert got.headers["content-type"] == "text/event-stream"
            bench.shop.release.set()
            said = await stream.rest()
    assert said[-1]["result"]["content"][0]["text"] == "released"


async def test_streams_end_when_the_server_stops(bench):
    headers = await bench.shake()
    async with bench.listen(headers) as (_, stream):
        await stream.next()
        bench.face.stop()
        assert await stream.rest() == []
