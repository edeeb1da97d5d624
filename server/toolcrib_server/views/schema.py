"""A tool's input schema without the parameters that a caller is not to know of.

What is left says of the others all that can be said without them, and rather too little than too
much: arguments are held to the tool's own schema once they are whole.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any, Final, cast
from urllib.parse import unquote

from toolcrib_registry.types import JsonObject

_ALL_OF: Final = "allOf"
_BRANCHES: Final = ("anyOf", "oneOf")
_CONDITION: Final = ("if", "then", "else")
_DEFINITIONS: Final = ("$defs", "definitions")
_BY_NAME: Final = ("dependentSchemas", "dependencies")
_NAMING: Final = ("$anchor", "$dynamicAnchor", "$dynamicRef", "$recursiveRef", "$id")
"""Where one of these stands, a reference may be written in other ways than by its path."""
_MAX_LEVELS: Final = 200
"""Parts of a schema that speak of the same object; no honest one comes near."""


def without(
    schema: JsonObject, withheld: Collection[str], *, optional: Collection[str] = ()
) -> dict[str, Any]:
    """Take parameters out of a schema; those that are ``optional`` stay, and need not be given.

    The rest of the schema, and everything that it refers to, stays as it is. Definitions that only
    the withheld ones needed are dropped.
    """
    if not withheld and not optional:
        return dict(schema)
    # A copy: references are changed in it, and the schema is the registry's.
    reduced = deepcopy(_Reduction(schema, frozenset(withheld), frozenset(optional)).whole())
    _restore_references(reduced, schema)
    return _pruned(reduced)


def conjuncts(schema: JsonObject) -> Iterator[JsonObject]:
    """Give the parts of a schema that all apply to the arguments: itself, references, ``allOf``."""
    pending: list[object] = [schema]
    seen: set[int] = set()
    while pending and len(seen) < _MAX_LEVELS:
        node = pending.pop(0)
        level = cast("JsonObject", node) if isinstance(node, Mapping) else None
        if level is None or id(level) in seen:
            continue
        seen.add(id(level))
        yield level
        pending.append(find_referred(schema, level.get("$ref")))
        pending.extend(_listed(level.get(_ALL_OF)))


def find_referred(root: JsonObject, reference: object) -> JsonObject | None:
    """Find what a reference inside a schema refers to; None when it leads elsewhere or nowhere."""
    if not isinstance(reference, str) or not reference.startswith("#"):
        return None
    place: object = root
    for part in reference[1:].split("/")[1:]:
        place = _step(place, unquote(part).replace("~1", "/").replace("~0", "~"))
    return cast("JsonObject", place) if isinstance(place, Mapping) else None


def _step(place: object, key: str) -> object:
    if isinstance(place, Mapping):
        return cast("JsonObject", place).get(key)
    items = _listed(place)
    return items[int(key)] if key.isdecimal() and int(key[:9]) < len(items) else None


class _Reduction:
    """Takes names out of every part of a schema that speaks of the arguments themselves."""

    def __init__(
        self, root: JsonObject, withheld: frozenset[str], optional: frozenset[str]
    ) -> None:
        self._root = root
        self._withheld = withheld
        self._unneeded = withheld | optional
        self._optional = optional
        self._open: list[object] = []
        """References that are being followed: one that comes back to itself is left alone."""

    def whole(self) -> dict[str, Any]:
        return self._reduce(self._root)

    def _reduce(self, level: JsonObject) -> dict[str, Any]:
        left = dict(level)
        if self._unneeded:
            left.pop("minProperties", None)
        self._reduce_properties(left)
        self._reduce_dependencies(left)
        self._reduce_branches(left)
        self._reduce_examples(left)
        return self._followed(left)

    def _reduce_properties(self, left: dict[str, Any]) -> None:
        if isinstance(properties := left.get("properties"), Mapping):
            kept = cast("JsonObject", properties).items()
            left["properties"] = {
                name: _undefaulted(its) if name in self._optional else its
                for name, its in kept
                if name not in self._withheld
            }
        if isinstance(required := left.get("required"), list):
            needed = [n for n in cast("list[object]", required) if n not in self._unneeded]
            left["required"] = needed
            if not needed:
                del left["required"]

    def _reduce_dependencies(self, left: dict[str, Any]) -> None:
        for keyword in (*_BY_NAME, "dependentRequired"):
            if isinstance(dependent := left.get(keyword), Mapping):
                left[keyword] = {
                    name: self._reduce_dependency(its)
                    for name, its in cast("JsonObject", dependent).items()
                    if name not in self._withheld
                }

    def _reduce_dependency(self, its: object) -> object:
        if isinstance(its, list):
            return [name for name in cast("list[object]", its) if name not in self._unneeded]
        return self._reduce_any(its)

    def _reduce_branches(self, left: dict[str, Any]) -> None:
        if _ALL_OF in left:
            left[_ALL_OF] = [self._reduce_any(each) for each in _listed(left[_ALL_OF])]
        for keyword in _BRANCHES:
            self._reduce_alternatives(left, keyword)
        if self._is_changed(left.get("not")):
            del left["not"]
        if any(self._is_changed(left.get(keyword)) for keyword in _CONDITION):
            for keyword in _CONDITION:
                left.pop(keyword, None)

    def _reduce_alternatives(self, left: dict[str, Any], keyword: str) -> None:
        branches = _listed(left.get(keyword))
        reduced = [self._reduce_any(each) for each in branches]
        if reduced == branches:
            return
        del left[keyword]
        # Which of them it is may have hung on what is withheld.
        if not any(each in ({}, True) for each in reduced):
            left[_ALL_OF] = [*_listed(left.get(_ALL_OF)), {"anyOf": reduced}]

    def _reduce_examples(self, left: dict[str, Any]) -> None:
        for keyword in ("default", "const"):
            if isinstance(left.get(keyword), Mapping):
                left[keyword] = self._stripped(left[keyword])
        if isinstance(left.get("examples"), list):
            left["examples"] = [self._stripped(each) for each in left["examples"]]

    def _stripped(self, example: object) -> object:
        if not isinstance(example, Mapping):
            return example
        given = cast("JsonObject", example)
        return {name: value for name, value in given.items() if name not in self._withheld}

    def _followed(self, left: dict[str, Any]) -> dict[str, Any]:
        """Put what a reference refers to in its place, where names are taken out of that."""
        reference = left.get("$ref")
        target = find_referred(self._root, reference)
        if target is None or reference in self._open:
            return left
        self._open.append(reference)
        reduced = self._reduce(target)
        self._open.pop()
        if reduced == target:
            return left
        del left["$ref"]
        if left.keys().isdisjoint(reduced):
            return {**reduced, **left}
        return {**left, _ALL_OF: [*_listed(left.get(_ALL_OF)), reduced]}

    def _reduce_any(self, node: object) -> object:
        return self._reduce(cast("JsonObject", node)) if isinstance(node, Mapping) else node

    def _is_changed(self, node: object) -> bool:
        return self._reduce_any(node) != node


def _undefaulted(schema: object) -> object:
    """Leave out the tool's own default: the view has another."""
    if not isinstance(schema, Mapping):
        return schema
    return {key: value for key, value in cast("JsonObject", schema).items() if key != "default"}


