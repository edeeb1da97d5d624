"""Gets an answer from a server: in turn, unless it is left alone, again where that is safe.

Knows nothing of schemas, results and records. Each wait is within the errand's deadline.
"""

from __future__ import annotations

import random
import time
from typing import Any

import anyio

from toolcrib_registry.errors import (
    Fault,
    ResultTooLarge,
    UpstreamError,
    UpstreamProtocolError,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from toolcrib_registry.types import ServerName
from toolcrib_server.invocation.errands.errand import Account, Errand
from toolcrib_server.invocation.records.telemetry import Telemetry

from .breakers import OF_SERVERS, Breakers, BreakerState
from .contact import watched
from .hedging import race
from .lanes import Lanes, Place
from .meter import PathMeter

_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 3.0
"""Beyond that the caller is told, and decides."""
_PATIENCE_S = 1.0
"""What is not sent yet waits so long in all for a server to come back: a restart is no failure."""
_LOOK_AGAIN_S = 0.05
_FAIR_SHARE = 0.5
"""Of a server's own timeout: who gave it less cannot say that it hangs."""


class Dispatch:
    """The way from here to an answer. Belongs to the event loop."""

    def __init__(self, telemetry: Telemetry, meter: PathMeter) -> None:
        self._telemetry = telemetry
        self._meter = meter
        self.lanes = Lanes()
        self.breakers = Breakers(pauses=OF_SERVERS)

    async def send(self, errand: Errand, account: Account) -> dict[str, Any]:
        """Send until it is answered, or nothing more can be done.

        Raises:
            UpstreamError: No answer; `ServerBusy` if its turn did not come.
        """
        tries = 0
        while True:
            try:
                return await self._take_turn(errand, account)
            except UpstreamUnavailable as error:
                held_s = self._hold_s(errand, account, error)
                pause_s = _pause_s(errand, account, error, tries) if held_s is None else held_s
                if pause_s is None:
                    raise
            if held_s is None:
                tries += 1
                self._meter.retries[errand.target.server.name] += 1
            else:
                account.held_s += held_s
                account.queued_s += held_s
            await anyio.sleep(pause_s)

    def _hold_s(self, errand: Errand, account: Account, error: UpstreamUnavailable) -> float | None:
        """Say how long to wait with what was not sent; None: the caller is to know that at once."""
        if not error.is_unsent or error.retry_after_s is None:
            return None
        pause_s = max(error.retry_after_s, _LOOK_AGAIN_S)
        if self.breakers.state(errand.target.server.name) is BreakerState.HALF_OPEN:
            pause_s = _LOOK_AGAIN_S  # somebody is trying, and it may be over any moment
        left_s = min(_PATIENCE_S - account.held_s, errand.deadline.left_s)
        return pause_s if pause_s < left_s else None

    async def _take_turn(self, errand: Errand, account: Account) -> dict[str, Any]:
        server, policy = errand.target.server.name, errand.target.policy
        self._refuse_if_open(errand)
        place = self.lanes.enter_now(server, errand.asker.principal, policy)
        if place is None:
            place = await self._queue(errand, account)
        try:
            # It may have opened while this one waited.
            self._refuse_if_open(errand)
            return await self._judged(errand, account, place)
        finally:
            place.leave()

    async def _queue(self, errand: Errand, account: Account) -> Place:
        began = time.perf_counter()
        try:
            return await self.lanes.enter(
                errand.target.server.name,
                errand.asker.principal,
                errand.target.policy,
                left_s=errand.deadline.left_s,
            )
        finally:
            account.queued_s += time.perf_counter() - began

    def _refuse_if_open(self, errand: Errand) -> None:
        server = errand.target.server.name
        if errand.target.policy.breaker and self.breakers.waits_s(server) > 0:
            raise self.breakers.refusal(server)

    async def _judged(self, errand: Errand, account: Account, place: Place) -> dict[str, Any]:
        """Have the breaker learn what came of it: of all tries of a call, once."""
        server: ServerName = errand.target.server.name
        began, given_s = self.breakers.begin(server), errand.deadline.left_s
        try:
            result = await self._hedged(errand, account, place, given_s)
        except UpstreamError as error:
            self._learn(errand, error, began, given_s)
            raise
        except BaseException:
            self.breakers.leave(server, began=began)
            raise
        self.breakers.succeed(server)
        return result

    def _learn(self, errand: Errand, error: UpstreamError, began: int, given_s: float) -> None:
        server = errand.target.server.name
        if _is_answer(error):
            self.breakers.succeed(server)
        elif error.fault is Fault.CONNECTION or _is_hasty(error, errand, given_s):
            # Connections are opened again, and spared, by who keeps them.
            self.breakers.leave(server, began=began)
        else:
            self.breakers.fail(server, error, began=began, witness=_witness(errand))

    async def _hedged(
        self, errand: Errand, account: Account, place: Place, given_s: float
    ) -> dict[str, Any]:
        after_s = errand.target.policy.hedge_after_s
        interaction = watched(errand.asker.interaction, account, place)

        async def attempt() -> dict[str, Any]:
            account.attempts += 1
            try:
                with self._telemetry.reaching(errand) as meta:
                    return await errand.send(timeout_s=given_s, meta=meta, interaction=interaction)
            except UpstreamError as error:
                account.attempts -= error.is_unsent
                raise

        async def beside() -> dict[str, Any]:
            lent = self.lanes.enter_now(
                errand.target.server.name, errand.asker.principal, errand.target.policy
            )
            if lent is None:
                raise _NotNow
            self._meter.hedges[errand.target.server.name] += 1
            try:
                return await attempt()
            finally:
                lent.leave()

        if not after_s or not errand.is_safe or interaction is not errand.asker.interaction:
            return await attempt()
        return await race(attempt, beside, after_s=after_s)


class _NotNow(Exception):
    """A second try is not to be made; the first goes on."""


def _is_answer(error: UpstreamError) -> bool:
    """Whether a server that ends a call so is well."""
    if isinstance(error, UpstreamProtocolError):
        return error.rpc_code is not None
    return isinstance(error, ResultTooLarge)


def _is_hasty(error: UpstreamError, errand: Errand, given_s: float) -> bool:
    """Whether a server was given too little time to say that it hangs."""
    if not isinstance(error, UpstreamTimeout) or error.fault is Fault.SERVER:
        return False
    return given_s < _FAIR_SHARE * errand.deadline.longest_s


def _witness(errand: Errand) -> str:
    """Say what failed, and for whom: its tries, and whoever repeats it, count as one."""
    return f"{errand.asker.principal} {errand.method} {errand.subject}"


def _pause_s(
    errand: Errand, account: Account, error: UpstreamUnavailable, tries: int
) -> float | None:
    """Say how long to wait before another try; None: there is to be none."""
    if tries >= errand.target.policy.retries or not errand.is_safe or account.heard:
        return None
    backoff_s = _FIRST_PAUSE_S * 2.0**tries * random.uniform(0.75, 1.25)  # noqa: S311  # jitter
    pause_s = max(backoff_s, error.retry_after_s or 0.0)
    return pause_s if pause_s < min(_LONGEST_PAUSE_S, errand.deadline.left_s) else None
