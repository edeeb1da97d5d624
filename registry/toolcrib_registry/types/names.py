"""How things are named: ids, names, kinds and hashes."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NewType, TypeAlias

JsonObject: TypeAlias = Mapping[str, Any]
"""A decoded JSON object, exactly as its owner sent it."""
EntryId = NewType("EntryId", str)
"""``kind:name``, unique in the registry, as ``tool:time__convert`` or ``model:openai/gpt-4o``."""
ServerName = NewType("ServerName", str)
Revision = NewType("Revision", int)
"""A position in the change log. 0 is the empty registry; each committed change takes the next."""
NAME_SEPARATOR = "__"
MAX_NAME_LENGTH = 64
"""What the strictest model providers accept as a tool name."""
# Keys of ours in the ``_meta`` of a definition: what MCP has no field for.
TAGS_KEY = "io.toolcrib/tags"
"""Words to filter by."""
DEPENDS_ON_KEY = "io.toolcrib/dependsOn"
"""Names of the tools that must be called before it."""
QUESTIONS_KEY = "io.toolcrib/exampleQuestions"
"""What somebody would ask who needs it."""


class EntryKind(StrEnum):
    """What an entry is. One index holds them all."""

    TOOL = "tool"
    PROMPT = "prompt"
    RESOURCE = "resource"
    MODEL = "model"


def entry_id(kind: EntryKind, name: str) -> EntryId:
    """Join a kind and a name into an id."""
    return EntryId(kind + ":" + name)  # for every entry, many times: joining is what costs least


def split_id(id: EntryId) -> tuple[EntryKind, str]:  # noqa: A002  # the domain's word
    """Split an id into its kind and name.

    Raises:
        ValueError: ``id`` is not ``kind:name``.
    """
    kind, separator, name = id.partition(":")
    if not separator:
        raise ValueError(f"not an entry id: {id!r}")
    return EntryKind(kind), name


def canonical_json(value: Any) -> str:
    """Render JSON one way only: keys sorted, no spaces, non-ASCII kept."""
    return _canonical(value)


def hash_content(value: Any) -> str:
    """SHA-256 of the canonical JSON of ``value``, in hex."""
    return hashlib.sha256(canonical_json(value).encode("utf-8", "surrogatepass")).hexdigest()


def hash_query(query: str) -> str:
    """SHA-256 of a query's text, in hex."""
    return hashlib.sha256(query.encode("utf-8", "surrogatepass")).hexdigest()


_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode
_NAME = re.compile(rf"[A-Za-z0-9_.-]{{1,{MAX_NAME_LENGTH}}}")
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_.-]+")


def qualified_name(server: str, local_name: str) -> str:
    """Name an upstream's entry outside its own server: ``server__name``.

    At most `MAX_NAME_LENGTH` characters of letters, digits, ``_``, ``-`` and ``.``. A name that had
    to be cut or cleaned ends in eight hex digits of a hash over the original pair, so that the
    result is stable and two originals do not meet.
    """
    plain = f"{server}{NAME_SEPARATOR}{local_name}"
    if _NAME.fullmatch(plain):
        return plain
    clean = _NOT_IN_A_NAME.sub("_", plain)
    digest = hashlib.sha256(f"{server}\0{local_name}".encode("utf-8", "surrogatepass")).hexdigest()
    return f"{clean[: MAX_NAME_LENGTH - 9]}-{digest[:8]}"
