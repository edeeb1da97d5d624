"""Every error Toolcrib raises on purpose, in one tree. Faces translate them; nothing else does.

::

    ToolcribError
    ├── InvalidInput            what was asked does not make sense as asked
    │   ├── InvalidConfig       a configuration file: which file, which key, how to mend it
    │   ├── InvalidArguments    a call's arguments: which field, what was expected
    │   └── InvalidView         a view that could not be served as it is written
    ├── NotFound                no such server or entry; near names are offered
    │   ├── RevisionNotFound        the entry has no such revision; those it has are named
    │   └── EntryGone               it was there; when it went, and what replaced it
    ├── TooManyReaders          as many follow the change log as may
    ├── AlreadyExists           the name is taken
    ├── EntryChanged            the entry is no longer as it was when the caller looked at it
    ├── NotPermitted            the caller may not do this
    │   └── NotAuthenticated        the caller has shown no key, or one that is not known
    ├── NotCallable             found, but nothing to call: disabled, or a catalogue's entry
    │   ├── NoModelFits             no model that can be called meets the limits
    │   └── EntryQuarantined        set aside until somebody approves it
    ├── UpstreamError           an upstream is to blame: a server, or a model's provider
    │   ├── UpstreamUnavailable     it cannot be reached
    │   ├── UpstreamTimeout         it did not answer in time
    │   ├── UpstreamProtocolError   it answered with something that is not MCP
    │   ├── ResultTooLarge          it answered with more than the limit
    │   ├── InvalidResult           it answered with what its own output schema forbids
    │   ├── ServerBusy              as many calls wait for it as may, or one waited for too long
    │   ├── RateLimited             a model's provider has had enough for now
    │   ├── AnswerCut               a model's answer broke off before its end
    │   ├── CredentialsRefused      a model's provider does not take our key
    │   └── RequestRefused          a model's provider does not take the request as it is
    │       └── ContextTooLong          it is longer than the model can read
    ├── BudgetExceeded          the caller's key has spent what it may
    ├── TooManyCalls            the caller's key calls more often, or more at once, than it may
    ├── LeaseLost               another process has taken over the server's sync
    ├── StoreError              the database
    │   ├── StoreBusy               locked by another process for too long
    │   ├── StoreReadOnly           cannot be written
    │   ├── StoreFull               no room on the disk
    │   ├── StoreTooNew             written by a later release
    │   └── StoreDamaged            not a database, or not intact
    └── EncoderError            the embedding model cannot be loaded or trusted
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

_LONGEST_SHOWN = 100


def _seconds(value: float) -> str:
    return f"{value:.0f}" if value >= 1 else f"{max(value, 0.1):.1f}"


class ToolcribError(Exception):
    """Root of the tree. ``code`` is a stable slug, ``title`` is short and the same each time."""

    code: ClassVar[str] = "internal-error"
    title: ClassVar[str] = "Something went wrong in Toolcrib"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class InvalidInput(ToolcribError):
    """What was asked does not make sense as asked."""

    code = "invalid-input"
    title = "The request is not valid"


class InvalidConfig(InvalidInput):
    """A configuration file is wrong. ``key`` is a dotted path inside it."""

    code = "invalid-config"
    title = "The configuration is not valid"

    def __init__(self, problem: str, *, file: str, key: str | None = None, fix: str = "") -> None:
        where = f"{file}: {key}" if key else file
        super().__init__(f"{where}: {problem}" + (f" {fix}" if fix else ""))
        self.file = file
        self.key = key
        self.problem = problem
        self.fix = fix


@dataclass(frozen=True, slots=True)
class ArgumentProblem:
    """One field that does not fit: a dotted path ('' is the whole), what is wrong, what fits."""

    path: str
    problem: str
    expected: str = ""


class InvalidArguments(InvalidInput):
    """Arguments do not fit a tool's schema."""

    code = "invalid-arguments"
    title = "The arguments do not fit the tool's schema"

    def __init__(self, tool: str, problems: Sequence[ArgumentProblem]) -> None:
        lines = "; ".join(
            f"{p.path or 'arguments'}: {p.problem}"
            + (f" (expected {p.expected})" if p.expected else "")
            for p in problems
        )
        super().__init__(f"Arguments for {tool} do not fit: {lines}")
        self.tool = tool
        self.problems = tuple(problems)


