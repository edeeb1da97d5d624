"""What came back from a URL: a model card, an endpoint's list of models, or a catalogue."""

from __future__ import annotations

import json
from datetime import date
from typing import Final
from urllib.parse import urlsplit

from toolcrib_registry.errors import InvalidInput

from .card import is_card, read_card
from .models import ModelCatalog, read_models
from .problem import Malformed
from .served import is_list_of_models, read_served

_HUB: Final = "huggingface.co"
_NAME_PARTS: Final = 2


def document_of(url: str) -> str:
    """Give the URL of the document that is meant: of a model's page at Hugging Face, its card."""
    name = hub_name(url)
    return card_url(name) if name and "/raw/" not in url and "/resolve/" not in url else url


def card_url(name: str) -> str:
    """Give the URL of a model's card."""
    return f"https://{_HUB}/{name}/raw/main/README.md"


def hub_name(url: str) -> str | None:
    """Name the model that a URL of Hugging Face is of."""
    parts = urlsplit(url)
    path = [part for part in parts.path.split("/") if part]
    if parts.netloc not in {_HUB, f"www.{_HUB}"} or len(path) < _NAME_PARTS or path[0] == "api":
        return None
    return "/".join(path[:_NAME_PARTS])


def read_fetched(
    text: str, *, url: str, name: str | None, api_key: str | None, as_of: date
) -> ModelCatalog:
    """Read the models in a fetched document.

    Raises:
        InvalidInput: It is none of the known shapes.
    """
    if is_card(text):
        return ModelCatalog((read_card(text, name=name or hub_name(url), as_of=as_of),))
    try:
        decoded: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{url} gave neither a model card nor JSON ({error}).") from error
    if not is_list_of_models(decoded):
        return read_models(decoded, name=url, as_of=as_of)
    try:
        return ModelCatalog(read_served(decoded, url=url, api_key=api_key, as_of=as_of))
    except Malformed as malformed:
        raise InvalidInput(f"{url} lists a model that cannot be read: {malformed}") from malformed
