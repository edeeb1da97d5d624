"""Models with their offers: added, replaced and removed by people and catalogues."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlmodel import Session, col, delete, insert, update

from toolcrib_registry.errors import AlreadyExists
from toolcrib_registry.tables import EntryRow, OfferRow
from toolcrib_registry.types import (
    Change,
    ChangeAction,
    EntryId,
    EntryKind,
    Model,
    entry_id,
    hash_content,
)

from . import entries
from .log import ChangeLog, differing_fields
from .rows import dump_known, dump_offer, entry_columns, offer_columns


def add(session: Session, model: Model, *, actor: str) -> Model:
    """Add a model, with a change.

    Raises:
        AlreadyExists: the name is taken.
    """
    log = ChangeLog(session, actor=actor)
    if entries.find(session, EntryKind.MODEL, model.name) is not None:
        raise AlreadyExists(EntryKind.MODEL.value, model.name)
    added = _note_addition(model, log)
    _write(session, [added], ())
    log.close()
    return added


def put(session: Session, models: Sequence[Model], *, actor: str) -> tuple[Change, ...]:
    """Add or replace models, with a change for each that differs."""
    log = ChangeLog(session, actor=actor)
    stored = _stored(session, models)
    latest: dict[EntryId, Model] = {}
    for model in models:
        current = latest.get(model.id) or stored.get(model.id)
        if current is None:
            latest[model.id] = _note_addition(model, log)
        elif _body(model) != _body(current):
            latest[model.id] = _note_update(current, model, log)
    new = [model for id_, model in latest.items() if id_ not in stored]
    changed = [model for id_, model in latest.items() if id_ in stored]
    _write(session, new, changed)
    return log.close()


def remove(session: Session, name: str, *, actor: str) -> Change:
    """Remove a model and its offers, with a change.

    Raises:
        NotFound: with near names.
    """
    log = ChangeLog(session, actor=actor)
    model = entries.get(session, EntryKind.MODEL, name)
    assert isinstance(model, Model)
    change = log.note(ChangeAction.REMOVED, model.id, server=None, before=_body(model))
    _forget_offers(session, [model.id])
    session.exec(delete(EntryRow).where(col(EntryRow.id) == model.id))
    log.close()
    return change


def _stored(session: Session, models: Sequence[Model]) -> dict[EntryId, Model]:
    ids = [entry_id(EntryKind.MODEL, model.name) for model in models]
    found = entries.find_many(session, ids, live=False)
    return {id_: model for id_, model in found.items() if isinstance(model, Model)}


def _note_addition(model: Model, log: ChangeLog) -> Model:
    change = log.note(ChangeAction.ADDED, model.id, server=None, after=_body(model))
    added = replace(model, revision=change.revision, added_at=log.at, updated_at=log.at)
    return _hashed(added)


def _note_update(current: Model, model: Model, log: ChangeLog) -> Model:
    before, after = _body(current), _body(model)
    fields = differing_fields(before, after)
    change = log.note(
        ChangeAction.UPDATED, model.id, server=None, fields=fields, before=before, after=after
    )
    kept: dict[str, Any] = {"enabled": current.enabled, "added_at": current.added_at}
    return _hashed(replace(model, revision=change.revision, updated_at=log.at, **kept))


def _hashed(model: Model) -> Model:
    return model if model.content_hash else replace(model, content_hash=hash_content(_body(model)))


def _write(session: Session, new: Sequence[Model], changed: Sequence[Model]) -> None:
    if new:
        session.exec(insert(EntryRow), params=[entry_columns(model) for model in new])
    if changed:
        session.exec(update(EntryRow), params=[entry_columns(model) for model in changed])
        _forget_offers(session, [model.id for model in changed])
    offers = [one for model in (*new, *changed) for one in offer_columns(model)]
    if offers:
        session.exec(insert(OfferRow), params=offers)


def _forget_offers(session: Session, ids: Sequence[EntryId]) -> None:
    for chunk in entries.chunks(ids):
        session.exec(delete(OfferRow).where(col(OfferRow.entry_id).in_(chunk)))


def _body(model: Model) -> dict[str, Any]:
    """Give all that is said of a model, as the change log keeps it."""
    return {
        "name": model.name,
        "title": model.title,
        "description": model.description,
        "tags": list(model.tags),
        "family": model.family,
        "source_id": model.source_id,
        "descriptor": dump_known(model.descriptor),
        "offers": [dump_offer(offer) for offer in model.offers],
    }
