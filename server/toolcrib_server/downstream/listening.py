"""What a client of the handshake era is told of changes, by `Service.listen`.

Such a client adds and drops what it wants one by one; a service is told all of it at once. So each
change is another listening, and the last one ends when the next is acknowledged: nothing is missed
between them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import anyio
import anyio.abc
from mcp_types.jsonrpc import INTERNAL_ERROR

from toolcrib_registry.types import JsonObject

from .answering import defect
from .limits import LIMITS
from .service import Client, Notify, RpcError, Service
from .subscription import ACKNOWLEDGED

LIST_CHANGES = {
    "toolsListChanged": "notifications/tools/list_changed",
    "promptsListChanged": "notifications/prompts/list_changed",
    "resourcesListChanged": "notifications/resources/list_changed",
}
BEGIN_TIMEOUT_S = 30.0
_LONGEST_PAUSE_S = 60.0


class Listening:
    """Listens on a client's behalf, to all that it wants."""

    def __init__(
        self,
        client: Callable[[], Client],
        tell: Notify,
        tasks: anyio.abc.TaskGroup,
        *,
        pause_s: float = LIMITS.listen_pause_s,
    ) -> None:
        self._pause_s = pause_s
        self._client = client
        self._tell = tell
        self._tasks = tasks
        self._changing = anyio.Lock()
        self._now: _Ear | None = None

    @property
    def wanted(self) -> JsonObject:
        """What is listened to."""
        return {} if self._now is None else self._now.wanted

    async def want(self, service: Service, wanted: JsonObject) -> JsonObject:
        """Listen to this and to nothing else; return what of it was agreed.

        Raises:
            RpcError: That cannot be told; what was listened to before still is.
        """
        async with self._changing:
            if not wanted:
                self.stop()
                return {}
            ear = _Ear(service, self._client, wanted, self._tell)
            self._tasks.start_soon(ear.run, self._pause_s)
            try:
                await ear.wait_agreed()
            except BaseException:
                ear.scope.cancel()
                raise
            before, self._now = self._now, ear
            if before is not None:
                before.scope.cancel()
            return ear.agreed

    def stop(self) -> None:
        """Listen to nothing any more."""
        if self._now is not None:
            self._now.scope.cancel()
            self._now = None


class _Ear:
    """One listening, taken up again whenever it ends."""

    def __init__(
        self, service: Service, client: Callable[[], Client], wanted: JsonObject, tell: Notify
    ) -> None:
        self.wanted = wanted
        self.agreed: JsonObject = {}
        self.scope = anyio.CancelScope()
        self._service = service
        self._client = client
        self._tell = tell
        self._settled = anyio.Event()
        self._failure: RpcError | None = None
        self._heard = False

    async def wait_agreed(self) -> None:
        """Wait until the service has agreed.

        Raises:
            RpcError: It has not.
        """
        with anyio.move_on_after(BEGIN_TIMEOUT_S):
            await self._settled.wait()
        if not self._heard:
            late = RpcError(INTERNAL_ERROR, "The server has not agreed to tell of changes in time.")
            raise self._failure or late

    async def run(self, first_pause_s: float) -> None:
        """Listen until cancelled; give up at once if it cannot even be begun."""
        pause_s = first_pause_s
        with self.scope:
            while True:
                acknowledged = await self._listen()
                self._settled.set()
                if not self._heard:
                    return
                pause_s = first_pause_s if acknowledged else min(2 * pause_s, _LONGEST_PAUSE_S)
                await anyio.sleep(pause_s)

    async def _listen(self) -> bool:
        acknowledged = False

        async def hear(method: str, params: JsonObject) -> None:
            nonlocal acknowledged
            if method != ACKNOWLEDGED:
                return await self._tell(method, params)
            acknowledged = True
            return await self._agree(params)

        try:
            await self._service.listen(self._client(), self.wanted, hear)
        except RpcError as error:
            self._failure = error
        except Exception as error:  # noqa: BLE001  # top of a task: logged, and kept for the waiter
            self._failure = defect(error)
        return acknowledged

    async def _agree(self, params: JsonObject) -> None:
        agreed = params.get("notifications")
        self.agreed = cast("dict[str, Any]", agreed) if isinstance(agreed, dict) else {}
        again, self._heard = self._heard, True
        self._settled.set()
        if again:
            await self._tell_of_a_gap()

    async def _tell_of_a_gap(self) -> None:
        """Say that anything may have changed: nobody listened for a while."""
        for name, method in LIST_CHANGES.items():
            if self.agreed.get(name):
                await self._tell(method, {})
        for uri in self.agreed.get("resourceSubscriptions") or ():
            await self._tell("notifications/resources/updated", {"uri": uri})
