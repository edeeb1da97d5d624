"""Views as files and requests have them: what was written to a view, and back.

A file is YAML or JSON: one view, or several under ``views``. Errors name the file and the field.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast

import yaml

from toolcrib_registry.errors import InvalidConfig, InvalidInput
from toolcrib_registry.types import Members, ServerName, ToolOverride, View
from toolcrib_registry.wire import MembersIn, ToolOverrideIn, ViewIn

_VIEWS: Final = "views"
_MAX_BYTES: Final = 16 * 1024 * 1024


def view_of(given: ViewIn) -> View:
    """Turn what was asked into a view."""
    return View(
        name=given.name,
        title=given.title,
        description=given.description,
        include=_members(given.include),
        exclude=_members(given.exclude),
        overrides=tuple(map(_override, given.overrides)),
        pinned=tuple(given.pinned),
        mode=given.mode,
        context_tokens=given.context_tokens,
        share=given.share,
    )


def render_view(view: View) -> dict[str, Any]:
    """Write a view as a file has it; what is as it is by default is left out."""
    given = ViewIn(
        name=view.name,
        title=view.title,
        description=view.description,
        include=_members_in(view.include),
        exclude=_members_in(view.exclude),
        overrides=[_override_in(one) for one in view.overrides],
        pinned=list(view.pinned),
        mode=view.mode,
        context_tokens=view.context_tokens,
        share=view.share,
    )
    return given.model_dump(mode="json", exclude_defaults=True)


def dump_views(views: Sequence[View], *, as_json: bool = False) -> str:
    """Write views as a file: one as it is, several under ``views``."""
    rendered = [render_view(view) for view in views]
    whole = rendered[0] if len(rendered) == 1 else {_VIEWS: rendered}
    if as_json:
        return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"
    return yaml.safe_dump(whole, sort_keys=False, allow_unicode=True, width=100)


def load_views(file: Path) -> tuple[View, ...]:
    """Read the views of a file.

    Raises:
        InvalidConfig: It cannot be read, or is no view; the field is named.
    """
    return parse_views(_read(file), where=str(file))


def parse_views(text: str, *, where: str) -> tuple[View, ...]:
    """Read views from YAML or JSON; ``where`` names its source in errors.

    Raises:
        InvalidConfig: It is neither, or no view; the field is named.
    """
    whole = _decode(text, where)
    listed: object = whole.get(_VIEWS) if _VIEWS in whole else [whole]
    if not isinstance(listed, list) or not listed:
        raise InvalidConfig("is to be a list of views.", file=where, key=_VIEWS)
    several = _VIEWS in whole
    return tuple(
        _view(each, where, f"{_VIEWS}.{place}" if several else None)
        for place, each in enumerate(cast("list[object]", listed))
    )


def _view(each: object, where: str, key: str | None) -> View:
    try:
        return view_of(ViewIn.parse(each))
    except InvalidInput as error:
        raise InvalidConfig(error.detail, file=where, key=key) from error


def _read(file: Path) -> str:
    try:
        if file.stat().st_size > _MAX_BYTES:
            raise InvalidConfig(f"is larger than {_MAX_BYTES} bytes.", file=str(file))
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise InvalidConfig(f"cannot be read: {why}.", file=str(file)) from error


def _decode(text: str, where: str) -> Mapping[str, Any]:
    try:
        whole = json.loads(text) if text.lstrip().startswith("{") else _read_yaml(text)
        # What YAML has and JSON has not cannot be an argument.
        plain: object = json.loads(json.dumps(whole, allow_nan=False, default=_refuse))
    except (yaml.YAMLError, ValueError, RecursionError, TypeError) as error:
        why = " ".join(str(error).split()) or type(error).__name__
        raise InvalidConfig(f"is neither YAML nor JSON: {why}.", file=where) from error
    if not isinstance(plain, dict):
        raise InvalidConfig("holds no view: a mapping with a name was expected.", file=where)
    return cast("Mapping[str, Any]", plain)


def _read_yaml(text: str) -> object:
    parser: Any = yaml  # `parse` is untyped
    # A few lines of aliases stand for more than fits in memory.
    events = parser.parse(text, Loader=yaml.SafeLoader)
    if any(isinstance(event, yaml.AliasEvent) for event in events):
        raise ValueError("aliases (*name) are not taken: write it out")
    return yaml.safe_load(text)


def _refuse(value: object) -> object:
    raise ValueError(f"{value} is a {type(value).__name__}: put it in quotes")


def _members(given: MembersIn) -> Members:
    return Members(
        servers=tuple(map(ServerName, given.servers)),
        tags=tuple(given.tags),
        tools=tuple(given.tools),
    )


def _members_in(members: Members) -> MembersIn:
    return MembersIn(
        servers=list(members.servers), tags=list(members.tags), tools=list(members.tools)
    )


def _override(given: ToolOverrideIn) -> ToolOverride:
    return ToolOverride(
        tool=given.tool,
        name=given.name,
        title=given.title,
        description=given.description,
        defaults=given.defaults,
        fixed=given.fixed,
        hidden=tuple(given.hidden),
    )


def _override_in(one: ToolOverride) -> ToolOverrideIn:
    return ToolOverrideIn(
        tool=one.tool,
        name=one.name,
        title=one.title,
        description=one.description,
        defaults=dict(one.defaults),
        fixed=dict(one.fixed),
        hidden=list(one.hidden),
    )