class InvalidView(InvalidInput):
    """A view could not be served as it is written; each fault is a sentence."""

    code = "invalid-view"
    title = "The view is not valid"

    def __init__(self, name: str, faults: Sequence[str]) -> None:
        super().__init__(f"The view {name!r} cannot be saved: {' '.join(faults)}")
        self.name = name
        self.faults = tuple(faults)


class NotFound(ToolcribError):
    """Nothing has that name."""

    code = "not-found"
    title = "Not found"

    def __init__(self, what: str, name: str, *, near: Sequence[str] = ()) -> None:
        hint = f" Did you mean: {', '.join(near)}?" if near else ""
        shown = name if len(name) <= _LONGEST_SHOWN else f"{name[:_LONGEST_SHOWN]}…"
        super().__init__(f"No {what} is named {shown!r}.{hint}")
        self.what = what
        self.name = name
        self.near = tuple(near)


class RevisionNotFound(NotFound):
    """An entry has no such revision. ``known`` are its last ones, oldest first."""

    code = "revision-not-found"
    title = "No such revision"

    def __init__(
        self, subject: str, revision: int, *, known: Sequence[int], earlier: bool = False
    ) -> None:
        super().__init__("revision", str(revision))
        listed = ", ".join(map(str, known))
        which = f"its last {len(known)} are" if earlier else "it has"
        self.detail = f"{subject} has no revision {revision}; {which} {listed}."
        self.args = (self.detail,)
        self.subject = subject
        self.known = tuple(known)


class EntryGone(NotFound):
    """The entry was removed. ``replaced_by`` is the name of what took its place, if anything."""

    code = "gone"
    title = "No longer there"

    def __init__(
        self, what: str, name: str, *, removed_at: datetime, replaced_by: str | None = None
    ) -> None:
        super().__init__(what, name, near=(replaced_by,) if replaced_by else ())
        instead = f" It was replaced by {replaced_by!r}." if replaced_by else ""
        self.detail = (
            f"The {what} {name!r} was removed at {removed_at:%Y-%m-%d %H:%M} UTC.{instead}"
        )
        self.args = (self.detail,)
        self.removed_at = removed_at
        self.replaced_by = replaced_by


class TooManyReaders(ToolcribError):
    """As many readers follow the change log as this process allows."""

    code = "too-many-readers"
    title = "Too many follow the change log"

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"{limit} readers follow the change log already. Try again when one has left, or ask "
            "for `changes` from time to time."
        )
        self.limit = limit


class AlreadyExists(ToolcribError):
    """The name is taken."""

    code = "already-exists"
    title = "Already exists"

    def __init__(self, what: str, name: str) -> None:
        super().__init__(f"A {what} named {name!r} exists already.")
        self.what = what
        self.name = name


class EntryChanged(ToolcribError):
    """The entry is no longer as it was when the caller looked at it: nothing was written."""

    code = "entry-changed"
    title = "Changed meanwhile"

    def __init__(self, what: str, name: str, *, seen: int, now: int) -> None:
        super().__init__(
            f"The {what} {name!r} has changed since revision {seen}, which was looked at: it is at "
            f"revision {now}. Look at it again."
        )
        self.name = name
        self.seen = seen
        self.now = now


class NotPermitted(ToolcribError):
    """The caller may not do this."""

    code = "not-permitted"
    title = "Not permitted"


class NotAuthenticated(NotPermitted):
    """The caller has shown no key, or one that is not known."""

    code = "not-authenticated"
    title = "Not authenticated"


class NotCallable(ToolcribError):
    """The entry exists, but there is nothing to call."""

    code = "not-callable"
    title = "Not callable"


class NoModelFits(NotCallable):
    """No model that can be called meets the limits, or can do what the request needs."""

    code = "no-model-fits"
    title = "No model fits"


class EntryQuarantined(NotCallable):
    """The entry is set aside: nobody finds or calls it until it is approved."""

    code = "quarantined"
    title = "Quarantined"

    def __init__(self, name: str, reasons: Sequence[str]) -> None:
        why = f": {'; '.join(reason.rstrip('.') for reason in reasons)}" if reasons else ""
        super().__init__(
            f"{name!r} is quarantined{why}. Somebody who looked at it can release it: "
            f"`toolcrib approve {name}`."
        )
        self.name = name
        self.reasons = tuple(reasons)


