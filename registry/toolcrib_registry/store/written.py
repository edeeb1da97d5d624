"""What a model wrote: example questions by the content they are for, readings by their query.

A face of its own beside the store's, over the same database. What changes how an entry is found is
a change of the log, so that every index follows. Knows no model, only the names of writers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import TextClause, bindparam, text
from sqlalchemy import select as core_select
from sqlmodel import Session, col, delete, func, select, update

from toolcrib_registry.tables import (
    EntryRow,
    JsonText,
    KeyText,
    PlainText,
    UtcTime,
    WrittenQuestionsRow,
    WrittenReadingRow,
)
from toolcrib_registry.types import (
    Change,
    ChangeAction,
    ServerName,
    WrittenQuestions,
    WrittenReading,
)

from .database import Database
from .entries import chunks
from .log import ChangeLog
from .rows import load_marks

_ADD = (  # one statement for both engines; SQLAlchemy has only one builder for each
    "INSERT INTO written_questions (content_hash, writer, at, refusal, questions)"
    " VALUES (:content_hash, :writer, :at, :refusal, :questions)"
    " ON CONFLICT (content_hash, writer) DO NOTHING"
)
_PUT = (
    "INSERT INTO written_readings (query_hash, writer, at, english, steps)"
    " VALUES (:query_hash, :writer, :at, :english, :steps)"
    " ON CONFLICT (query_hash, writer) DO UPDATE SET at = excluded.at,"
    " english = excluded.english, steps = excluded.steps"
)


@dataclass(frozen=True, slots=True)
class WrittenCount:
    """How many contents have questions, and how many readings of queries are kept."""

    questions: int
    refused: int
    """Contents for which nothing of what was written could be kept."""
    readings: int


class WrittenRecords:
    """Questions and readings. Every method is one unit of work."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # --- questions -------------------------------------------------------------------------

    def find_questions(self, hashes: Sequence[str]) -> dict[str, WrittenQuestions]:
        """Find what was written last for contents, by their hashes; absent ones are left out."""
        with self._database.reading() as session:
            return _latest(session, hashes)

    def list_contents(self, writer: str | None = None) -> frozenset[str]:
        """List the hashes of the contents that a writer has dealt with; None is any writer."""
        query = select(WrittenQuestionsRow.content_hash).distinct()
        if writer is not None:
            query = query.where(WrittenQuestionsRow.writer == writer)
        with self._database.reading() as session:
            return frozenset(session.exec(query))

    def add_questions(
        self, written: Sequence[WrittenQuestions], *, actor: str
    ) -> tuple[Change, ...]:
        """Keep what was written, with a change for each entry whose questions are others now.

        What the same writer wrote for the same content before stays as it is.
        """
        hashes = sorted({one.content_hash for one in written})
        with self._database.writing() as session:
            log = ChangeLog(session, actor=actor)
            before = _texts(_latest(session, hashes))
            adding = _adding()
            for one in sorted(written, key=lambda it: (it.content_hash, it.writer)):
                session.connection().execute(adding, _question_columns(one))
            return _note(session, log, hashes, before)

    def forget_questions(self, *, server: ServerName | None = None, actor: str) -> int:
        """Drop what was written, for a server's entries or for all; say for how many contents.

        Every entry that is found otherwise because of it has a change.
        """
        with self._database.writing() as session:
            log = ChangeLog(session, actor=actor)
            hashes = _hashes_of(session, server)
            before = _texts(_latest(session, hashes))
            for chunk in chunks(hashes):
                its = col(WrittenQuestionsRow.content_hash).in_(chunk)
                session.exec(delete(WrittenQuestionsRow).where(its))
            _note(session, log, hashes, before)
            return len(hashes)

    def prune_questions(self) -> int:
        """Drop what was written for contents that no entry has any more; say how many rows."""
        kept = select(EntryRow.content_hash)
        unused = col(WrittenQuestionsRow.content_hash).not_in(kept)
        with self._database.writing() as session:
            return session.exec(delete(WrittenQuestionsRow).where(unused)).rowcount

    def count(self) -> WrittenCount:
        """Count what is kept."""
        contents = select(func.count(func.distinct(WrittenQuestionsRow.content_hash)))
        refused = col(WrittenQuestionsRow.refusal).is_not(None)
        with self._database.reading() as session:
            return WrittenCount(
                questions=session.exec(contents.where(~refused)).one(),
                refused=session.exec(contents.where(refused)).one(),
                readings=session.exec(select(func.count()).select_from(WrittenReadingRow)).one(),
            )

    # --- readings --------------------------------------------------------------------------

    def find_reading(self, query_hash: str, writer: str | None) -> WrittenReading | None:
        """Find how a writer read a query; None is whoever read it last."""
        query = select(WrittenReadingRow).where(WrittenReadingRow.query_hash == query_hash)
        if writer is not None:
            query = query.where(WrittenReadingRow.writer == writer)
        query = query.order_by(col(WrittenReadingRow.at).desc()).limit(1)
        with self._database.reading() as session:
            row = session.exec(query).first()
            return None if row is None else _reading(row)

    def put_reading(self, reading: WrittenReading, *, keep: int = 10_000) -> None:
        """Keep a reading, in place of the writer's own of that query; of all, the latest."""
        with self._database.writing() as session:
            session.connection().execute(_putting(), _reading_columns(reading))
            oldest = select(WrittenReadingRow.at).order_by(col(WrittenReadingRow.at).desc())
            limit = session.exec(oldest.offset(keep).limit(1)).first()
            if limit is not None:
                old = col(WrittenReadingRow.at) <= limit
                session.exec(delete(WrittenReadingRow).where(old))

    def forget_readings(self) -> int:
        """Drop every reading; say how many."""
        with self._database.writing() as session:
            return session.exec(delete(WrittenReadingRow)).rowcount


