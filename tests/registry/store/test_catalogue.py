from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from toolcrib_registry.errors import AlreadyExists, NotFound
from toolcrib_registry.store import Store
from toolcrib_registry.types import (
    ChangeAction,
    EntryKind,
    Known,
    Launch,
    Model,
    ModelDescriptor,
    Offer,
)

DAY = date(2026, 7, 1)
GPT = Model(
    name="openai/gpt-4o",
    title="GPT-4o",
    description="A model of text and images.",
    family="gpt",
    tags=("vision",),
    source_id="openai/gpt-4o",
    descriptor=ModelDescriptor(
        context_tokens=Known(128_000, "models.dev", DAY),
        modalities_in=Known(("text", "image"), "models.dev", DAY),
        open_weights=Known(False, "models.dev", DAY),
    ),
    offers=(
        Offer(provider="openai", remote_model="gpt-4o", api_key="${OPENAI_API_KEY}"),
        Offer(
            provider="azure",
            remote_model="gpt-4o-eu",
            endpoint="https://eu.example/v1",
            region=Known("eu", "hand", DAY),
            price_in_usd=Known(2.5, "hand", DAY),
        ),
    ),
)


def test_an_added_model_is_found_with_its_offers_in_order(store: Store) -> None:
    added = store.add_model(GPT, actor="api")

    assert (added.revision, added.added_at) == (1, added.updated_at)
    assert added.content_hash
    assert store.get_entry(EntryKind.MODEL, GPT.name) == added
    assert store.get_entries([GPT.id], live=True) == {GPT.id: added}
    assert replace(added, revision=0, added_at=None, updated_at=None, content_hash="") == GPT
    (change,) = store.list_changes()
    assert change.after is not None
    assert change.after["offers"][1]["price_in_usd"]["value"] == 2.5
    assert change.after["descriptor"]["modalities_in"]["as_of"] == "2026-07-01"


def test_adding_a_model_twice_is_refused(store: Store) -> None:
    store.add_model(GPT, actor="api")

    with pytest.raises(AlreadyExists, match="A model named 'openai/gpt-4o' exists already"):
        store.add_model(replace(GPT, title="other"), actor="api")
    assert store.head() == 1


def test_putting_a_model_adds_then_replaces_then_does_nothing(store: Store) -> None:
    added = store.put_model(GPT, actor="import")
    store.set_entry_enabled(EntryKind.MODEL, GPT.name, enabled=False, actor="cli")
    cheaper = replace(GPT, offers=GPT.offers[:1], title="Cheaper")
    replaced = store.put_model(cheaper, actor="import")

    assert added is not None
    assert replaced is not None
    assert (added.action, replaced.action) == (ChangeAction.ADDED, ChangeAction.UPDATED)
    assert replaced.fields == ("offers", "title")
    model = store.get_entry(EntryKind.MODEL, GPT.name)
    assert isinstance(model, Model)
    assert model.offers == GPT.offers[:1]
    assert (model.enabled, model.added_at, model.revision) == (False, added.at, 3)
    assert model.updated_at == replaced.at
    assert store.put_model(cheaper, actor="import") is None
    assert store.head() == 3


def test_many_models_are_put_in_one_transaction(store: Store) -> None:
    store.put_model(GPT, actor="import")
    other = replace(GPT, name="openai/other")
    again = replace(other, title="Again")

    changes = store.put_models([GPT, other, again], actor="import")

    assert [(change.revision, change.action) for change in changes] == [
        (2, ChangeAction.ADDED),
        (3, ChangeAction.UPDATED),
    ]
    assert store.get_entry(EntryKind.MODEL, other.name).title == "Again"
    assert store.put_models([], actor="import") == ()
    assert store.head() == 3


def test_a_removed_model_takes_its_offers_along(store: Store) -> None:
    store.add_model(GPT, actor="api")
    store.add_model(Model(name="other"), actor="api")

    change = store.remove_model(GPT.name, actor="api")

    assert (change.action, change.subject, change.server) == (ChangeAction.REMOVED, GPT.id, None)
    assert store.add_model(replace(GPT, offers=()), actor="api").offers == ()
    model = store.get_entry(EntryKind.MODEL, GPT.name)
    assert isinstance(model, Model)
    assert model.offers == ()


def test_removing_an_absent_model_offers_near_names(store: Store) -> None:
    store.add_model(GPT, actor="api")

    with pytest.raises(NotFound, match="Did you mean: openai/gpt-4o"):
        store.remove_model("gpt-4o", actor="api")


def test_the_command_that_serves_an_offer_is_kept_and_logged(store: Store) -> None:
    launch = Launch(
        command="vllm",
        args=("serve", "--port", "{port}"),
        env={"HF_TOKEN": "${HF_TOKEN}"},
        health="/",
        idle_timeout_s=5.0,
    )
    offer = Offer(provider="here", remote_model="x", launch=launch)
    assert offer.callable
    store.add_model(Model(name="local", offers=(offer,)), actor="test")
    found = store.get_entry(EntryKind.MODEL, "local")
    assert isinstance(found, Model)
    assert found.offers == (offer,)
    (change,) = store.list_changes()
    assert change.after is not None
    assert change.after["offers"][0]["launch"]["command"] == "vllm"
    assert store.put_model(Model(name="local", offers=(offer,)), actor="test") is None
    moved = replace(offer, launch=replace(launch, args=("serve",)))
    assert store.put_model(Model(name="local", offers=(moved,)), actor="test") is not None
