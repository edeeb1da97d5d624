"""The pool over stdio: real child processes, good ones and bad ones."""

import json
import os
import time

import anyio
import psutil
import pytest

from toolcrib_registry.errors import (
    NotCallable,
    UpstreamProtocolError,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from toolcrib_registry.types import CatalogTransport, EntryKind, Server, ServerName, StdioTransport
from toolcrib_server.upstream.config.secrets import MASK, SecretStore, seal
from toolcrib_server.upstream.messages.interaction import Interaction
from toolcrib_server.upstream.pool.pool import ConnectionPool
from toolcrib_server.upstream.pool.slot import LinkStatus

pytestmark = pytest.mark.anyio


def seen(result):
    """What the raw server tells of the call it received."""
    return json.loads(result["content"][0]["text"])


def state(pool, server):
    return next(each for each in pool.states() if each.server == server.name)


async def wait_until(condition, timeout_s=30.0):
    with anyio.fail_after(timeout_s):
        while not condition():
            await anyio.lowlevel.checkpoint()


# --- servers that behave -----------------------------------------------------------------------


async def test_an_old_server_is_listed_and_called(raw):
    async with ConnectionPool() as pool:
        listing = await pool.list_all(raw("plain"))
        result = await pool.call_tool(raw("plain"), "echo", {"a": [1, "é"]}, timeout_s=5)
    assert [tool["name"] for tool in listing.tools] == ["echo", "slow"]
    assert listing.protocol_version == "2024-11-05"
    assert (listing.reported_name, listing.reported_version) == ("raw plain", "1.0")
    assert listing.instructions == "Be kind."
    assert seen(result)["arguments"] == {"a": [1, "é"]}


async def test_a_modern_server_is_listed_called_and_heard(modern):
    told = []
    async with ConnectionPool(on_list_changed=told.append) as pool:
        listing = await pool.list_all(modern)
        result = await pool.call_tool(modern, "echo", {"text": "hi"}, timeout_s=10)
        assert result["content"] == [{"type": "text", "text": "hi"}]
        assert listing.protocol_version == "2026-07-28"
        assert [tool["name"] for tool in listing.tools] == ["echo", "grow"]
        assert [prompt["name"] for prompt in listing.prompts] == ["greet"]
        assert [resource["uri"] for resource in listing.resources] == ["memo://today"]
        assert [template["uriTemplate"] for template in listing.templates] == ["memo://{day}"]
        assert listing.reported_version == "2.5"
        read = await pool.request(
            modern, "resources/read", {"uri": "memo://today"}, timeout_s=10, safe=True
        )
        assert read["contents"][0]["text"] == "nothing"
        await pool.call_tool(modern, "grow", {}, timeout_s=10)
        await wait_until(lambda: told == [modern.name])
        assert "grown" in [tool["name"] for tool in (await pool.list_all(modern)).tools]


async def test_many_calls_are_in_flight_at_once_and_answers_are_not_crossed(raw):
    server = raw("plain")
    answers = {}

    async with ConnectionPool() as pool:

        async def call(number):
            answers[number] = seen(
                await pool.call_tool(server, "echo", {"number": number}, timeout_s=20)
            )

        async with anyio.create_task_group() as tasks:
            for number in range(50):
                tasks.start_soon(call, number)
        assert state(pool, server).opened == 1
    assert {n: each["arguments"]["number"] for n, each in answers.items()} == {
        n: n for n in range(50)
    }
    assert len({each["pid"] for each in answers.values()}) == 1


async def test_all_pages_are_read(raw):
    async with ConnectionPool() as pool:
        listing = await pool.list_all(raw("pages"))
    assert [tool["name"] for tool in listing.tools] == [f"tool{page}" for page in range(5)]


async def test_progress_reaches_the_caller_before_the_result(raw):
    steps = []

    async def hear(method, params):
        steps.append(params)

    async with ConnectionPool() as pool:
        await pool.call_tool(
            raw("progress"), "echo", {}, timeout_s=5, interaction=Interaction(on_notice=hear)
        )
    assert steps == [
        {"progress": 1, "total": 2, "message": "s1"},
        {"progress": 2, "total": 2, "message": "s2"},
    ]


async def test_requests_of_the_server_are_declined_and_its_pings_answered(raw):
    async with ConnectionPool() as pool:
        result = await pool.call_tool(raw("asks-back"), "echo", {}, timeout_s=5)
    answers = result["structuredContent"]
    assert answers["s1"]["error"]["code"] == -32601
    assert answers["s2"]["result"] == {}


async def test_a_changed_list_is_told(raw):
    told = []
    async with ConnectionPool(on_list_changed=told.append) as pool:
        await pool.list_all(raw("changes"))
        assert told == []
        await pool.call_tool(raw("changes"), "echo", {}, timeout_s=5)
    assert told == ["changes"]


async def test_a_process_that_is_started_for_a_call_may_list_something_else(raw):
    told = []
    async with ConnectionPool(on_list_changed=told.append) as pool:
        await pool.call_tool(raw("plain"), "echo", {}, timeout_s=5)
        await wait_until(lambda: told == ["plain"])


async def test_a_child_inherits_nothing_but_the_safe_variables_and_those_declared(raw, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not for children")
    async with ConnectionPool() as pool:
        result = await pool.call_tool(raw("plain", MINE="1"), "echo", {}, timeout_s=5)
    environment = seen(result)["environment"]
    assert environment["MINE"] == "1"
    assert "PATH" in environment
    assert "AWS_SECRET_ACCESS_KEY" not in environment


async def test_nothing_goes_through_a_shell(tmp_path):
    witness = tmp_path / "witness"
    server = Server(
        name=ServerName("shell"),
        transport=StdioTransport(f"true; touch {witness}", ("$(touch", f"{witness})")),
    )
    async with ConnectionPool() as pool:
        with pytest.raises(UpstreamUnavailable, match="was not found"):
            await pool.list_all(server)
    assert not witness.exists()


# --- servers that do not -----------------------------------------------------------------------

FAULTS_AT_LISTING = {
    "hang-at-start": (UpstreamTimeout, "did not answer start within 1 s"),
    "exit-at-start": (UpstreamUnavailable, "exit code 3; it said: cannot find the flux"),
    "long-line": (UpstreamProtocolError, "a line of more than 8388608 bytes"),
    "repeated-cursor": (UpstreamProtocolError, "repeats a cursor in tools/list"),
    "wrong-id": (UpstreamTimeout, "did not answer"),
    "no-list": (UpstreamProtocolError, "answered tools/list without a list of tools"),
}


@pytest.mark.parametrize("mode", FAULTS_AT_LISTING)
async def test_a_bad_server_fails_in_time_with_its_own_error_and_delays_nobody(raw, mode):
    error, words = FAULTS_AT_LISTING[mode]
    good, bad = raw("plain"), raw(mode, start_timeout_s=1 if mode == "hang-at-start" else 20)
    calls = []
    async with ConnectionPool(list_timeout_s=2, close_grace_s=0.2) as pool:
        await pool.call_tool(good, "echo", {}, timeout_s=10)
        failed = anyio.Event()
        took = 0.0

        async def keep_calling():
            while not failed.is_set():
                started = time.monotonic()
                await pool.call_tool(good, "echo", {}, timeout_s=30)
                calls.append(time.monotonic() - started)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(keep_calling)
            started = time.monotonic()
            with pytest.raises(error, match=words):
                await pool.list_all(bad)
            took = time.monotonic() - started
            failed.set()
        assert took < 30
        assert min(calls) < took / 2
        assert state(pool, good).opened == 1


ODD_VALUES = {
    "DEEP": "[" * 900 + "]" * 900,
    "PIT": "[" * 5000 + "]" * 5000,
    "LONG": "9" * 5000,
}


def saying(raw, text):
    """A server that answers a call with this line; ID is the call's id."""
    for name, value in ODD_VALUES.items():
        text = text.replace(name, value)
    return raw("says", SAYS=text)


ODD_ANSWERS = {
    "text": ('{"jsonrpc":"2.0","id":ID,"result":"done"}', "neither a result object"),
    "nothing": ('{"jsonrpc":"2.0","id":ID}', "neither a result object nor an error"),
    "content": ('{"jsonrpc":"2.0","id":ID,"result":{"content":"x"}}', "not a list"),
    "deep": ('{"jsonrpc":"2.0","id":ID,"result":{"a":DEEP}}', "100 levels"),
    "pit": ('{"jsonrpc":"2.0","id":ID,"result":{"a":PIT}}', "100 levels"),
    "pit, id last": ('{"result":{"a":PIT},"id":ID}', "100 levels"),
    "pit, no id": ('{"result":{"a":PIT}}', "100 levels"),
    "long": ('{"jsonrpc":"2.0","id":ID,"result":{"a":LONG}}', "more than 4300 digits"),
    "long, in a list": ('[{"id":ID,"result":{"a":LONG}}]', "more than 4300 digits"),
}


@pytest.mark.parametrize("case", ODD_ANSWERS)
async def test_an_answer_that_cannot_be_handed_on_fails_at_once_and_alone(raw, case):
    says, words = ODD_ANSWERS[case]
    server = saying(raw, says)
    async with ConnectionPool() as pool:
        await pool.list_all(server)
        with pytest.raises(UpstreamProtocolError, match=words):
            await pool.call_tool(server, "echo", {}, timeout_s=20)
        assert len((await pool.list_all(server)).tools) == 2
        assert state(pool, server).opened == 1


async def test_an_answer_without_an_id_ends_the_link_when_several_wait(raw):
    server = saying(raw, '{"result":{"a":PIT}}')
    failures = []
    async with ConnectionPool() as pool:
        await pool.list_all(server)

        async def call(tool, arguments):
            with pytest.raises(UpstreamProtocolError, match="100 levels") as caught:
                await pool.call_tool(server, tool, arguments, timeout_s=20)
            failures.append(caught.value)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call, "echo", {})
            tasks.start_soon(call, "echo", {})
        assert len(failures) == 2


@pytest.mark.parametrize(
    "says",
    [
        '{"jsonrpc":"2.0","method":"notifications/x","params":PIT}',
        '{"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":LONG}}',
        '{"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":1e999}}',
        '{"jsonrpc":"2.0","id":ID,"method":"ping","params":{"a":PIT}}',
        "PIT",
        "LONG",
    ],
)
async def test_an_odd_message_that_answers_nobody_is_noise(raw, says):
    server = saying(raw, says)
    async with ConnectionPool() as pool:
        result = await pool.call_tool(server, "echo", {"last": False}, timeout_s=20)
        assert seen(result)["arguments"] == {"last": False}
        assert state(pool, server).opened == 1


async def test_a_lone_surrogate_in_a_result_is_replaced(raw):
    text = '{"id":ID,"result":{"content":[{"type":"text","text":"a\\ud800"}]}}'
    async with ConnectionPool() as pool:
        result = await pool.call_tool(saying(raw, text), "echo", {}, timeout_s=20)
    assert result == {"content": [{"type": "text", "text": "a\ufffd"}]}


async def test_a_tool_that_nests_too_deeply_costs_one_tool(raw):
    async with ConnectionPool() as pool:
        listing = await pool.list_all(raw("deep-tool"))
    assert [tool["name"] for tool in listing.tools] == ["echo", "slow"]
    (aside,) = listing.malformed
    assert "more than 100 deep" in aside.reason


async def test_a_server_that_hangs_on_a_call_is_given_up_after_three_and_repaired(raw):
    server = raw("hang-on-call")
    async with ConnectionPool(close_grace_s=0.1) as pool:
        await pool.list_all(server)
        first = state(pool, server).pids
        for _ in range(3):
            with pytest.raises(UpstreamTimeout, match=r"tools/call within 0\.1 s"):
                await pool.call_tool(server, "echo", {}, timeout_s=0.1)
        await pool.list_all(server)
        assert state(pool, server).opened == 2
        assert state(pool, server).pids != first


async def test_a_call_that_times_out_is_cancelled_at_the_server_and_the_next_one_works(
    raw, tmp_path
):
    told = tmp_path / "cancelled"
    server = raw("plain", CANCELLED=str(told))
    async with ConnectionPool() as pool:
        await pool.list_all(server)
        with pytest.raises(UpstreamTimeout):
            await pool.call_tool(server, "slow", {}, timeout_s=0.3)
        await pool.call_tool(server, "echo", {}, timeout_s=10)
        assert told.read_text() == "True"
        assert state(pool, server).opened == 1


async def test_a_caller_that_gives_up_cancels_at_the_server(raw, tmp_path):
    told = tmp_path / "cancelled"
    server = raw("plain", CANCELLED=str(told))
    async with ConnectionPool() as pool:
        await pool.list_all(server)
        with anyio.move_on_after(0.3):
            await pool.call_tool(server, "slow", {}, timeout_s=30)
        await pool.call_tool(server, "echo", {}, timeout_s=10)
        assert told.read_text() == "True"


async def test_a_call_whose_server_dies_under_it_is_not_sent_again(raw):
    server = raw("exit-on-call")
    async with ConnectionPool() as pool:
        await pool.list_all(server)
        with pytest.raises(UpstreamUnavailable, match=r"exit code 7; it said: about to"):
            await pool.call_tool(server, "echo", {}, timeout_s=10)
        assert state(pool, server).opened == 1


async def test_a_server_found_dead_before_the_call_is_opened_again_and_called_once(raw):
    server = raw("plain")
    async with ConnectionPool() as pool:
        await pool.list_all(server)
        (pid,) = state(pool, server).pids
        os.kill(pid, 9)
        await wait_until(lambda: state(pool, server).status is not LinkStatus.OPEN)
        result = await pool.call_tool(server, "echo", {}, timeout_s=10)
        assert seen(result)["pid"] != pid
        assert state(pool, server).opened == 2


async def test_a_listing_is_repeated_when_its_server_dies_under_it(raw, tmp_path):
    server = raw("plain")
    async with ConnectionPool() as pool:
        await pool.list_all(server)
        (pid,) = state(pool, server).pids
        os.kill(pid, 9)
        # Not waited for: the request may meet the dead pipe.
        assert (await pool.list_all(server)).tools


async def test_a_server_that_keeps_failing_is_left_alone_for_a_while(raw):
    server = raw("exit-at-start")
    async with ConnectionPool() as pool:
        with pytest.raises(UpstreamUnavailable):
            await pool.list_all(server)
        with pytest.raises(UpstreamUnavailable, match="flux capacitor") as caught:
            await pool.list_all(server)
        # After another try the pause would be longer.
        assert 0 < (caught.value.retry_after_s or 0) <= 1.25
        assert state(pool, server).status is LinkStatus.WAITING
        await pool.aclose_server(server.name)
        assert pool.states() == ()


async def test_a_server_that_dies_again_and_again_is_reopened_with_growing_pauses(raw):
    server = raw("plain")
    async with ConnectionPool() as pool:
        for _ in range(2):
            with pytest.raises(UpstreamUnavailable, match="exit code 7"):
                await pool.call_tool(server, "echo", {"die": True}, timeout_s=10)
        with pytest.raises(UpstreamUnavailable, match="Next attempt in"):
            await pool.call_tool(server, "echo", {}, timeout_s=10)
        assert state(pool, server).opened == 2


async def test_a_missing_command_is_named_with_the_fix():
    server = Server(name=ServerName("x"), transport=StdioTransport("no-such-command-here"))
    async with ConnectionPool() as pool:
        with pytest.raises(UpstreamUnavailable, match=r"'no-such-command-here' was not found; ins"):
            await pool.list_all(server)


async def test_a_missing_folder_is_named(raw):
    server = raw("plain")
    gone = StdioTransport(server.transport.command, server.transport.args, {}, "/no/such/folder")
    async with ConnectionPool() as pool:
        with pytest.raises(UpstreamUnavailable, match="'/no/such/folder' does not exist"):
            await pool.list_all(Server(name=server.name, transport=gone))


async def test_noise_on_the_output_is_skipped_and_counted(raw):
    server = raw("noise")
    async with ConnectionPool() as pool:
        assert len((await pool.list_all(server)).tools) == 2
        assert state(pool, server).noise == 5


async def test_a_name_listed_twice_is_set_aside_the_second_time(raw):
    async with ConnectionPool() as pool:
        listing = await pool.list_all(raw("duplicates"))
    assert [tool.get("description") for tool in listing.tools] == ["Say it again.", None]
    (aside,) = listing.malformed
    assert (aside.kind, aside.name) == (EntryKind.TOOL, "echo")
    assert "listed before" in aside.reason


async def test_one_bad_schema_costs_one_tool(raw):
    async with ConnectionPool() as pool:
        listing = await pool.list_all(raw("bad-schema"))
    assert [tool["name"] for tool in listing.tools] == ["echo", "slow"]
    (aside,) = listing.malformed
    assert aside.name == "broken"
    assert "no-such-type" in aside.reason


@pytest.mark.parametrize("mode", ["dies-of-the-unknown", "ignores-the-unknown"])
async def test_an_old_server_that_cannot_take_the_probe_is_talked_to_all_the_same(raw, mode):
    server = raw(mode, start_timeout_s=4)
    async with ConnectionPool() as pool:
        assert (await pool.list_all(server)).protocol_version == "2024-11-05"


async def test_a_catalogue_cannot_be_called():
    server = Server(name=ServerName("papers"), transport=CatalogTransport("tools.jsonl"))
    async with ConnectionPool() as pool:
        with pytest.raises(NotCallable, match=r"imported from tools\.jsonl"):
            await pool.call_tool(server, "x", {}, timeout_s=1)


# --- the life of a connection ------------------------------------------------------------------


async def test_closing_the_pool_leaves_no_process_however_detached(raw, tmp_path):
    pids_file = tmp_path / "pids"
    server = raw("family", PIDS=str(pids_file))
    async with ConnectionPool(close_grace_s=0.2) as pool:
        await pool.list_all(server)
        pids = [int(pid) for pid in pids_file.read_text().split()]
        assert len(pids) == 3
        assert all(psutil.pid_exists(pid) for pid in pids)
        started = time.monotonic()
    assert time.monotonic() - started < 30
    for pid in pids:
        assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


async def test_closing_under_cancellation_leaves_no_process(raw):
    pids = []
    with anyio.CancelScope() as scope:
        async with ConnectionPool() as pool:
            server = raw("plain")
            await pool.list_all(server)
            pids += state(pool, server).pids
            scope.cancel()
            await anyio.sleep_forever()
    assert len(pids) == 1
    assert not psutil.pid_exists(pids[0])


async def test_closing_while_a_server_starts_leaves_no_process(raw):
    children = []
    async with ConnectionPool(close_grace_s=0.1) as pool, anyio.create_task_group() as tasks:
        tasks.start_soon(pool.list_all, raw("hang-at-start"))
        await wait_until(psutil.Process().children)
        children += psutil.Process().children()
        tasks.cancel_scope.cancel()
    assert children
    assert not any(child.is_running() for child in children)


async def test_an_error_in_the_callers_code_leaves_the_pool_as_it_is():
    with pytest.raises(ZeroDivisionError):
        async with ConnectionPool():
            raise ZeroDivisionError


async def test_a_pool_that_is_not_open_says_so(raw):
    with pytest.raises(UpstreamUnavailable, match="the pool is not open"):
        await ConnectionPool().list_all(raw("plain"))


async def test_an_idle_connection_is_closed_and_opened_again_when_needed(raw):
    server = raw("plain")
    async with ConnectionPool(idle_timeout_s=0.2) as pool:
        await pool.list_all(server)
        await wait_until(lambda: state(pool, server).status is LinkStatus.CLOSED)
        await pool.call_tool(server, "echo", {}, timeout_s=10)
        assert state(pool, server).opened == 2


async def test_changed_settings_replace_the_connection(raw):
    async with ConnectionPool() as pool:
        first = await pool.call_tool(raw("plain", MINE="1"), "echo", {}, timeout_s=10)
        second = await pool.call_tool(raw("plain", MINE="2"), "echo", {}, timeout_s=10)
        assert seen(second)["environment"]["MINE"] == "2"
        gone = seen(first)["pid"]
        await wait_until(lambda: not psutil.pid_exists(gone))


async def test_a_closed_server_has_no_process(raw):
    server = raw("plain")
    async with ConnectionPool() as pool:
        await pool.list_all(server)
        (pid,) = state(pool, server).pids
        await pool.aclose_server(server.name)
        assert not psutil.pid_exists(pid)
        assert pool.states() == ()


# --- secrets -----------------------------------------------------------------------------------

TOKEN = "ghp_abcdefghijklmnop"


async def test_a_secret_reaches_its_server_and_no_error(raw, tmp_path):
    secrets = SecretStore(tmp_path / "secrets.json")
    server = seal(raw("error-on-call", TOKEN=TOKEN), secrets)
    async with ConnectionPool(secrets=secrets) as pool:
        with pytest.raises(UpstreamProtocolError) as caught:
            await pool.call_tool(server, "echo", {}, timeout_s=10)
    assert caught.value.rpc_code == -32001
    assert caught.value.detail == f"Server 'error-on-call': no access for {MASK}"


async def test_what_a_server_says_as_it_dies_is_redacted(raw, tmp_path):
    secrets = SecretStore(tmp_path / "secrets.json")
    server = seal(raw("exit-on-call", TOKEN=TOKEN), secrets)
    async with ConnectionPool(secrets=secrets) as pool:
        with pytest.raises(UpstreamUnavailable) as caught:
            await pool.call_tool(server, "echo", {}, timeout_s=10)
        shown = f"{caught.value} {pool.states()}"
    assert f"fall over with {MASK}" in shown
    assert TOKEN not in shown


async def test_a_secret_that_a_server_repeats_is_masked_in_its_listing(raw, tmp_path):
    secrets = SecretStore(tmp_path / "secrets.json")
    server = seal(raw("echoes", TOKEN=TOKEN, MODE="string"), secrets)
    async with ConnectionPool(secrets=secrets) as pool:
        listing = await pool.list_all(server)
    assert TOKEN not in repr(listing)
    assert listing.instructions == f"Log in with {MASK}."
    leak = listing.tools[-1]
    assert leak["description"] == f"Uses {MASK}."
    # An ordinary word among the variables is left alone.
    assert leak["inputSchema"]["properties"]["a"] == {"type": "string", "default": MASK}
    reasons = [(each.name, each.reason) for each in listing.malformed]
    assert reasons == [
        (MASK, "its name holds a secret that the server was given"),
        (f"bad {MASK}", "its name holds a secret that the server was given"),
    ]


async def test_secrets_among_the_arguments_reach_the_process_unchanged(raw, tmp_path):
    secrets = SecretStore(tmp_path / "secrets.json")
    plain = raw("plain")
    args = (*plain.transport.args, "--api-key", TOKEN, f"--token={TOKEN}$${{x}}")
    server = Server(name=plain.name, transport=StdioTransport(plain.transport.command, args))
    sealed = seal(server, secrets)
    assert TOKEN not in repr(sealed)
    async with ConnectionPool(secrets=secrets) as pool:
        result = await pool.call_tool(sealed, "echo", {}, timeout_s=20)
        cmdline = psutil.Process(seen(result)["pid"]).cmdline()
    assert cmdline[-3:] == ["--api-key", TOKEN, f"--token={TOKEN}${{x}}"]


async def test_a_missing_variable_is_named_and_nothing_is_started(raw):
    async with ConnectionPool(env={}) as pool:
        with pytest.raises(UpstreamUnavailable) as caught:
            await pool.list_all(raw("plain", TOKEN="${GITHUB_TOKEN}"))
    for word in ("'plain'", "env.TOKEN", "GITHUB_TOKEN is not set", "Set GITHUB_TOKEN before"):
        assert word in caught.value.detail
