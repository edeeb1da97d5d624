"""Entries to documents: the text that is embedded, and the text whose words are indexed.

Takes any JSON a server may have listed; what does not have the expected shape is passed over.
Knows neither encoders nor indexes.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, TypeVar, cast

from toolcrib_registry.types import (
    DEPENDS_ON_KEY,
    QUESTIONS_KEY,
    Entry,
    EntryId,
    EntryKind,
    Known,
    Model,
    ModelDescriptor,
    OwnedEntry,
    Revision,
    ServerName,
    Tool,
)

from .credible import credible
from .needs import NO_FACTS, Facts, read_facts
from .templates import template_questions
from .words import split_words

T = TypeVar("T")

MAX_TEXT_CHARS: Final = 2_000
"""Of what is embedded; encoders read some 1,000 of them."""
MAX_TERMS_CHARS: Final = 8_000
"""Of what is indexed by word."""
_MAX_DESCRIPTION_CHARS: Final = 6_000
"""Leaves room for the parameters."""
_MAX_LISTED: Final = 16
_MAX_LISTED_CHARS: Final = 300
_MAX_PARAMETERS: Final = 64
_MAX_DEPTH: Final = 3
_MAX_ENUM_VALUES: Final = 16
_MAX_VALUE_CHARS: Final = 80
_CONTROL: Final = re.compile(r"[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f]")
"""Control characters that are no spaces."""


class Component(StrEnum):
    """A part of a document that can have a vector of its own."""

    DOCUMENT = "document"
    """All parts but the questions, as one text: plain concatenation."""
    NAME = "name"
    TITLE = "title"
    DESCRIPTION = "description"
    SERVER = "server"
    TAGS = "tags"
    PARAMETERS = "parameters"
    QUESTIONS = "questions"
    """Example questions that its owner gave."""
    WRITTEN = "written"
    """Example questions that a model wrote, where the owner gave none."""
    TEMPLATES = "templates"
    """Questions made of its own words by pattern, where there are no others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """An entry as retrieval sees it."""

    id: EntryId
    kind: EntryKind
    server: ServerName | None
    name: str
    text: str
    """What is embedded."""
    terms: str
    """What the lexical index reads."""
    local_name: str = ""
    """Its name at its server: the name that other tools of that server know it by."""
    components: Mapping[Component, str] = field(default_factory=dict[Component, str])
    """Its parts, those that it has, for what weighs them apart; see `representation`."""
    revision: Revision = Revision(0)
    """The change that last touched the entry."""
    tags: tuple[str, ...] = ()
    read_only: bool | None = None
    """Whether it says that it only reads; None when it says nothing."""
    destructive: bool | None = None
    depends_on: tuple[str, ...] = ()
    """Names of what must be called before it, as its owner declares them."""
    facts: Facts = NO_FACTS
    """What its schemas and its description say that it asks for and gives."""
    imported: bool = False
    """Whether it was read from a file that somebody here chose, not listed by a live server."""
    added_at_s: float = 0.0
    """When the registry first saw it, in seconds of Unix time."""

    @property
    def text_hash(self) -> str:
        """SHA-256 of ``text``: the same text has the same vector."""
        return hash_text(self.text)


def render_document(entry: Entry, *, written: Sequence[str] = ()) -> Document:
    """Render an entry. Never fails, whatever its owner listed; all texts are bounded.

    ``written`` are example questions that a model wrote; those that its owner gave win.
    """
    server = entry.server if isinstance(entry, OwnedEntry) else None
    local_name = entry.local_name if isinstance(entry, OwnedEntry) else entry.name
    parts = _components(entry, local_name=local_name, server=server or "", written=written)
    said = _sentences((parts[Component.TITLE], parts[Component.DESCRIPTION]))
    rest = (parts[part] for part in (Component.SERVER, Component.TAGS, Component.PARAMETERS))
    text = _sentences((f"{parts[Component.NAME]}: {said}", *rest))
    parts[Component.DOCUMENT] = text
    asked = (parts[Component.QUESTIONS], parts[Component.WRITTEN])
    read_only, destructive = _behaviour(entry)
    return Document(
        id=entry.id,
        kind=entry.kind,
        server=server,
        name=entry.name,
        local_name=local_name,
        text=text[:MAX_TEXT_CHARS],
        terms=_sentences((entry.name, text, *asked))[:MAX_TERMS_CHARS],
        components={part: said[:MAX_TEXT_CHARS] for part, said in parts.items() if said},
        tags=entry.tags,
        read_only=read_only,
        destructive=destructive,
        depends_on=tuple(_listed(entry, DEPENDS_ON_KEY)),
        facts=_facts(entry),
        imported=entry.source_id is not None,
        added_at_s=entry.added_at.timestamp() if entry.added_at else 0.0,
        revision=entry.revision,
    )


def _facts(entry: Entry) -> Facts:
    if not isinstance(entry, Tool):
        return NO_FACTS
    return read_facts(entry.local_name, _string(entry.description), entry.definition)


def _behaviour(entry: Entry) -> tuple[bool | None, bool | None]:
    """Whether it only reads, and whether it destroys. Only a tool can do more than answer."""
    if not isinstance(entry, Tool):
        return True, False
    says = entry.descriptor
    return _value(says.read_only), _value(says.destructive)


