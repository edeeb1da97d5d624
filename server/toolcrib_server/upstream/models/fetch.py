"""Gets one document that a person asked for by its URL. Bounded; redirects stay at the host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import anyio

from toolcrib_registry.errors import (
    Peer,
    UpstreamProtocolError,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from toolcrib_server.upstream.config.endpoint import check_url
from toolcrib_server.upstream.config.place import Place
from toolcrib_server.upstream.config.secrets import Redactor
from toolcrib_server.upstream.failures import LinkFailure
from toolcrib_server.upstream.limits import LinkLimits
from toolcrib_server.upstream.network.endpoint_client import EndpointClient

MAX_BYTES: Final = 64 * 1024 * 1024
_OK: Final = 200
_IT: Final = Peer.SOURCE
_SHOWN_CHARS: Final = 200
_TIMEOUT_S: Final = 60.0


async def fetch(
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    redact: Redactor | None = None,
    timeout_s: float = _TIMEOUT_S,
) -> str:
    """Get the text at ``url``; ``headers`` go with it, to that host alone.

    Raises:
        InvalidConfig: It is no URL that can be asked.
        UpstreamError: There is no answer, or it is no document.
    """
    check_url(url, Place("the command line", "URL"), resolved=True)
    hide = redact or Redactor([])
    try:
        with anyio.fail_after(timeout_s):
            status, raw = await _get(url, headers or {})
    except TimeoutError:
        raise UpstreamTimeout(url, "with the document", timeout_s, peer=_IT) from None
    except LinkFailure as failure:
        raise UpstreamUnavailable(url, hide(str(failure)), peer=_IT) from failure
    text = hide(raw.decode("utf-8", "replace"))
    if status != _OK:
        said = " ".join(text[:_SHOWN_CHARS].split())
        raise UpstreamProtocolError(url, f"answered with status {status}: {said}", peer=_IT)
    return text


async def _get(url: str, headers: Mapping[str, str]) -> tuple[int, bytes]:
    given = {"accept": "application/json, text/markdown, text/plain, */*", **headers}
    async with (
        EndpointClient(url, {}, limits=LinkLimits()) as client,
        client.send("GET", None, given, url=url) as reply,
    ):
        return reply.status, await reply.read(MAX_BYTES)