class Fault(StrEnum):
    """Of what a failure is evidence."""

    REQUEST = "request"
    """Of this request: others may well be answered."""
    CONNECTION = "connection"
    """Of one connection, which ended, or could not be opened for one client."""
    SERVER = "server"
    """Of the server: nobody can connect to it."""


class Peer(StrEnum):
    """What an upstream is."""

    SERVER = "server"
    PROVIDER = "provider"
    """Of a model."""
    SOURCE = "source"
    """Of a document."""

    def called(self, name: str) -> str:
        """Name one at the beginning of a sentence."""
        return f"{self.capitalize()} {name!r}"


class UpstreamError(ToolcribError):
    """An upstream is to blame: a server, or a model's provider. ``fault`` says what of it.

    ``is_unsent``: it provably never saw the request.
    """

    code = "upstream-error"
    title = "The upstream failed"

    def __init__(self, server: str, detail: str, *, peer: Peer = Peer.SERVER) -> None:
        """``server`` is the name of whoever is to blame, ``peer`` what that is."""
        super().__init__(detail)
        self.server = server
        self.peer = peer
        self.fault = Fault.REQUEST
        self.is_unsent = False


class UpstreamUnavailable(UpstreamError):
    """The upstream cannot be reached. ``retry_after_s`` is when the next attempt may succeed."""

    code = "upstream-unavailable"
    title = "The upstream cannot be reached"

    def __init__(
        self,
        server: str,
        reason: str,
        *,
        retry_after_s: float | None = None,
        peer: Peer = Peer.SERVER,
    ) -> None:
        retry = f" Next attempt in {_seconds(retry_after_s)} s." if retry_after_s else ""
        said = f"{peer.called(server)} cannot be reached: {reason.rstrip('.')}.{retry}"
        super().__init__(server, said, peer=peer)
        self.reason = reason
        self.retry_after_s = retry_after_s


class UpstreamTimeout(UpstreamError):
    """The upstream did not answer in time."""

    code = "upstream-timeout"
    title = "The upstream did not answer in time"

    def __init__(
        self, server: str, what: str, timeout_s: float, *, peer: Peer = Peer.SERVER
    ) -> None:
        said = f"{peer.called(server)} did not answer {what} within {timeout_s:g} s."
        super().__init__(server, said, peer=peer)
        self.what = what
        self.timeout_s = timeout_s


class UpstreamProtocolError(UpstreamError):
    """The upstream answered with a JSON-RPC error, or with something that is not MCP."""

    code = "upstream-protocol-error"
    title = "The upstream answered with an error"

    def __init__(
        self,
        server: str,
        detail: str,
        *,
        rpc_code: int | None = None,
        rpc_message: str | None = None,
        rpc_data: Any = None,
        peer: Peer = Peer.SERVER,
    ) -> None:
        """``rpc_code``, ``rpc_message`` and ``rpc_data`` are the server's own error, if any."""
        super().__init__(server, f"{peer.called(server)}: {detail}", peer=peer)
        self.reason = detail
        self.rpc_code = rpc_code
        self.rpc_message = rpc_message
        self.rpc_data = rpc_data


class ResultTooLarge(UpstreamError):
    """The upstream's answer is over the limit."""

    code = "result-too-large"
    title = "The result is too large"

    def __init__(self, server: str, *, size: int, limit: int, peer: Peer = Peer.SERVER) -> None:
        said = f"{peer.called(server)} answered with {size} bytes; the limit is {limit} bytes."
        super().__init__(server, said, peer=peer)
        self.size = size
        self.limit = limit


class InvalidResult(UpstreamError):
    """The upstream's result does not fit the output schema that it declares itself."""

    code = "invalid-result"
    title = "The result does not fit the tool's output schema"

    def __init__(self, server: str, tool: str, problems: Sequence[ArgumentProblem]) -> None:
        lines = "; ".join(f"{p.path or 'the result'}: {p.problem}" for p in problems)
        super().__init__(
            server,
            f"The result of {tool} does not fit its output schema: {lines}. It was called, and "
            "may have taken effect.",
        )
        self.tool = tool
        self.problems = tuple(problems)