def _components(
    entry: Entry, *, local_name: str, server: str, written: Sequence[str]
) -> dict[Component, str]:
    declared = list(_listed(entry, QUESTIONS_KEY))
    theirs = () if declared else _cut(written)
    parts = {
        Component.NAME: _words_of(local_name),
        Component.TITLE: _string(entry.title),
        Component.DESCRIPTION: _string(entry.description)[:_MAX_DESCRIPTION_CHARS],
        Component.SERVER: _words_of(server),
        Component.TAGS: " ".join(entry.tags),
        Component.PARAMETERS: _sentences(_details(entry)),
        Component.WRITTEN: _sentences(theirs),
        Component.TEMPLATES: "" if declared or theirs else _sentences(_templates(entry)),
    }
    # A file was chosen by somebody here; a live server says what it likes.
    heard = declared if entry.source_id else credible(declared, " ".join(parts.values()))
    return {**parts, Component.QUESTIONS: _sentences(heard)}


def _templates(entry: Entry) -> tuple[str, ...]:
    """Make questions of a tool's own words."""
    if not isinstance(entry, Tool):
        return ()
    parameters = [_words_of(name) for name, _ in _properties(_mapping(entry.input_schema))]
    return template_questions(_words_of(entry.local_name), _string(entry.description), parameters)


def _cut(questions: Sequence[str]) -> tuple[str, ...]:
    return tuple(question[:_MAX_LISTED_CHARS] for question in questions[:_MAX_LISTED])


def _listed(entry: Entry, key: str) -> Iterator[str]:
    if not isinstance(entry, OwnedEntry):
        return
    listed = _mapping(entry.definition.get("_meta")).get(key)
    if isinstance(listed, list):
        items = cast("list[object]", listed)[:_MAX_LISTED]
        yield from (item[:_MAX_LISTED_CHARS] for item in items if isinstance(item, str) and item)


def hash_text(text: str) -> str:
    """SHA-256 of a text, in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def clean_text(text: str, *, limit: int) -> str:
    """Cut at ``limit`` characters; spaces, control characters and lone surrogates become plain."""
    cut = text[:limit]
    plain = cut if cut.isascii() and cut.isprintable() else _CONTROL.sub(" ", _encodable(cut))
    return " ".join(plain.split())


def _words_of(name: str) -> str:
    return " ".join(split_words(name[:MAX_TEXT_CHARS]))


def _details(entry: Entry) -> Iterator[str]:
    if isinstance(entry, Model):
        yield from _model_details(entry)
    elif isinstance(entry, Tool):
        yield ", ".join(_parameters(entry.input_schema))
    elif isinstance(entry, OwnedEntry):
        yield ", ".join(_arguments(entry.definition.get("arguments")))
        yield _string(entry.definition.get("mimeType"))


# --- tools and prompts ---------------------------------------------------------------------------


def _parameters(schema: object) -> list[str]:
    found: list[str] = []
    level = [_mapping(schema)]
    for _ in range(_MAX_DEPTH):
        properties = [item for parent in level for item in _properties(parent)]
        room = _MAX_PARAMETERS - len(found)
        found += [_parameter(name, definition) for name, definition in properties[:room]]
        level = [_inner(definition) for _, definition in properties[:_MAX_PARAMETERS]]
    return found


def _properties(schema: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    properties = _mapping(schema.get("properties"))
    return [(str(name), _mapping(definition)) for name, definition in properties.items()]


def _inner(definition: Mapping[str, Any]) -> Mapping[str, Any]:
    items = _mapping(definition.get("items"))
    return items if "properties" in items else definition


def _parameter(name: str, definition: Mapping[str, Any]) -> str:
    values = definition.get("enum")
    allowed = cast("list[object]", values)[:_MAX_ENUM_VALUES] if isinstance(values, list) else []
    words = (_words_of(name), _string(definition.get("description")), *map(_scalar, allowed))
    return " ".join(word for word in words if word)


def _arguments(arguments: object) -> Iterator[str]:
    listed = cast("list[object]", arguments) if isinstance(arguments, list) else []
    for argument in listed[:_MAX_PARAMETERS]:
        definition = _mapping(argument)
        yield _parameter(_string(definition.get("name")), definition)


# --- models --------------------------------------------------------------------------------------


def _model_details(model: Model) -> Iterator[str]:
    says = model.descriptor
    yield "model"
    yield f"family {model.family}" if model.family else ""
    yield from _modalities(says)
    yield from _abilities(says)
    yield f"licence {says.license.value}" if says.license else ""
    yield "languages " + " ".join(says.languages.value) if says.languages else ""
    providers = dict.fromkeys(offer.provider for offer in model.offers)
    yield "served by " + " ".join(providers) if providers else ""


def _modalities(says: ModelDescriptor) -> Iterator[str]:
    taken = " ".join(_value(says.modalities_in) or ())
    given = " ".join(_value(says.modalities_out) or ())
    yield f"takes {taken}" if taken else ""
    yield f"gives {given}" if given else ""


def _abilities(says: ModelDescriptor) -> Iterator[str]:
    yield "open weights" if _value(says.open_weights) else ""
    yield "tool calling" if _value(says.tool_call) else ""
    yield "structured output" if _value(says.structured_output) else ""
    yield "reasoning" if _value(says.reasoning) else ""


def _value(field: Known[T] | None) -> T | None:
    return field.value if field else None


# --- text ----------------------------------------------------------------------------------------


def _sentences(parts: Iterable[str]) -> str:
    clean = (clean_text(part, limit=MAX_TERMS_CHARS).strip(" .") for part in parts)
    return ". ".join(part for part in clean if part)


def _encodable(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def _mapping(value: object) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def _string(value: object) -> str:
    return value[:MAX_TERMS_CHARS] if isinstance(value, str) else ""


def _scalar(value: object) -> str:
    return str(value)[:_MAX_VALUE_CHARS] if isinstance(value, str | int | float) else ""
