"""One entry of an ``mcpServers`` map: the keys it may have, and the types of their values.

Knows the spellings that host applications use; does not know what a server is.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from toolcrib_registry.errors import InvalidConfig

from .place import Place, describe

OUR_KEY = "toolcrib"
"""Where our own options stand in an entry."""

_SPELLINGS: dict[str, str] = {
    "stdio": "stdio",
    "local": "stdio",
    "http": "http",
    "remote": "http",
    "streamablehttp": "http",
    "sse": "sse",
    "httpsse": "sse",
}
URL_ALIASES = ("serverUrl", "httpUrl")
TYPE_ALIASES = ("transport", "transportType")
HARMLESS = frozenset(
    {
        "alwaysAllow",
        "alwaysLoad",
        "author",
        "authors",
        "auto_approve",
        "autoApprove",
        "autoStart",
        "category",
        "chatEnabled",
        "description",
        "dev",
        "disabledTools",
        "displayName",
        "docs",
        "documentation",
        "enabledTools",
        "excludeTools",
        "fromGalleryId",
        "gallery",
        "homepage",
        "icon",
        "iconUrl",
        "id",
        "includeTools",
        "inputs",
        "isActive",
        "label",
        "logo",
        "name",
        "networkTimeout",
        "note",
        "notes",
        "oauth",
        "provider",
        "sandbox",
        "sandboxEnabled",
        "scope",
        "source",
        "status",
        "tags",
        "timeout",
        "timeoutMs",
        "title",
        "tools",
        "trust",
        "trustTools",
        "version",
    }
)
"""Keys that host applications add for their own use."""
_MEANT: dict[str, str] = {
    "arguments": "args",
    "cmd": "command",
    "endpoint": "url",
    "environ": "env",
    "environment": "env",
    "uri": "url",
}
"""Keys that look like none of ours, but are always meant as one."""
WITHOUT_EFFECT: dict[str, str] = {
    "envFile": "is not read; put its variables under env, as NAME: ${NAME}",
    "headersHelper": "is not run; put the headers under headers",
    "auth": "is not used; put the credentials under headers",
}


class _Options(BaseModel):
    """Our own keys, under `OUR_KEY`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    tags: list[str] = []
    start_timeout_s: Annotated[float, Field(gt=0, le=3600)] | None = Field(
        default=None, alias="startTimeoutS"
    )
    call_timeout_s: Annotated[float, Field(gt=0, le=86_400)] | None = Field(
        default=None, alias="callTimeoutS"
    )
    enabled: bool | None = None
    on_change: Literal["apply", "mark", "quarantine"] | None = Field(default=None, alias="onChange")


class _Entry(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)

    disabled: bool | None = None
    enabled: bool | None = None
    toolcrib: _Options = _Options()


class StdioEntry(_Entry):
    """A server run as a child process."""

    type: Literal["stdio"]
    command: Annotated[str, Field(min_length=1)]
    args: list[str] = []
    env: dict[str, str] = {}
    cwd: str | None = None


class HttpEntry(_Entry):
    """A server reached over Streamable HTTP."""

    type: Literal["http"]
    url: str
    headers: dict[str, str] = {}


class SseEntry(_Entry):
    """A server reached over HTTP+SSE."""

    type: Literal["sse"]
    url: str
    headers: dict[str, str] = {}


Entry = StdioEntry | HttpEntry | SseEntry
_ENTRY: TypeAdapter[Entry] = TypeAdapter(Annotated[Entry, Field(discriminator="type")])
OWN_KEYS: dict[str, frozenset[str]] = {
    kind: frozenset(model.model_fields)
    for kind, model in (("stdio", StdioEntry), ("http", HttpEntry), ("sse", SseEntry))
}
KNOWN_KEYS: frozenset[str] = frozenset[str]().union(*OWN_KEYS.values(), URL_ALIASES, TYPE_ALIASES)
OPTION_KEYS = frozenset(field.alias or name for name, field in _Options.model_fields.items())


def find_kind(spelling: object) -> str | None:
    """Find the transport meant by any spelling of it: ``stdio``, ``http``, ``sse``, or None."""
    plain = spelling.lower() if isinstance(spelling, str) else ""
    for mark in "-_+ ":
        plain = plain.replace(mark, "")
    return _SPELLINGS.get(plain)


def parse_entry(entry: Mapping[str, Any], place: Place) -> Entry:
    """Narrow an entry whose ``type`` is known to the model of that type.

    Raises:
        InvalidConfig: a value has the wrong type; the error names the key.
    """
    try:
        return _ENTRY.validate_python(dict(entry))
    except ValidationError as error:
        raise _translate(error, place) from None


def refuse_near(
    entry: Collection[str], known: Collection[str], place: Place, *, cutoff: float
) -> None:
    """Refuse an unknown key that looks like a known one (any unknown key, at a cutoff of 0).

    Raises:
        InvalidConfig: it names the key that was probably meant.
    """
    folded = {each.lower(): each for each in sorted(known)}
    for key in entry:
        plain = key.lower().replace("_", "").replace("-", "")
        near = difflib.get_close_matches(_MEANT.get(plain, plain), folded, n=1, cutoff=cutoff)
        if key not in known and near:
            raise place.at(key).wrong("is not a known key.", f"Did you mean {folded[near[0]]!r}?")


def _translate(error: ValidationError, place: Place) -> InvalidConfig:
    """Say what pydantic found in words of the file: key, what stands there, what to write."""
    first = error.errors(include_url=False)[0]
    for part in first["loc"][1:]:  # the first part names the kind of transport
        place = place.at(str(part))
    expected = _EXPECTED.get(first["type"])
    if expected is None:
        return place.wrong(f"{first['msg'].lower()}.", "Correct the value.")
    what, fix = expected
    # The value itself is not repeated: it may be a secret.
    return place.wrong(f"is {describe(first['input'])}, not {what}.", fix)


_EXPECTED: dict[str, tuple[str, str]] = {
    "string_type": ("a string", "Write it in double quotes."),
    "list_type": ("a list", 'Write a list of strings, as ["-y", "package"].'),
    "dict_type": ("an object", 'Write an object of strings, as {"NAME": "value"}.'),
    "model_type": ("an object", "Write {…} there."),
    "model_attributes_type": ("an object", "Write {…} there."),
    "bool_type": ("true or false", "Write true or false, without quotes."),
    "float_type": ("a number", "Write a number of seconds, without quotes."),
}
