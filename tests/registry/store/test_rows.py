"""Laws of the mapping: what is laid down as a row and passes a database comes back the same."""

from __future__ import annotations

import json
from datetime import UTC
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.dialects import sqlite
from sqlalchemy.types import TypeDecorator
from sqlmodel import SQLModel

from toolcrib_registry.store.calls import call_columns, call_from
from toolcrib_registry.store.log import change_columns, change_from
from toolcrib_registry.store.rows import (
    entry_columns,
    entry_from,
    offer_columns,
    server_columns,
    server_from,
)
from toolcrib_registry.tables import (
    CallRow,
    ChangeRow,
    EntryRow,
    OfferRow,
    ServerRow,
    UnreadableValueError,
)
from toolcrib_registry.types import (
    CallRecord,
    CatalogTransport,
    Change,
    ChangeAction,
    ChangePolicy,
    Entry,
    EntryId,
    EntryKind,
    HttpTransport,
    Known,
    Launch,
    Malformed,
    Mark,
    MarkReason,
    Model,
    ModelDescriptor,
    Offer,
    Prompt,
    Resource,
    Server,
    ServerHealth,
    ServerName,
    ServerStatus,
    SseTransport,
    StdioTransport,
    Tool,
    Trust,
)

_Row = TypeVar("_Row", bound=SQLModel)

any_text = st.text(st.characters(exclude_categories=()), max_size=20)
# JSON has one spelling for a pair of surrogates and for the character it stands for, so a decoder
# never gives the pair.
json_text = any_text.map(lambda text: json.loads(json.dumps(text)))
numbers = st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | numbers | json_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(json_text, inner, max_size=3),
    max_leaves=8,
)
json_objects = st.dictionaries(json_text, json_values, max_size=4)
times = st.datetimes(timezones=st.just(UTC))
texts = st.none() | any_text
tags = st.lists(json_text, max_size=3).map(tuple)
string_maps = st.dictionaries(json_text, json_text, max_size=3)


