from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateTable
from sqlmodel import SQLModel

from toolcrib_registry.tables import (
    JsonText,
    KeyText,
    UnreadableValueError,
    UtcTime,
    restored,
    storable,
)

any_text = st.text(st.characters(exclude_categories=()))


@given(any_text)
def test_any_text_survives_being_made_storable(text: str) -> None:
    escaped = storable(text)

    escaped.encode()
    assert "\0" not in escaped
    assert restored(escaped) == text


@given(any_text, any_text)
def test_different_texts_stay_different(one: str, other: str) -> None:
    assert (storable(one) == storable(other)) is (one == other)


def test_ordinary_text_is_stored_as_it_is() -> None:
    assert storable("plain \t\n é \U0001f600") == "plain \t\n é \U0001f600"
    assert storable("\0") == "\x1a0000"


def test_a_naive_time_is_refused_and_others_are_brought_to_utc() -> None:
    dialect = sqlite.dialect()
    with pytest.raises(ValueError, match="has no time zone"):
        UtcTime().process_bind_param(datetime(2026, 1, 1), dialect)  # noqa: DTZ001
    east = datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))
    bound = UtcTime().process_bind_param(east, dialect)

    assert bound == east
    assert bound is not None
    assert bound.tzinfo is UTC
    given_back = UtcTime().process_result_value(bound.replace(tzinfo=None), dialect)
    assert given_back == east


def test_what_is_not_json_is_not_read() -> None:
    with pytest.raises(UnreadableValueError, match="does not hold JSON"):
        JsonText().process_result_value('{"cut', sqlite.dialect())


def test_keys_are_compared_by_code_point_on_postgresql() -> None:
    dialect = postgresql.dialect()
    statement = str(CreateTable(SQLModel.metadata.tables["servers"]).compile(dialect=dialect))

    assert 'name TEXT COLLATE "C" NOT NULL' in statement
    assert KeyText().compile(dialect=sqlite.dialect()) == "TEXT"
