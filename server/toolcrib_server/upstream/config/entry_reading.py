"""The reading of one server's entry of an ``mcpServers`` map, in whatever host's spelling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from toolcrib_registry.types import (
    ChangePolicy,
    HttpTransport,
    Server,
    ServerName,
    SseTransport,
    StdioTransport,
    Transport,
)

from .endpoint import check_headers, check_url
from .entries import (
    HARMLESS,
    KNOWN_KEYS,
    OPTION_KEYS,
    OUR_KEY,
    OWN_KEYS,
    TYPE_ALIASES,
    URL_ALIASES,
    WITHOUT_EFFECT,
    Entry,
    HttpEntry,
    SseEntry,
    StdioEntry,
    find_kind,
    parse_entry,
    refuse_near,
)
from .jsonc import JsonObject
from .names import check_server_name
from .place import Place
from .references import list_host_references, suggest_variable


class EntryReading:
    """Reads one entry; collects what deserves a warning on the way."""

    def __init__(
        self, name: str, place: Place, *, origin: str, on_change: ChangePolicy = ChangePolicy.MARK
    ) -> None:
        self._name = name
        self._place = place
        self._origin = origin
        self._on_change = on_change
        self.warnings: list[str] = []

    def read(self, raw: JsonObject) -> Server:
        """Turn the entry into a server.

        Raises:
            InvalidConfig: anything in it is wrong.
        """
        name = check_server_name(self._name, file=self._place.file, key=self._place.key)
        entry = parse_entry(self._canonical(raw), self._place)
        return build_server(
            name,
            self._transport(entry),
            tags=entry.toolcrib.tags,
            enabled=self._enabled(entry),
            start_timeout_s=entry.toolcrib.start_timeout_s,
            call_timeout_s=entry.toolcrib.call_timeout_s,
            origin=self._origin,
            on_change=ChangePolicy(entry.toolcrib.on_change or self._on_change),
        )

    def _canonical(self, raw: JsonObject) -> dict[str, Any]:
        """Spell every key one way, and put the kind of transport under ``type``."""
        self._refuse_repeated(raw)
        entry = {key: value for key, value in raw.items() if value is not None}
        for alias in URL_ALIASES:
            if alias in entry:
                entry.setdefault("url", entry.pop(alias))
        kind = self._kind(entry)
        for alias in TYPE_ALIASES:
            entry.pop(alias, None)
        entry["type"] = kind
        self._judge_keys(entry, kind)
        return entry

    def _refuse_repeated(self, raw: JsonObject) -> None:
        objects = {self._place: raw} | {
            self._place.at(key): value
            for key, value in raw.items()
            if isinstance(value, JsonObject)
        }
        for place, each in objects.items():
            for key in each.repeated:
                raise place.at(key).wrong(f"{key!r} stands there twice.", "Remove one of them.")

    def _kind(self, entry: Mapping[str, Any]) -> str:
        has_command, has_url = "command" in entry, "url" in entry
        if has_command and has_url:
            raise self._place.wrong(
                "has both 'command' and 'url'.",
                "Keep 'command' for a local server or 'url' for a remote one.",
            )
        if not has_command and not has_url:
            self._refuse_misspelled(entry, {"command", "url"})
            raise self._place.wrong(
                "has neither 'command' nor 'url'.",
                "Add 'command' for a local server or 'url' for a remote one.",
            )
        kind = self._stated_kind(entry) or ("stdio" if has_command else "http")
        if (kind == "stdio") != has_command:
            present, fit = ("command", "stdio") if has_command else ("url", "http")
            raise self._place.at("type").wrong(
                f"says {kind!r}, but the server has {present!r}.", f"Remove it or write {fit!r}."
            )
        return kind

    def _stated_kind(self, entry: Mapping[str, Any]) -> str | None:
        for key in ("type", *TYPE_ALIASES):
            stated = entry.get(key)
            if stated is not None and find_kind(stated) is None:
                raise self._place.at(key).wrong(
                    f"{stated!r} is no transport.", "Use 'stdio', 'http' or 'sse'."
                )
            if stated is not None:
                return find_kind(stated)
        return None

    def _judge_keys(self, entry: Mapping[str, Any], kind: str) -> None:
        self._refuse_misspelled(entry, OWN_KEYS[kind])
        for key in entry:
            where = self._place.at(key).text
            if key in WITHOUT_EFFECT:
                self.warnings.append(f"{where} {WITHOUT_EFFECT[key]}.")
            elif key in KNOWN_KEYS and key not in OWN_KEYS[kind]:
                self.warnings.append(f"{where} has no effect on a server of type {kind!r}.")
            elif key not in KNOWN_KEYS and key not in HARMLESS:
                self.warnings.append(f"{where} is not a key Toolcrib knows; it has no effect.")
        own = entry.get(OUR_KEY)
        if isinstance(own, JsonObject):
            refuse_near(own, OPTION_KEYS, self._place.at(OUR_KEY), cutoff=0.0)

    def _refuse_misspelled(
        self, entry: Mapping[str, Any], known: set[str] | frozenset[str]
    ) -> None:
        strange = entry.keys() - KNOWN_KEYS - HARMLESS - WITHOUT_EFFECT.keys()
        refuse_near(sorted(strange), known, self._place, cutoff=0.75)

    def _transport(self, entry: Entry) -> Transport:
        match entry:
            case StdioEntry(command=command, args=args, env=env, cwd=cwd):
                self._warn_of_words(entry)
                self._warn_of_host_references(
                    {"command": command, "cwd": cwd or ""}
                    | {f"args.{at}": arg for at, arg in enumerate(args)}
                    | {f"env.{key}": value for key, value in env.items()}
                )
                return StdioTransport(command, tuple(args), dict(env), cwd)
            case HttpEntry(url=url, headers=headers) | SseEntry(url=url, headers=headers):
                self._warn_of_host_references(
                    {"url": url} | {f"headers.{key}": value for key, value in headers.items()}
                )
                check_url(url, self._place.at("url"))
                check_headers(headers, self._place.at("headers"))
                make = HttpTransport if isinstance(entry, HttpEntry) else SseTransport
                return make(url, dict(headers))

    def _warn_of_words(self, entry: StdioEntry) -> None:
        first, _, rest = entry.command.partition(" ")
        if rest and not entry.args and "/" not in rest:
            self.warnings.append(
                f"{self._place.at('command').text} holds spaces and is run as one program name; "
                f"put {first!r} there and the other words under args."
            )

    def _warn_of_host_references(self, values: Mapping[str, str]) -> None:
        for key, value in values.items():
            for reference in list_host_references(value):
                name = suggest_variable(reference)
                self.warnings.append(
                    f"{self._place.at(key).text} asks for ${{{reference}}}, which only an editor "
                    f"can fill in; write ${{{name}}} there and set {name} in the environment."
                )

    def _enabled(self, entry: Entry) -> bool:
        said = {entry.enabled, entry.toolcrib.enabled}
        said |= set[bool | None]() if entry.disabled is None else {not entry.disabled}
        said.discard(None)
        if len(said) > 1:
            raise self._place.at("enabled").wrong(
                "contradicts 'disabled' or 'toolcrib.enabled'.", "Keep one of them."
            )
        return said != {False}


def build_server(
    name: ServerName,
    transport: Transport,
    *,
    tags: Sequence[str],
    enabled: bool,
    start_timeout_s: float | None,
    call_timeout_s: float | None,
    origin: str,
    on_change: ChangePolicy = ChangePolicy.MARK,
) -> Server:
    """Put a server together; None takes the default to start, and the setting to be called."""
    defaults = Server(name=name, transport=transport)
    return Server(
        name=name,
        transport=transport,
        enabled=enabled,
        tags=tuple(dict.fromkeys(tags)),
        origin=origin,
        start_timeout_s=start_timeout_s or defaults.start_timeout_s,
        call_timeout_s=call_timeout_s,
        on_change=on_change,
    )