class ServerBusy(UpstreamError):
    """As many calls as may wait for the server, or this one waited for too long; it was not sent.

    ``retry_after_s`` is when another try is worth while.
    """

    code = "server-busy"
    title = "The upstream server has too many calls"

    def __init__(self, server: str, reason: str, *, retry_after_s: float) -> None:
        super().__init__(
            server,
            f"Server {server!r} is busy: {reason}. The call was not sent; try again in "
            f"{retry_after_s:.0f} s.",
        )
        self.reason = reason
        self.retry_after_s = retry_after_s


class RateLimited(UpstreamError):
    """A model's provider takes no more for now. ``retry_after_s`` is what it asks to wait."""

    code = "rate-limited"
    title = "The provider's rate limit is reached"

    def __init__(
        self, server: str, detail: str = "", *, retry_after_s: float | None = None
    ) -> None:
        wait = f" Try again in {retry_after_s:.0f} s." if retry_after_s is not None else ""
        why = f": {detail.rstrip('.')}" if detail else ""
        said = f"The rate limit of {server!r} is reached{why}.{wait}"
        super().__init__(server, said, peer=Peer.PROVIDER)
        self.retry_after_s = retry_after_s


class AnswerCut(UpstreamError):
    """A model's answer broke off before its end."""

    code = "answer-cut"
    title = "The answer broke off"

    def __init__(self, server: str, reason: str) -> None:
        said = f"The answer of {server!r} broke off: it {reason}."
        super().__init__(server, said, peer=Peer.PROVIDER)
        self.reason = reason


class CredentialsRefused(UpstreamError):
    """A model's provider does not take the key that is registered for it."""

    code = "credentials-refused"
    title = "The provider refuses the registered key"

    def __init__(self, server: str, detail: str) -> None:
        super().__init__(server, detail, peer=Peer.PROVIDER)


class RequestRefused(UpstreamError):
    """A model's provider does not take the request as it is; ``param`` is what it names."""

    code = "request-refused"
    title = "The provider refuses the request"

    def __init__(self, server: str, detail: str, *, param: str | None = None) -> None:
        super().__init__(server, detail, peer=Peer.PROVIDER)
        self.param = param


class ContextTooLong(RequestRefused):
    """The request is longer than the model can read."""

    code = "context-too-long"
    title = "The request is too long for the model"


class BudgetExceeded(ToolcribError):
    """The caller's key has spent what it may; ``retry_after_s`` is until it may again."""

    code = "budget-exceeded"
    title = "The budget is spent"

    def __init__(self, detail: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class TooManyCalls(ToolcribError):
    """The caller's key calls more often, or more at once, than it may."""

    code = "too-many-calls"
    title = "Too many calls"

    def __init__(self, principal: str, limit: str, *, retry_after_s: float) -> None:
        super().__init__(
            f"The key {principal!r} may make {limit}. The call was not sent; try again in "
            f"{max(retry_after_s, 1):.0f} s."
        )
        self.principal = principal
        self.limit = limit
        self.retry_after_s = retry_after_s


class LeaseLost(ToolcribError):
    """Another process has taken over the sync of a server: what was to be written is not."""

    code = "lease-lost"
    title = "Another process syncs this server"

    def __init__(self, server: str) -> None:
        super().__init__(f"Another process has taken over the sync of server {server!r}.")
        self.server = server


class StoreError(ToolcribError):
    """The database is to blame."""

    code = "store-error"
    title = "The database failed"


class StoreBusy(StoreError):
    """Another process holds the database."""

    code = "store-busy"
    title = "The database is busy"


class StoreReadOnly(StoreError):
    """The database cannot be written."""

    code = "store-read-only"
    title = "The database is read-only"


class StoreFull(StoreError):
    """There is no room for the write; what was there before is intact."""

    code = "store-full"
    title = "The disk is full"


class StoreTooNew(StoreError):
    """A later release wrote this database."""

    code = "store-too-new"
    title = "The database is newer than this release"


class StoreDamaged(StoreError):
    """The file is no database, or not an intact one."""

    code = "store-damaged"
    title = "The database is damaged"


class EncoderError(ToolcribError):
    """The embedding model cannot be loaded or trusted."""

    code = "encoder-error"
    title = "The embedding model cannot be used"