def _adding() -> TextClause:
    return text(_ADD).bindparams(
        bindparam("content_hash", type_=KeyText()),
        bindparam("writer", type_=KeyText()),
        bindparam("at", type_=UtcTime()),
        bindparam("refusal", type_=PlainText()),
        bindparam("questions", type_=JsonText()),
    )


def _putting() -> TextClause:
    return text(_PUT).bindparams(
        bindparam("query_hash", type_=KeyText()),
        bindparam("writer", type_=KeyText()),
        bindparam("at", type_=UtcTime()),
        bindparam("english", type_=PlainText()),
        bindparam("steps", type_=JsonText()),
    )


def _latest(session: Session, hashes: Sequence[str]) -> dict[str, WrittenQuestions]:
    found: dict[str, WrittenQuestions] = {}
    for chunk in chunks(hashes):
        query = select(WrittenQuestionsRow).where(col(WrittenQuestionsRow.content_hash).in_(chunk))
        ordered = query.order_by(col(WrittenQuestionsRow.at), col(WrittenQuestionsRow.writer))
        found.update((row.content_hash, _questions(row)) for row in session.exec(ordered))
    return found


def _hashes_of(session: Session, server: ServerName | None) -> list[str]:
    query = select(WrittenQuestionsRow.content_hash).distinct()
    if server is not None:
        owned = select(EntryRow.content_hash).where(EntryRow.server == server)
        query = query.where(col(WrittenQuestionsRow.content_hash).in_(owned))
    return sorted(session.exec(query))


def _note(
    session: Session, log: ChangeLog, hashes: Sequence[str], before: Mapping[str, tuple[str, ...]]
) -> tuple[Change, ...]:
    """Write a change for each entry of these contents whose questions are not what they were."""
    after = _texts(_latest(session, hashes))
    differing = [key for key in hashes if before.get(key, ()) != after.get(key, ())]
    changes = [
        log.note(
            ChangeAction.WRITTEN,
            row.id,
            server=None if row.server is None else ServerName(row.server),
            fields=("questions",),
            before={"questions": list(before.get(row.content_hash, ()))},
            after={"questions": list(after.get(row.content_hash, ()))},
            marks=load_marks(row.marks),
        )
        for row in _entries_with(session, differing)
    ]
    rows = [{"id": change.subject, "revision": change.revision} for change in changes]
    if rows:
        session.exec(update(EntryRow), params=rows)
    return log.close()


def _entries_with(session: Session, hashes: Sequence[str]) -> Iterable[Any]:
    columns = (EntryRow.id, EntryRow.server, EntryRow.content_hash, EntryRow.marks)
    query = core_select(*map(col, columns)).order_by(col(EntryRow.id))
    for chunk in chunks(hashes):
        its = query.where(col(EntryRow.content_hash).in_(chunk))
        yield from session.connection().execute(its)


def _texts(found: Mapping[str, WrittenQuestions]) -> dict[str, tuple[str, ...]]:
    return {key: one.questions for key, one in found.items() if one.questions}


def _question_columns(one: WrittenQuestions) -> dict[str, Any]:
    return {
        "content_hash": one.content_hash,
        "writer": one.writer,
        "at": one.at,
        "refusal": one.refusal,
        "questions": list(one.questions),
    }


def _questions(row: WrittenQuestionsRow) -> WrittenQuestions:
    return WrittenQuestions(
        content_hash=row.content_hash,
        writer=row.writer,
        at=row.at,
        questions=tuple(row.questions),
        refusal=row.refusal,
    )


def _reading_columns(one: WrittenReading) -> dict[str, Any]:
    return {
        "query_hash": one.query_hash,
        "writer": one.writer,
        "at": one.at,
        "english": one.english,
        "steps": list(one.steps),
    }


def _reading(row: WrittenReadingRow) -> WrittenReading:
    return WrittenReading(
        query_hash=row.query_hash,
        writer=row.writer,
        at=row.at,
        english=row.english,
        steps=tuple(row.steps),
    )
