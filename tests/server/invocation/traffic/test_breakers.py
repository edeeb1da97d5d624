"""The breaker, held against a model of it: closed, open, half open."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from toolcrib_registry.errors import (
    AnswerCut,
    CredentialsRefused,
    Fault,
    Peer,
    RateLimited,
    RequestRefused,
    UpstreamError,
    UpstreamProtocolError,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from toolcrib_server.invocation.traffic.breakers import OF_SERVERS, Breakers, BreakerState

FAILURE = UpstreamTimeout("shop", "tools/call", 60)
CALLS = [f"me tools/call tool:{number}" for number in range(6)]


def down(*, retry_after_s: float | None = None) -> UpstreamError:
    """Nobody can connect; the connection is tried again in ``retry_after_s``."""
    error = UpstreamUnavailable("shop", "connection refused", retry_after_s=retry_after_s)
    error.fault, error.is_unsent = Fault.SERVER, True
    return error


class Machine(RuleBasedStateMachine):
    """Many tries at once, which end in any order; time passes between."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        self.breakers = Breakers(lambda: self.now, pauses=OF_SERVERS)
        self.running: list[tuple[int, int]] = []
        """What `begin` said of each, and in which opening it began."""
        self.failures = 0
        self.openings = 0
        self.opened_last = -1
        self.open_until = 0.0
        self.probe_until = 0.0
        self.failed: set[str] = set()
        """What has failed since the last answer."""
        self.was_down = False
        """Whether nobody could connect, since the last answer."""

    @property
    def is_open(self) -> bool:
        return self.now < self.open_until

    @rule()
    def begin(self) -> None:
        if self.breakers.waits_s("shop") > 0:
            assert self.open_until, "only what has opened makes anybody wait"
            return
        assert not self.is_open
        assert self.now >= self.probe_until, "one probe at a time"
        self.running.append((self.breakers.begin("shop"), self.openings))
        if self.open_until:
            self.probe_until = self.now + OF_SERVERS.probe_s

    @precondition(lambda self: self.running)
    @rule(data=st.data(), call=st.sampled_from(CALLS))
    def has_no_answer(self, data: st.DataObject, call: str) -> None:
        began, opening = self.take(data)
        self.breakers.fail("shop", FAILURE, began=began, witness=call)
        if opening < self.opened_last:
            return  # it began before the last opening: no news
        self.failures += call not in self.failed
        self.failed.add(call)
        self.probe_until = 0.0
        over = self.failures - OF_SERVERS.trips_after
        if over >= 0:
            self.open(min(OF_SERVERS.first_s * 2**over, OF_SERVERS.longest_s))

    @precondition(lambda self: self.running)
    @rule(data=st.data(), call=st.sampled_from(CALLS), due_s=st.none() | st.floats(0.1, 90))
    def cannot_connect(self, data: st.DataObject, call: str, due_s: float | None) -> None:
        began, opening = self.take(data)
        self.breakers.fail("shop", down(retry_after_s=due_s), began=began, witness=call)
        if opening < self.opened_last:
            return
        self.failures += 1
        self.failed.add(call)
        self.was_down = True
        self.probe_until = 0.0
        grown = min(OF_SERVERS.first_s * 2 ** (self.failures - 1), OF_SERVERS.longest_s)
        # Who keeps the connection knows when it is tried again: nothing comes on top of that.
        self.open(grown if due_s is None else min(due_s, OF_SERVERS.longest_asked_s))

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def succeed(self, data: st.DataObject) -> None:
        self.take(data)
        self.breakers.succeed("shop")
        self.failures, self.open_until, self.probe_until = 0, 0.0, 0.0
        self.failed, self.was_down = set(), False
        self.opened_last = -1  # nothing has opened since: whatever ends now is news

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        began, opening = self.take(data)
        self.breakers.leave("shop", began=began)
        if self.open_until and opening >= self.opened_last:
            self.probe_until = 0.0

    @rule(seconds=st.floats(0.1, 40))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    def take(self, data: st.DataObject) -> tuple[int, int]:
        return self.running.pop(data.draw(st.integers(0, len(self.running) - 1)))

    def open(self, pause_s: float) -> None:
        self.open_until = self.now + pause_s
        self.openings += 1
        self.opened_last = self.openings

    @invariant()
    def it_is_as_the_model_says(self) -> None:
        expected = BreakerState.CLOSED
        if self.open_until:
            expected = BreakerState.OPEN if self.is_open else BreakerState.HALF_OPEN
        assert self.breakers.state("shop") is expected
        assert self.breakers.waits_s("other") == 0
        waits_s = max(self.open_until - self.now, self.probe_until - self.now, 0.0)
        assert self.breakers.waits_s("shop") == pytest.approx(waits_s)
        assert waits_s <= OF_SERVERS.longest_asked_s + 1e-9, "nobody is left alone for long"

    @invariant()
    def few_calls_are_no_evidence(self) -> None:
        if not self.was_down and len(self.failed) < OF_SERVERS.trips_after:
            assert self.breakers.state("shop") is BreakerState.CLOSED


TestMachine = Machine.TestCase


@given(st.lists(st.sampled_from(CALLS[:2]), max_size=60), st.floats(0, 100))
def test_no_call_that_fails_however_often_opens_it(calls: list[str], retry_after_s: float) -> None:
    breakers = Breakers(lambda: 0.0, pauses=OF_SERVERS)
    broken = UpstreamUnavailable("shop", "it answered HTTP 500", retry_after_s=retry_after_s)
    for call in calls:
        breakers.fail("shop", broken, began=breakers.begin("shop"), witness=call)
    assert breakers.state("shop") is BreakerState.CLOSED


