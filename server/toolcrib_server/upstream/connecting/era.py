"""Finds out which protocol a server speaks, and gives each request the envelope of that era.

Since 2026-07-28 every request carries version, client and capabilities; before, a handshake did.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any, cast

import anyio
from mcp_types import (
    CLIENT_CAPABILITIES_META_KEY,
    CLIENT_INFO_META_KEY,
    LOG_LEVEL_META_KEY,
    PROTOCOL_VERSION_META_KEY,
    SERVER_INFO_META_KEY,
    UNSUPPORTED_PROTOCOL_VERSION,
)
from mcp_types.version import (
    HANDSHAKE_PROTOCOL_VERSIONS,
    LATEST_HANDSHAKE_VERSION,
    LATEST_MODERN_VERSION,
    MODERN_PROTOCOL_VERSIONS,
)

from toolcrib_server.sdk import load_sdk
from toolcrib_server.upstream.failures import (
    BadAnswer,
    LinkFailure,
    LinkLost,
    RpcFailure,
    Unanswered,
    Unauthorized,
)
from toolcrib_server.upstream.messages.interaction import SHARED, Profile
from toolcrib_server.upstream.transports.http import VERSION_HEADER
from toolcrib_server.upstream.transports.link import Link

_MOST_TEXT_CHARS = 32_768
"""More instructions than this no model should be made to read."""
_NOT_RELAYED = frozenset(
    {
        PROTOCOL_VERSION_META_KEY,
        CLIENT_INFO_META_KEY,
        CLIENT_CAPABILITIES_META_KEY,
        LOG_LEVEL_META_KEY,
        "progressToken",
    }
)
"""Parts of a caller's `_meta` that belong to its own hop."""