def _listed(value: object) -> list[object]:
    return cast("list[object]", value) if isinstance(value, list) else []


# --- references ----------------------------------------------------------------------------------


def _restore_references(reduced: dict[str, Any], original: JsonObject) -> None:
    """Keep among the definitions what is still referred to and is no longer where it was."""
    kept: dict[str, Any] = {}
    moved: dict[str, str] = {}
    pending: list[object] = [reduced]
    while pending:
        for node in _referring(pending.pop()):
            reference = node["$ref"]
            target = find_referred(original, reference)
            if target is None or find_referred(reduced, reference) is not None:
                continue
            if reference not in moved:
                name = f"referred-{len(moved) + 1}"
                moved[reference] = f"#/$defs/{name}"
                kept[name] = copied = deepcopy(dict(target))
                pending.append(copied)
            node["$ref"] = moved[reference]
    if kept:
        reduced["$defs"] = {**(reduced.get("$defs") or {}), **kept}


def _referring(node: object) -> Iterator[dict[str, Any]]:
    """Give every object with a reference, at any depth."""
    pending = [node]
    while pending:
        each = pending.pop()
        if isinstance(each, dict):
            inner = cast("dict[str, Any]", each)
            if isinstance(inner.get("$ref"), str):
                yield inner
            pending.extend(inner.values())
        elif isinstance(each, list):
            pending.extend(cast("list[object]", each))


def _pruned(schema: dict[str, Any]) -> dict[str, Any]:
    """Drop definitions that nothing refers to any more."""
    if _has_anchor(schema):
        return schema
    for keyword in _DEFINITIONS:
        if isinstance(schema.get(keyword), dict):
            used = _used(schema, keyword)
            kept = {name: its for name, its in schema[keyword].items() if name in used}
            schema = {key: value for key, value in schema.items() if key != keyword}
            if kept:
                schema[keyword] = kept
    return schema


def _used(schema: dict[str, Any], keyword: str) -> set[str]:
    definitions = cast("dict[str, Any]", schema[keyword])
    used: set[str] = set()
    pending: list[object] = [{key: its for key, its in schema.items() if key != keyword}]
    while pending:
        for node in _referring(pending.pop()):
            name = _first_part(str(node["$ref"]), f"#/{keyword}/")
            if name in definitions and name not in used:
                used.add(name)
                pending.append(definitions[name])
    return used


def _first_part(reference: str, under: str) -> str:
    part = reference.removeprefix(under).partition("/")[0] if reference.startswith(under) else ""
    return unquote(part).replace("~1", "/").replace("~0", "~")


def _has_anchor(schema: JsonObject) -> bool:
    pending: list[object] = [schema]
    while pending:
        each = pending.pop()
        if isinstance(each, Mapping):
            inner = cast("JsonObject", each)
            if any(isinstance(inner.get(keyword), str) for keyword in _NAMING):
                return True
            pending.extend(inner.values())
        elif isinstance(each, list):
            pending.extend(cast("Sequence[object]", each))
    return False
