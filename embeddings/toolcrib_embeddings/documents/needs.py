"""What a tool asks for that a person can hardly know, and what it gives, read off its schemas.

The idea of a graph of parameters between tools is that of ControlLLM (arXiv 2310.17796) and
Graph RAG-Tool Fusion (arXiv 2502.07223), where people or models draw it. Reads one tool at a time,
bounded, whatever its owner listed; `needs_graph` joins what was read of several.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, cast

from .words import singular, split_words

_MAX_PARAMETERS: Final = 64
_MAX_WANTS: Final = 8
_MAX_MADE: Final = 32
_MAX_SPOKEN: Final = 4
_MAX_DEPTH: Final = 3
_MAX_WORDS: Final = 8
_MAX_NAME_CHARS: Final = 128
_MAX_TEXT_CHARS: Final = 2_000

_SAME: Final = {"identifier": "id", "uuid": "id", "guid": "id", "uid": "id"}
_HANDLES: Final = frozenset({"id", "key", "slug", "handle"})
"""What a service calls a thing by, at the end of a parameter's name: nobody knows it by heart."""
_OWN_KEYS: Final = frozenset(
    (
        *("api", "app", "access", "secret", "private", "public", "license", "encryption", "ssh"),
        *("primary", "client", "master"),
    )
)
"""Before ``key`` or ``id``: what whoever runs it has, and no tool tells."""
_CODES: Final = frozenset({"code", "ticker", "symbol"})
_SESSIONS: Final = frozenset({"session", "session id", "session token", "session key"})
_TOKENS: Final = frozenset({"access token", "auth token", "login token", "authentication token"})
_BESIDES: Final = frozenset(
    (
        *("from", "to", "parent", "source", "target", "start", "end", "new", "old", "root"),
        *("base", "other", "current", "my", "your"),
    )
)
"""At the beginning of a name: which of several things of a kind is meant."""
_NAMED: Final = r"[`'\"]?([A-Za-z][\w.-]{2,127}?)[`'\"]?(?![\w-])"
_GIVEN_BY: Final = re.compile(
    r"\b(?:from|by|via|using|use|through|calling|call|running|run|output of|results? of)\s+"
    rf"(?:(?:a|an|the|tool|function|call|to)\s+){{0,3}}{_NAMED}"
)
_FIRST: Final = re.compile(
    r"\b(?:"
    r"(?:obtained|returned|retrieved|generated|provided|produced|received|fetched|found)"
    rf"\s+(?:by|from|with|via|through|using)\s+(?:the\s+)?{_NAMED}"
    rf"|(?:use|call|run|invoke)\s+(?:the\s+)?{_NAMED}(?:\s+tool)?"
    r"\s+(?:first|beforehand|before this)"
    rf"|first\s+(?:use|call|run|invoke)\s+(?:the\s+)?{_NAMED}"
    rf"|after\s+(?:(?:calling|using|running)\s+)?(?:the\s+)?{_NAMED}"
    rf"|requires\s+(?:(?:a|prior|previous|first|to|calling|call)\s+){{0,4}}{_NAMED}"
    r")",
    re.IGNORECASE,
)
_OTHERWISE: Final = re.compile(
    r"\b(?:instead|rather|not|unlike|never|without|alternative|deprecated|don't|e\.g\.|such as)",
    re.IGNORECASE,
)
_SENTENCE_END: Final = re.compile(r"(?<=[.!?;])\s+|\n+")
_LIKE_A_NAME: Final = re.compile(r"[_.-]|[a-z][A-Z]")
_HOLDS_A_NAME: Final = re.compile(r"_|[.-]\w|[a-z][A-Z]")


class Want(NamedTuple):
    """A required parameter that is hard to know."""

    name: str
    """As its owner spells it."""
    words: str = ""
    """What it is, as plain words: ``user id``."""
    spoken: tuple[str, ...] = ()
    """Names that its description gives as where it comes from."""


class Facts(NamedTuple):
    """What one tool asks for and gives."""

    wants: tuple[Want, ...] = ()
    asks: tuple[str, ...] = ()
    """All that it requires, as plain words."""
    makes: tuple[str, ...] = ()
    """What its output holds, as plain words."""
    after: tuple[str, ...] = ()
    """Names of what its description says comes first."""

    @classmethod
    def load(cls, data: Sequence[Any]) -> Facts:
        """Read what JSON made of one."""
        wants, *others = data
        return cls(
            tuple(Want(name, words, tuple(spoken)) for name, words, spoken in wants),
            *map(tuple, others),
        )


NO_FACTS: Final = Facts()


def read_facts(name: str, description: str, definition: Mapping[str, Any]) -> Facts:
    """Read a tool's definition; what does not have the expected shape is passed over."""
    required = list(_required(definition.get("inputSchema")))
    noun = name_parts(name).noun
    wants = (want for parameter in required if (want := _want(*parameter, noun=noun)))
    return Facts(
        tuple(want for want, _ in zip(wants, range(_MAX_WANTS), strict=False)),
        tuple(dict.fromkeys(" ".join(_key(each, noun)) for each, _ in required)),
        tuple(dict.fromkeys(_made(definition.get("outputSchema"))))[:_MAX_MADE],
        _spoken(description, _FIRST),
    )


# --- parameters ----------------------------------------------------------------------------------


def _required(schema: object) -> Iterator[tuple[str, Mapping[str, Any]]]:
    given = _mapping(schema)
    listed = given.get("required")
    properties = _mapping(given.get("properties"))
    for name in cast("list[object]", listed)[:_MAX_PARAMETERS] if isinstance(listed, list) else ():
        if isinstance(name, str):
            yield name[:_MAX_NAME_CHARS], _mapping(properties.get(name))


