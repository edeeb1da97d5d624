"""Asks those who serve models what they serve now, and makers' cards what they say now.

Touches the network, so it runs only when a person asks. What is not listed any more is said to be,
and stays registered.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

import anyio.to_thread

from toolcrib_registry.errors import InvalidInput, ToolcribError
from toolcrib_registry.store import Store
from toolcrib_registry.types import EntryKind, Known, Model, Offer
from toolcrib_server.catalog.card import SOURCE, is_card, read_card
from toolcrib_server.catalog.fetched import card_url, document_of, read_fetched
from toolcrib_server.catalog.merge import merge_models
from toolcrib_server.catalog.models import ModelCatalog
from toolcrib_server.catalog.served import is_list_of_models, read_served
from toolcrib_server.upstream.config.endpoint import check_url
from toolcrib_server.upstream.config.place import Place
from toolcrib_server.upstream.config.references import Secrets
from toolcrib_server.upstream.models.fetch import fetch
from toolcrib_server.upstream.models.target import resolve_target

from .registrar import ImportReport, Registrar

NOT_LISTED = "not listed"


@dataclass(frozen=True, slots=True)
class Asked:
    """What came of asking one place. ``error`` says why it did not answer."""

    place: str
    models: int = 0
    gone: tuple[str, ...] = ()
    """Models that it does not list any more."""
    more: int = 0
    """Models that it lists and that are not registered."""
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What was asked, and what changed by it."""

    asked: tuple[Asked, ...]
    report: ImportReport | None


async def read_url(
    url: str, *, name: str | None, api_key: str | None, secrets: Secrets, today: date
) -> ModelCatalog:
    """Read the models at a URL; ``api_key`` is a reference that is resolved for the request.

    Raises:
        InvalidInput: What is there is none of the known shapes.
        ToolcribError: It cannot be had.
    """
    document = document_of(url)
    check_url(document, Place("the command line", "URL"))
    target = resolve_target(
        Offer(provider=url, remote_model="", endpoint=document, api_key=api_key),
        url=document,
        env=os.environ,
        secrets=secrets,
    )
    text = await fetch(target.url, headers=target.headers, redact=target.redact)
    return read_fetched(text, url=document, name=name, api_key=api_key, as_of=today)


async def refresh(
    store: Store,
    registrar: Registrar,
    secrets: Secrets,
    *,
    names: Sequence[str] | None,
    today: date,
) -> Refreshed:
    """Ask every endpoint and card of the named models, or of all, and merge what they say.

    Raises:
        InvalidInput: Nobody can be asked of those models.
    """
    models = await anyio.to_thread.run_sync(lambda: tuple(_named(store, names)))
    asked: list[Asked] = []
    learned: dict[str, Model] = {model.name: model for model in models}
    for place, ask in _places(models, secrets, today):
        try:
            found, said = await ask(learned)
            learned |= {model.name: model for model in found}
        except ToolcribError as error:
            said = Asked(place, error=error.detail)
        asked.append(said)
    if not asked:
        raise InvalidInput(
            "Nobody can be asked: none of these models has an endpoint, or came from a card. "
            "Import one: toolcrib import URL."
        )
    changed = [learned[model.name] for model in models if learned[model.name] != model]
    report = await registrar.import_models(changed, actor="cli") if changed else None
    return Refreshed(tuple(asked), report)


def _named(store: Store, names: Sequence[str] | None) -> Iterator[Model]:
    if names is not None:
        for name in names:
            entry = store.get_entry(EntryKind.MODEL, name)
            assert isinstance(entry, Model)
            yield entry
        return
    entries = store.iter_entries(kind=EntryKind.MODEL)
    yield from (entry for entry in entries if isinstance(entry, Model))


_Known = Mapping[str, Model]


def _places(models: Sequence[Model], secrets: Secrets, today: date) -> Iterator[tuple[str, _Ask]]:
    offers = (offer for model in models for offer in model.offers)
    endpoints = {(o.endpoint, o.api_key): o for o in offers if o.endpoint is not None}
    for offer in endpoints.values():
        yield str(offer.endpoint), _Endpoint(offer, secrets, today)
    for model in models:
        if name := _card_of(model):
            yield card_url(name), _Card(model.name, name, today)


@dataclass(frozen=True, slots=True)
class _Endpoint:
    offer: Offer
    secrets: Secrets
    today: date

    async def __call__(self, known: _Known) -> tuple[list[Model], Asked]:
        place = str(self.offer.endpoint)
        target = resolve_target(self.offer, url=place, env=os.environ, secrets=self.secrets)
        url = f"{target.url}/models"
        text = await fetch(url, headers=target.headers, redact=target.redact)
        answer = _decoded(text, place)
        listed = {m.offers[0].remote_model: m for m in self._read(answer, url)}
        found = [self._updated(model, listed) for model in known.values()]
        mine = [o for m in found for o in m.offers if o.endpoint == self.offer.endpoint]
        gone = tuple(o.remote_model for o in mine if o.remote_model not in listed)
        more = len(listed.keys() - {o.remote_model for o in mine})
        return found, Asked(place, models=len(mine) - len(gone), gone=gone, more=more)

    def _read(self, answer: object, url: str) -> tuple[Model, ...]:
        return read_served(answer, url=url, api_key=self.offer.api_key, as_of=self.today)

    def _updated(self, model: Model, listed: Mapping[str, Model]) -> Model:
        return replace(
            model,
            offers=tuple(
                self._said(offer, listed) if offer.endpoint == self.offer.endpoint else offer
                for offer in model.offers
            ),
        )

    def _said(self, offer: Offer, listed: Mapping[str, Model]) -> Offer:
        found = listed.get(offer.remote_model)
        if found is None:
            source = f"endpoint:{offer.endpoint}"
            return replace(offer, status=Known(NOT_LISTED, source, self.today))
        said = found.offers[0]
        return replace(
            offer,
            status=said.status,
            context_tokens=said.context_tokens or offer.context_tokens,
            quantization=said.quantization or offer.quantization,
        )


@dataclass(frozen=True, slots=True)
class _Card:
    model: str
    name: str
    today: date

    async def __call__(self, known: _Known) -> tuple[list[Model], Asked]:
        url = card_url(self.name)
        text = await fetch(url)
        if not is_card(text):
            raise InvalidInput(f"{url} is no model card.")
        read = read_card(text, name=self.name, as_of=self.today)
        merged = merge_models(known[self.model], replace(read, name=self.model))
        return [merged], Asked(url, models=1)


_Ask = _Endpoint | _Card


def _card_of(model: Model) -> str | None:
    facts: Iterable[object] = (
        *(getattr(model.descriptor, name) for name in model.descriptor.__slots__),
        *model.descriptor.evaluations,
    )
    sources = (str(getattr(fact, "source", "")) for fact in facts)
    prefix = f"{SOURCE}:"
    return next((s.removeprefix(prefix) for s in sources if s.startswith(prefix)), None)


def _decoded(text: str, place: str) -> object:
    try:
        answer: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{place} does not answer with JSON ({error}).") from error
    if not is_list_of_models(answer):
        raise InvalidInput(f"{place} does not list its models.")
    return answer