def known(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | st.builds(Known, values, json_text, st.dates())


transports = st.one_of(
    st.builds(StdioTransport, json_text, tags, string_maps, st.none() | json_text),
    st.builds(HttpTransport, json_text, string_maps),
    st.builds(SseTransport, json_text, string_maps),
    st.builds(CatalogTransport, json_text),
)
healths = st.builds(
    ServerHealth,
    status=st.sampled_from(ServerStatus),
    attempted_at=st.none() | times,
    synced_at=st.none() | times,
    error=texts,
    protocol_version=texts,
    reported_name=texts,
    reported_version=texts,
    instructions=texts,
    malformed=st.lists(
        st.builds(Malformed, st.sampled_from(EntryKind), json_text, json_text), max_size=2
    ).map(tuple),
    failures=st.integers(0, 2**31 - 1),
    next_attempt_at=st.none() | times,
    fresh_until=st.none() | times,
    changed_at=st.none() | times,
    duration_ms=st.none() | numbers,
    listing_digest=texts,
    cache_scope=texts,
    capabilities=st.none() | json_objects,
)
servers = st.builds(
    Server,
    name=any_text.map(ServerName),
    transport=transports,
    enabled=st.booleans(),
    tags=tags,
    origin=any_text,
    start_timeout_s=numbers,
    call_timeout_s=st.none() | numbers.filter(bool),
    health=healths,
    added_at=st.none() | times,
    on_change=st.sampled_from(ChangePolicy),
)
marks = st.lists(st.builds(Mark, st.sampled_from(MarkReason), json_text), max_size=3).map(tuple)
common: dict[str, Any] = {
    "name": any_text,
    "title": texts,
    "description": any_text,
    "tags": tags,
    "enabled": st.booleans(),
    "content_hash": any_text,
    "source_id": texts,
    "revision": st.integers(0, 2**63 - 1),
    "added_at": st.none() | times,
    "updated_at": st.none() | times,
}
owned: dict[str, Any] = {
    "server": any_text,
    "local_name": any_text,
    "definition": json_objects,
    "trust": st.sampled_from(Trust),
    "marks": marks,
    "pinned_hash": any_text,
}
offers = st.builds(
    Offer,
    provider=any_text,
    remote_model=any_text,
    endpoint=texts,
    api_key=texts,
    region=known(json_text),
    price_in_usd=known(numbers),
    context_tokens=known(st.integers()),
    launch=st.none()
    | st.builds(
        Launch,
        command=json_text,
        args=tags,
        env=string_maps,
        cwd=st.none() | json_text,
        health=json_text,
    ),
)
descriptors = st.builds(
    ModelDescriptor,
    license=known(json_text),
    open_weights=known(st.booleans()),
    parameters_b=known(numbers),
    modalities_in=known(tags),
    languages=known(tags),
    max_output_tokens=known(st.integers()),
)
models = st.builds(
    Model,
    **common,
    family=texts,
    descriptor=descriptors,
    offers=st.lists(offers, max_size=3).map(tuple),
)
entries = st.one_of(
    st.builds(Tool, **common, **owned),
    st.builds(Prompt, **common, **owned),
    st.builds(Resource, **common, **owned),
    models,
)
changes = st.builds(
    Change,
    revision=st.integers(1, 2**63 - 1),
    at=times,
    actor=any_text,
    action=st.sampled_from(ChangeAction),
    subject=any_text,
    server=texts,
    fields=tags,
    before=st.none() | json_objects,
    after=st.none() | json_objects,
    related=texts.map(lambda text: None if text is None else EntryId(text)),
    marks=marks,
)
calls = st.builds(
    CallRecord,
    id=any_text,
    at=times,
    subject=any_text.map(EntryId),
    server=texts,
    face=any_text,
    principal=any_text,
    outcome=any_text,
    duration_ms=numbers,
    argument_shape=json_objects,
)


def stored(kind: type[_Row], values: dict[str, Any]) -> _Row:
    """Pass each column through its type as a database would, text being all that it takes."""
    dialect = sqlite.dialect()
    table = SQLModel.metadata.tables[str(kind.__tablename__)]
    assert values.keys() == {column.name for column in table.columns}
    read = dict(values)
    for column in table.columns:
        if isinstance(column.type, TypeDecorator):
            bound = column.type.process_bind_param(values[column.name], dialect)
            if isinstance(bound, str):
                bound = bound.encode().decode()
                assert "\0" not in bound
            read[column.name] = column.type.process_result_value(bound, dialect)
    return kind(**read)


@given(servers)
def test_a_server_survives_its_row(server: Server) -> None:
    written = server_columns(server)

    back = server_from(stored(ServerRow, written))

    assert back == server
    assert server_columns(back) == written


@given(entries)
def test_an_entry_of_any_kind_survives_its_rows(entry: Entry) -> None:
    written = entry_columns(entry)
    offered = offer_columns(entry) if isinstance(entry, Model) else []

    back = entry_from(
        stored(EntryRow, written), [stored(OfferRow, one) for one in reversed(offered)]
    )

    assert back == entry
    assert type(back) is type(entry)
    assert entry_columns(back) == written
    if isinstance(back, Model):
        assert offer_columns(back) == offered


@given(changes)
def test_a_change_survives_its_row(change: Change) -> None:
    written = change_columns(change)

    back = change_from(stored(ChangeRow, written))

    assert back == change
    assert change_columns(back) == written


@given(calls)
def test_an_audit_record_survives_its_row(record: CallRecord) -> None:
    written = call_columns(record)

    back = call_from(stored(CallRow, written))

    assert back == record
    assert call_columns(back) == written


def test_a_row_that_nothing_here_writes_is_refused() -> None:
    tool = Tool(name="x", server=ServerName("s"), local_name="x", definition={})
    orphan = EntryRow(**entry_columns(tool))
    orphan.server = None
    with pytest.raises(UnreadableValueError, match="the entry 'tool:x' has no owner"):
        entry_from(orphan)

    server = Server(name=ServerName("s"), transport=CatalogTransport("x"))
    odd = ServerRow(**server_columns(server))
    odd.transport = {"type": "pigeon"}
    with pytest.raises(UnreadableValueError, match="unknown transport 'pigeon'"):
        server_from(odd)