@functools.cache
def _client_info() -> dict[str, str]:
    return {"name": "toolcrib", "title": "Toolcrib", "version": metadata.version("toolcrib")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Greeting:
    """What a server said of itself when the connection was opened."""

    protocol_version: str
    capabilities: Mapping[str, Any] = field(default_factory=dict[str, Any])
    name: str | None = None
    version: str | None = None
    instructions: str | None = None
    raw: Mapping[str, Any] = field(default_factory=dict[str, Any], compare=False, repr=False)
    """The whole answer; empty if the server has not been greeted by this process."""

    @property
    def is_modern(self) -> bool:
        """Whether requests carry their own envelope."""
        return self.protocol_version in MODERN_PROTOCOL_VERSIONS


class Envelope:
    """What goes around every request at one protocol version."""

    def __init__(self, version: str) -> None:
        self._modern = version in MODERN_PROTOCOL_VERSIONS
        self.headers = {VERSION_HEADER: version}
        self._meta: dict[str, Any] = {
            PROTOCOL_VERSION_META_KEY: version,
            CLIENT_INFO_META_KEY: _client_info(),
            CLIENT_CAPABILITIES_META_KEY: {},
        }

    def wrap(
        self,
        method: str,
        params: Mapping[str, Any],
        *,
        meta: Mapping[str, Any] | None = None,
        progress_token: int | None = None,
        profile: Profile = SHARED,
    ) -> tuple[dict[str, Any], dict[str, str]]:
        """Return the parameters and headers to send."""
        full = dict(params)
        given = {**_dict(full.pop("_meta", None)), **meta} if meta else full.pop("_meta", None)
        around = {k: v for k, v in _dict(given).items() if k not in _NOT_RELAYED}
        if progress_token is not None:
            around["progressToken"] = progress_token
        if self._modern:
            around |= self._meta
            if profile is not SHARED:
                around |= _declared(profile)
        if around:
            full["_meta"] = around
        return full, self._headers_of(method, params)

    def _headers_of(self, method: str, params: Mapping[str, Any]) -> dict[str, str]:
        if not self._modern:
            return self.headers
        load_sdk()
        from mcp.shared.inbound import (  # noqa: PLC0415  # slow: see `sdk`
            MCP_METHOD_HEADER,
            MCP_NAME_HEADER,
            NAME_BEARING_METHODS,
            encode_header_value,
        )

        headers = {**self.headers, MCP_METHOD_HEADER: method}
        name = params.get(NAME_BEARING_METHODS.get(method, ""))
        if isinstance(name, str):
            # As the body has it, where lone surrogates cannot be written either.
            written = name.encode("utf-8", "replace").decode()
            headers[MCP_NAME_HEADER] = encode_header_value(written)
        return headers


def _declared(profile: Profile) -> dict[str, Any]:
    """Say what a client is and can do, as every request of 2026-07-28 does."""
    declared: dict[str, Any] = {CLIENT_CAPABILITIES_META_KEY: dict(profile.capabilities)}
    if profile.info is not None:
        declared[CLIENT_INFO_META_KEY] = dict(profile.info)
    if profile.log_level is not None:
        declared[LOG_LEVEL_META_KEY] = profile.log_level
    return declared


class Negotiation:
    """Opens the conversation on a fresh link, for whoever has the ``profile``."""

    def __init__(
        self,
        link: Link,
        next_id: Callable[[], int],
        *,
        probe_timeout_s: float,
        profile: Profile = SHARED,
    ) -> None:
        self._profile = profile
        self._link = link
        self._next_id = next_id
        self._probe_timeout_s = probe_timeout_s

    async def greet(self, *, handshake_first: bool = False) -> Greeting:
        """Probe with ``server/discover``, fall back to ``initialize``.

        ``handshake_first`` skips the probe, for a server known to be of that era.

        Raises:
            LinkFailure: The server cannot be talked to.
        """
        if not handshake_first:
            greeting = await self._probe(LATEST_MODERN_VERSION)
            if greeting is not None:
                return greeting
        try:
            return await self._initialize()
        except RpcFailure as failure:
            # Names its versions: a modern server, whose answer to the probe came too late.
            version = _mutual(failure)
            if version is not None:
                return read_discovery(await self._discover(version))
            # It was not probed: it may be of today alone, and not know what a handshake is.
            greeting = await self._probe(LATEST_MODERN_VERSION) if handshake_first else None
            if greeting is None:
                raise
            return greeting

    async def _probe(self, version: str) -> Greeting | None:
        """Ask for the discovery; None when the server seems to be of the handshake era."""
        try:
            with anyio.fail_after(self._probe_timeout_s):
                return read_discovery(await self._discover(version))
        except RpcFailure as failure:
            mutual = _mutual(failure)
            if mutual is not None:
                # Once more, even with the same one: that it supports it is its own word.
                return read_discovery(await self._discover(mutual))
            if failure.code == UNSUPPORTED_PROTOCOL_VERSION and not _names_handshake(failure):
                raise BadAnswer(f"supports none of our protocol versions: {failure}") from failure
        except (LinkLost, Unauthorized):
            raise
        except (BadAnswer, Unanswered, TimeoutError):
            pass  # the specification: anything but a modern answer means the handshake era
        return None

    async def _discover(self, version: str) -> dict[str, Any]:
        return await self._ask(Envelope(version), "server/discover", {})

    async def _initialize(self) -> Greeting:
        params = {
            "protocolVersion": LATEST_HANDSHAKE_VERSION,
            "capabilities": dict(self._profile.capabilities),
            "clientInfo": dict(self._profile.info or _client_info()),
        }
        result = await self._link.request(self._next_id(), "initialize", params, headers={})
        greeting = _read_initialization(result)
        headers = Envelope(greeting.protocol_version).headers
        await self._link.notify("notifications/initialized", headers=headers)
        return greeting

    async def _ask(
        self, envelope: Envelope, method: str, params: Mapping[str, Any]
    ) -> dict[str, Any]:
        full, headers = envelope.wrap(method, params)
        return await self._link.request(self._next_id(), method, full, headers=headers)


def read_discovery(result: Mapping[str, Any]) -> Greeting:
    """Read what a server answered to ``server/discover``.

    Raises:
        BadAnswer: It speaks no protocol version of ours.
    """
    supported = result.get("supportedVersions")
    versions = cast("list[Any]", supported) if isinstance(supported, list) else []
    mutual = [version for version in MODERN_PROTOCOL_VERSIONS if version in versions]
    if not mutual:
        raise BadAnswer("discovers no protocol version of ours")
    meta = _dict(result.get("_meta"))
    return _greeting(mutual[-1], result, _dict(meta.get(SERVER_INFO_META_KEY)))


def _read_initialization(result: Mapping[str, Any]) -> Greeting:
    version = result.get("protocolVersion")
    if version not in HANDSHAKE_PROTOCOL_VERSIONS:
        raise BadAnswer(f"wants to speak protocol version {version!r}, which Toolcrib does not")
    return _greeting(version, result, _dict(result.get("serverInfo")))


def _greeting(version: str, result: Mapping[str, Any], info: Mapping[str, Any]) -> Greeting:
    return Greeting(
        protocol_version=version,
        capabilities=_dict(result.get("capabilities")),
        name=_text(info.get("name")),
        version=_text(info.get("version")),
        instructions=_text(result.get("instructions")),
        raw=result,
    )


def _mutual(failure: LinkFailure) -> str | None:
    versions = _supported(failure)
    mutual = [version for version in MODERN_PROTOCOL_VERSIONS if version in versions]
    return mutual[-1] if mutual else None


def _names_handshake(failure: RpcFailure) -> bool:
    return any(version in HANDSHAKE_PROTOCOL_VERSIONS for version in _supported(failure))


def _supported(failure: LinkFailure) -> list[Any]:
    if not isinstance(failure, RpcFailure) or failure.code != UNSUPPORTED_PROTOCOL_VERSION:
        return []
    supported = _dict(failure.data).get("supported")
    return cast("list[Any]", supported) if isinstance(supported, list) else []


def _dict(value: object) -> Mapping[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _text(value: object) -> str | None:
    """Narrow to text that can be stored: bounded, without NUL and lone surrogates."""
    if not isinstance(value, str) or not value:
        return None
    return value[:_MOST_TEXT_CHARS].replace("\0", "").encode("utf-8", "replace").decode()
