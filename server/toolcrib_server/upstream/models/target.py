"""Where a request for a model goes: an offer with its references filled in, for one call.

What is secret lives as long as the call, and is masked in whatever comes back.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from toolcrib_registry.errors import InvalidConfig, NotCallable, Peer
from toolcrib_registry.types import Offer
from toolcrib_server.upstream.config.endpoint import check_headers, check_url
from toolcrib_server.upstream.config.place import Place
from toolcrib_server.upstream.config.references import Secrets, expand, has_reference
from toolcrib_server.upstream.config.secrets import Redactor

_SEPARATORS = re.compile(r"[/?&=]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A model at an endpoint. ``url`` is the API's base, without a slash at its end."""

    provider: str
    model: str
    """Its name at the provider."""
    url: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    redact: Redactor = field(default_factory=lambda: Redactor(()))


def resolve_target(offer: Offer, *, url: str, env: Mapping[str, str], secrets: Secrets) -> Target:
    """Fill in an offer's references; ``url`` is its base URL, which may hold some too.

    Raises:
        NotCallable: A reference leads nowhere, or to something that cannot be sent.
    """
    place = Place(f"the offer of {offer.provider!r}", "endpoint")
    try:
        base = _filled(url, offer, "endpoint", env=env, secrets=secrets)
        check_url(base, place, resolved=True)
        key = _key_of(offer, env, secrets)
        headers = {"authorization": f"Bearer {key}"} if key else {}
        check_headers(headers, Place(place.file, "api_key"))
    except InvalidConfig as error:
        raise NotCallable(f"It cannot be called: {error.detail}") from error
    return Target(
        provider=offer.provider,
        model=offer.remote_model,
        url=base.rstrip("/"),
        headers=headers,
        redact=Redactor([*([key] if key else []), *_filled_in(offer.endpoint or "", base)]),
    )


def _filled_in(template: str, url: str) -> Iterator[str]:
    """Find what references put into the path and query of an endpoint: some keys travel there."""
    if has_reference(template):
        known = set(_SEPARATORS.split(template))
        parts = urlsplit(url)
        yield from (p for p in _SEPARATORS.split(f"{parts.path}?{parts.query}") if p not in known)


def _key_of(offer: Offer, env: Mapping[str, str], secrets: Secrets) -> str:
    if offer.api_key is None:
        return ""
    return _filled(offer.api_key, offer, "api_key", env=env, secrets=secrets).strip()


def _filled(value: str, offer: Offer, key: str, *, env: Mapping[str, str], secrets: Secrets) -> str:
    name, peer = offer.provider, Peer.PROVIDER
    return expand(value, env=env, secrets=secrets, server=name, key=key, peer=peer)