def _want(name: str, definition: Mapping[str, Any], *, noun: tuple[str, ...]) -> Want | None:
    if not definition.keys().isdisjoint(("default", "enum", "const")):
        return None
    said = definition.get("description")
    spoken = _spoken(said, _GIVEN_BY) if isinstance(said, str) else ()
    words = _key(name, noun)
    is_hard = entity_of(words) or is_code(words) or is_session(" ".join(words))
    return Want(name, " ".join(words), spoken) if spoken or is_hard else None


def _key(name: str, noun: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Give a parameter as plain words. A mere ``id`` is that of what the tool is about."""
    words = plain_words(name)
    if len(words) == 1 and words[0] in _HANDLES and noun:
        return (*noun, words[0])
    return words


def entity_of(words: Sequence[str]) -> tuple[str, ...]:
    """Say of what a handle is: ``parent page id`` is of a page. Empty when it is no handle."""
    *entity, tail = words or ("",)
    if tail not in _HANDLES or not entity or (tail != "slug" and entity[-1] in _OWN_KEYS):
        return ()
    return tuple(entity[1:] if len(entity) > 1 and entity[0] in _BESIDES else entity)


def is_code(words: Sequence[str]) -> bool:
    """Whether it is a code of a public list, whose tools may be of any service."""
    return len(words) > 1 and words[-1] in _CODES


def is_session(words: str) -> bool:
    """Whether it is what a login gives."""
    return words in _SESSIONS or words in _TOKENS


# --- output --------------------------------------------------------------------------------------


def _made(schema: object) -> Iterator[str]:
    """Name what an output holds: ``user id`` for ``userId``, and for ``id`` in ``users``."""
    level: list[tuple[tuple[str, ...], Mapping[str, Any]]] = [((), _mapping(schema))]
    for _ in range(_MAX_DEPTH):
        inner: list[tuple[tuple[str, ...], Mapping[str, Any]]] = []
        for parent, given in level[:_MAX_PARAMETERS]:
            for name, definition in [*_mapping(given.get("properties")).items()][:_MAX_PARAMETERS]:
                words = _key(str(name)[:_MAX_NAME_CHARS], parent)
                if len(words) > 1:
                    yield " ".join(words)
                held = _mapping(definition)
                inner.append((words, _mapping(held.get("items")) or held))
        level = inner


# --- what texts say ------------------------------------------------------------------------------


def _spoken(text: str, pattern: re.Pattern[str]) -> tuple[str, ...]:
    """Find the names that a text gives as what comes first."""
    found: dict[str, None] = {}
    for sentence in _SENTENCE_END.split(text[:_MAX_TEXT_CHARS]):
        # Most sentences hold no name, which costs least to see.
        if not _HOLDS_A_NAME.search(sentence):
            continue
        given = [next(filter(None, match.groups())) for match in pattern.finditer(sentence)]
        if given and not _OTHERWISE.search(sentence):
            names = (name.rstrip(".-") for name in given)
            found.update((name, None) for name in names if _LIKE_A_NAME.search(name))
    return tuple(found)[:_MAX_SPOKEN]


# --- words ---------------------------------------------------------------------------------------


class NameParts(NamedTuple):
    """A tool's name taken apart; empty where it has no verb that is known."""

    verb: str = ""
    noun: tuple[str, ...] = ()
    before: tuple[str, ...] = ()


_OTHER_VERBS: Final = (
    *("update", "set", "delete", "remove", "edit", "modify", "add", "send", "cancel", "close"),
    *("move", "rename", "patch", "put", "post", "complete", "check", "validate", "archive"),
    *("query", "restore", "enable", "disable", "assign", "copy", "export", "download"),
)
_BY_SUITS: Final = {
    1: ("search", "find", "lookup", "resolve", "discover"),
    2: ("list", "browse", "enumerate"),
    3: ("get", "fetch", "retrieve", "show", "read", "view"),
    4: (
        *("create", "start", "open", "begin", "launch", "submit", "upload"),
        *("register", "init", "generate", "initialize", "new", "make"),
    ),
    9: _OTHER_VERBS,
}
VERBS: Final = {verb: suits for suits in _BY_SUITS for verb in _BY_SUITS[suits]}
"""How well what a verb gives suits one who needs a thing of that kind; the least suits best, 9
not at all."""
_LITTLE: Final = frozenset({"a", "an", "the", "all", "my", "available"})
_EDGES: Final = frozenset({"by", "in", "for", "from", "with", "of", "on", "at", "to", "and", "or"})


def name_parts(name: str) -> NameParts:
    """Take a tool's name apart: ``slack_list_all_users_in_team`` lists users."""
    words = plain_words(name)
    at = next((n for n, word in enumerate(words) if word in VERBS), None)
    if at is None:
        return NameParts()
    rest = [word for word in words[at + 1 :] if word not in _LITTLE]
    edge = next((n for n, word in enumerate(rest) if word in _EDGES), len(rest))
    return NameParts(words[at], tuple(rest[:edge]), words[:at])


def plain_words(name: str) -> tuple[str, ...]:
    """Split a name into plain words: small letters, one of each thing, one word for handles."""
    words = (singular(word.lower()) for word in split_words(name[:_MAX_NAME_CHARS]))
    return tuple(_SAME.get(word, word) for word in words)[:_MAX_WORDS]


def _mapping(value: object) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}
