"""What is said to one hearer: bounded, in order, and never in the way of who reads."""

from typing import Any

import anyio
import pytest

from toolcrib_server.upstream.messages.dialogue import MOST_QUESTIONS, Dialogue, Questions
from toolcrib_server.upstream.messages.incoming import Incoming, Nobody
from toolcrib_server.upstream.messages.interaction import Interaction

pytestmark = pytest.mark.anyio


class Sent(list[dict[str, Any]]):
    """Answers that were sent, which takes as long as the gate is shut."""

    def __init__(self):
        self.gate = anyio.Event()
        self.gate.set()
        self.begun = 0

    async def reply(self, answer):
        self.begun += 1
        await self.gate.wait()
        self.append(answer)


async def settle():
    for _ in range(10):
        await anyio.lowlevel.checkpoint()


def question(number, method="elicitation/create"):
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": {"n": number}}


async def test_a_flood_of_questions_is_refused_beyond_the_most():
    gate, sent = anyio.Event(), Sent()

    async def on_ask(method, params):
        await gate.wait()
        return params

    async with Dialogue(Interaction(on_ask=on_ask), Questions()) as dialogue:
        for number in range(MOST_QUESTIONS + 3):
            dialogue.ask(question(number), sent.reply)
        await settle()
        assert [answer["error"]["code"] for answer in sent] == [-32000] * 3
        gate.set()
        await settle()
        assert len(sent) == MOST_QUESTIONS + 3
        dialogue.ask(question(99), sent.reply)
        await settle()
    assert sent[-1] == {"jsonrpc": "2.0", "id": 99, "result": {"n": 99}}


async def test_a_server_that_reads_no_answers_is_given_no_more_of_them():
    sent = Sent()
    sent.gate = anyio.Event()
    async with Dialogue(Interaction(), Questions()) as dialogue:
        for number in range(1000):
            dialogue.ask(question(number, "ping"), sent.reply)
            dialogue.ask(question(number), sent.reply)
        await settle()
        assert sent.begun == 64
        sent.gate.set()
        await settle()
        dialogue.ask(question(5, "ping"), sent.reply)
        await settle()
    assert sent[-1] == {"jsonrpc": "2.0", "id": 5, "result": {}}


@pytest.mark.parametrize("number", [None, True, [1], {"a": 1}])
async def test_what_has_no_id_that_could_be_answered_is_not_asked(number):
    asked = []

    async def on_ask(method, params):
        asked.append(method)
        return {}

    sent = Sent()
    async with Dialogue(Interaction(on_ask=on_ask), Questions()) as dialogue:
        dialogue.ask(question(number), sent.reply)
        dialogue.ask(question(number, "ping"), sent.reply)
        await settle()
    assert (asked, sent) == ([], [])


async def test_a_withdrawn_question_is_not_answered_and_another_id_withdraws_nothing():
    questions, sent = Questions(), Sent()

    async def on_ask(method, params) -> Any:
        await anyio.sleep_forever()

    async with Dialogue(Interaction(on_ask=on_ask), questions) as dialogue:
        dialogue.ask(question("a"), sent.reply)
        dialogue.ask(question(1), sent.reply)
        await settle()
        for other in ("1", 2, None, [1], {}):
            questions.withdraw(other)
        await settle()
        questions.withdraw("a")
        questions.withdraw(1)
        await settle()
        assert sent == []
        for number in range(MOST_QUESTIONS):
            dialogue.ask(question(number), sent.reply)
        await settle()
        assert sent == []


async def test_a_question_that_is_withdrawn_in_the_same_breath_is_not_answered():
    questions, sent, open_now = Questions(), Sent(), set[str]()

    async def on_ask(method, params) -> Any:
        open_now.add(method)
        try:
            await anyio.sleep_forever()
        finally:
            open_now.discard(method)

    async with Dialogue(Interaction(on_ask=on_ask), questions) as dialogue:
        dialogue.ask(question("a"), sent.reply)
        questions.withdraw("a")
        await settle()
        assert (open_now, sent) == (set(), [])


async def test_a_hearer_that_breaks_hears_the_next():
    heard = []

    async def on_notice(method, params):
        heard.append(params["n"])
        raise ValueError

    async with Dialogue(Interaction(on_notice=on_notice), Questions()) as dialogue:
        for number in range(3):
            dialogue.tell("notifications/message", {"n": number})
        await dialogue.finish()
    assert heard == [0, 1, 2]


async def test_what_is_told_after_the_end_is_dropped():
    heard = []

    async def on_notice(method, params):
        heard.append(params)

    dialogue = Dialogue(Interaction(on_notice=on_notice), Questions())
    dialogue.tell("x", {})
    async with dialogue:
        pass
    dialogue.tell("x", {})
    dialogue.ask(question(1), Sent().reply)
    await settle()
    assert heard == []


# --- which request is meant --------------------------------------------------------------------


def notice(method, **params):
    return {"jsonrpc": "2.0", "method": f"notifications/{method}", "params": params}


async def heard_by(dialogues, messages, **options):
    """What each of several requests in flight hears of these messages."""
    heard = {number: [] for number in dialogues}
    incoming = Incoming(Nobody(), by_streams=False, **options)
    async with anyio.create_task_group() as tasks:
        opened = {}

        async def fly(number, about, *, task_status):
            async def on_notice(method, params):
                heard[number].append(params)

            hearer = Interaction(on_notice=on_notice)
            async with Dialogue(hearer, Questions(), **about) as dialogue:
                with incoming.expecting(number, dialogue):
                    opened[number] = dialogue
                    task_status.started()
                    await anyio.sleep_forever()

        for number, about in dialogues.items():
            await tasks.start(fly, number, about)
        for message in messages:
            assert incoming.take(message, Sent().reply)
        await settle()
        tasks.cancel_scope.cancel()
    return heard


async def test_progress_goes_by_its_token_only():
    said = [
        notice("progress", progressToken=2, progress=1),
        notice("progress", progressToken="1", progress=2),
        notice("progress", progressToken=3, progress=3),
        notice("progress", progress=4),
        notice("progress", progressToken=True, progress=5),
        notice("progress", progressToken=1, progress="6"),
    ]
    heard = await heard_by({1: {}, 2: {}}, said)
    assert heard == {1: [{"progress": 2}], 2: [{"progress": 1}]}


async def test_a_subscription_goes_by_its_id_only():
    def about(number, n):
        meta = {"io.modelcontextprotocol/subscriptionId": number}
        return notice("tools/list_changed", _meta=meta, n=n)

    said = [about(1, 1), about("2", 2), about(3, 3), about(None, 4)]
    heard = await heard_by({1: {"listens": True}, 2: {"listens": True}}, said)
    assert heard == {1: [{"n": 1}], 2: [{"n": 2}]}


@pytest.mark.parametrize(
    ("keys", "hearer"),
    [({1: "a"}, 1), ({1: "a", 2: "a"}, 2), ({1: "a", 2: "b"}, None), ({1: ""}, 1)],
)
async def test_a_log_message_without_an_address_goes_to_one_client_or_to_nobody(keys, hearer):
    dialogues = {number: {"key": key, "hears_logs": True} for number, key in keys.items()}
    heard = await heard_by(dialogues, [notice("message", data=1)])
    assert [number for number, said in heard.items() if said] == ([hearer] if hearer else [])


async def test_a_log_message_is_nobodys_where_a_stranger_shares_the_connection():
    dialogues = {1: {"hears_logs": True}, 2: {}}
    heard = await heard_by(dialogues, [notice("message", data=1)])
    assert heard == {1: [], 2: []}