@given(st.lists(st.sampled_from([*CALLS, "answer"]), max_size=60))
def test_only_different_calls_without_an_answer_between_open_it(events: list[str]) -> None:
    breakers = Breakers(lambda: 0.0, pauses=OF_SERVERS)
    since: set[str] = set()
    for event in events:
        if event == "answer":
            breakers.succeed("shop")
            since.clear()
        else:
            breakers.fail("shop", FAILURE, witness=event)
            since.add(event)
        is_open = breakers.state("shop") is BreakerState.OPEN
        assert is_open is (len(since) >= OF_SERVERS.trips_after)


def test_a_call_that_fails_as_the_probe_too_lengthens_no_pause() -> None:
    now = 0.0
    breakers = Breakers(lambda: now, pauses=OF_SERVERS)
    for call in CALLS[:3]:
        breakers.fail("shop", FAILURE, witness=call)
    for _ in range(20):
        now += OF_SERVERS.first_s
        breakers.fail("shop", FAILURE, began=breakers.begin("shop"), witness=CALLS[0])
        assert breakers.waits_s("shop") == pytest.approx(OF_SERVERS.first_s)
    now += OF_SERVERS.first_s
    breakers.fail("shop", FAILURE, began=breakers.begin("shop"), witness=CALLS[3])
    assert breakers.waits_s("shop") == pytest.approx(2 * OF_SERVERS.first_s)


def test_the_pause_grows_from_a_quarter_of_a_second_to_half_a_minute() -> None:
    now = 0.0
    breakers = Breakers(lambda: now, pauses=OF_SERVERS)
    pauses: list[float] = []
    for _ in range(9):
        breakers.fail("shop", down(), began=breakers.begin("shop"), witness=CALLS[0])
        pauses.append(breakers.waits_s("shop"))
        now += pauses[-1]
    assert pauses == pytest.approx([0.25, 0.5, 1, 2, 4, 8, 16, 30, 30])


def test_many_tries_that_fail_together_open_it_once() -> None:
    now = 0.0
    breakers = Breakers(lambda: now, pauses=OF_SERVERS)
    tries = [breakers.begin("shop") for _ in range(100)]
    for number, began in enumerate(tries):
        breakers.fail("shop", FAILURE, began=began, witness=str(number))
    assert breakers.waits_s("shop") == OF_SERVERS.first_s


def test_a_probe_that_is_given_up_lets_another_be_made() -> None:
    now = 0.0
    breakers = Breakers(lambda: now, pauses=OF_SERVERS)
    for _ in range(3):
        breakers.fail("shop", FAILURE)
    now = OF_SERVERS.first_s
    assert breakers.state("shop") is BreakerState.HALF_OPEN
    began = breakers.begin("shop")
    assert breakers.waits_s("shop") > 0
    breakers.leave("shop", began=began)
    assert breakers.waits_s("shop") == 0


def test_the_refusal_says_why_and_until_when_and_each_thing_once() -> None:
    breakers = Breakers(lambda: 0.0, pauses=OF_SERVERS)
    breakers.fail("shop", down(retry_after_s=9))
    said = breakers.refusal("shop")
    assert said.detail == (
        "Server 'shop' cannot be reached: connection refused. Next attempt in 9 s."
    )
    assert isinstance(said, UpstreamUnavailable)
    assert said.retry_after_s == 9
    assert said.is_unsent
    for _ in range(3):
        breakers.fail("other", FAILURE)
    assert breakers.refusal("other").detail == (
        "Server 'shop' cannot be reached: it failed 3 times in a row, at last so: "
        "it did not answer tools/call within 60 s. Next attempt in 0.2 s."
    )


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (UpstreamUnavailable("acme", "it was stopped", peer=Peer.PROVIDER), "it was stopped"),
        (
            UpstreamError("acme", "Provider 'acme' failed: HTTP 500: oh.", peer=Peer.PROVIDER),
            "it failed: HTTP 500: oh",
        ),
        (
            CredentialsRefused("acme", "Provider 'acme' refuses the registered key (HTTP 401)."),
            "it refuses the registered key (HTTP 401)",
        ),
        (AnswerCut("acme", "ended"), "its answer broke off: it ended"),
        (
            UpstreamProtocolError("acme", "sent no choices.", peer=Peer.PROVIDER),
            "it sent no choices",
        ),
    ],
)
def test_a_provider_is_called_so_and_named_once(error: UpstreamError, says: str) -> None:
    breakers = Breakers(lambda: 0.0)
    for _ in range(3):
        breakers.fail("offer", error)
    said = breakers.refusal("offer").detail
    again = "it failed 3 times in a row, at last so"
    assert said.startswith(f"Provider 'acme' cannot be reached: {again}: {says}. Next attempt")
    assert "'acme'" not in said.removeprefix("Provider 'acme'")


def test_however_long_a_server_asks_to_wait_it_is_looked_at_again_soon() -> None:
    breakers = Breakers(lambda: 0.0, pauses=OF_SERVERS)
    breakers.fail("shop", down(retry_after_s=1e9))
    assert breakers.waits_s("shop") == OF_SERVERS.longest_asked_s


def test_offers_are_told_apart_by_what_failed() -> None:
    breakers = Breakers(lambda: 0.0)
    breakers.fail("offer", RequestRefused("acme", "too long"))
    assert breakers.state("offer") is BreakerState.CLOSED
    breakers.fail("offer", RateLimited("acme"))
    assert breakers.state("offer") is BreakerState.OPEN
    assert breakers.states() == {"offer": BreakerState.OPEN}
    breakers.fail("other", UpstreamUnavailable("acme", "it answered HTTP 503", retry_after_s=9))
    assert breakers.waits_s("other") == 9
