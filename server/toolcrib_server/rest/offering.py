"""What of a model's offers may be registered over the network: no command, no way for a secret out.

A model can be called, so an endpoint that is given a key of this machine would be sent it.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from toolcrib_registry.errors import NotPermitted
from toolcrib_registry.types import Model, Offer
from toolcrib_server.guard import Principal
from toolcrib_server.upstream.config.endpoint import check_url
from toolcrib_server.upstream.config.place import Place
from toolcrib_server.upstream.config.references import has_reference

from .deps import Deps

_REQUEST = "the request"


def check_offers(parts: Deps, admin: Principal, model: Model, *, stored: Model | None) -> None:
    """Refuse offers that may not come in this way; those that are ``stored`` already may stay.

    Raises:
        InvalidConfig: An endpoint is no URL that can be called.
        NotPermitted: An offer runs a command, or sends a value of this machine to a new place.
    """
    known = stored.offers if stored else ()
    for number, offer in enumerate(model.offers):
        where = f"offers.{number}"
        if offer.endpoint is not None:
            check_url(offer.endpoint, Place(_REQUEST, f"{where}.endpoint"))
        if not parts.allow_stdio and _runs_something_new(offer, known):
            raise NotPermitted(
                f"{where}.launch: a command that runs on this machine cannot be registered over "
                "the network. Use 'toolcrib import' there, or let the operator set "
                "TOOLCRIB_ALLOW_STDIO_REGISTRATION=true."
            )
        trusted = admin.is_local or parts.allow_stdio
        if not trusted and _refers_somewhere_new(offer, known):
            raise NotPermitted(
                f"{where}: a reference to this machine's environment or secrets cannot be "
                "registered over the network. Use 'toolcrib import' there."
            )


def _runs_something_new(offer: Offer, known: tuple[Offer, ...]) -> bool:
    return offer.launch is not None and offer.launch not in [one.launch for one in known]


def _refers_somewhere_new(offer: Offer, known: tuple[Offer, ...]) -> bool:
    refers = any(has_reference(value or "") for value in (offer.api_key, offer.endpoint))
    return refers and _place_of(offer) not in map(_place_of, known)


def _place_of(offer: Offer) -> tuple[str | None, str]:
    """Say what is sent where, as far as a secret goes: to an origin."""
    try:
        parts = urlsplit(offer.endpoint or "")
    except ValueError:
        return offer.api_key, offer.endpoint or ""
    return offer.api_key, f"{parts.scheme}://{parts.netloc}"
